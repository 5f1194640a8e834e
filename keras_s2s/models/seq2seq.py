"""Encoder and decoder as one functional model."""

from typing import Any

import keras

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.models.door import check_pairs


@keras.saving.register_keras_serializable(package="keras_s2s")
class Seq2Seq(keras.Model):
    """An encoder and a teacher-forced decoder, as a functional model.

    Args:
        encoder: `Encoder` layer.
        decoder: `Decoder` layer.

    Call arguments:
        inputs: dict of `source_ids`, int32 `(B, S)`, and `target_ids`, int32
            `(B, T)`, beginning with bos.

    Returns:
        Logits, float `(B, T, V)`.

    Raises:
        TypeError: `encoder` is no `Encoder`, or `decoder` no `Decoder`.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNDecoder(30, embedding_dim=8, units=16)
    >>> model = s2s.models.Seq2Seq(encoder, decoder)
    >>> model.compile("adam", loss=s2s.losses.SequenceLoss())
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, **kwargs: Any):
        checks.check_instance(
            "encoder", encoder, Encoder, "a keras_s2s.layers.Encoder"
        )
        checks.check_instance(
            "decoder", decoder, Decoder, "a keras_s2s.layers.Decoder"
        )
        source = encoder.make_input()
        target_ids = keras.Input((None,), dtype="int32", name="target_ids")
        logits = decoder(target_ids, encoder(source))
        inputs = {source.name: source, "target_ids": target_ids}
        super().__init__(inputs=inputs, outputs=logits, **kwargs)
        self.encoder = encoder
        self.decoder = decoder

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; refuses ids outside the vocabularies."""
        check_pairs(x, y, self.encoder, self.decoder)
        return super().fit(x, y, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, with the same check."""
        check_pairs(x, y, self.encoder, self.decoder)
        return super().evaluate(x, y, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Seq2Seq":
        config = dict(config)
        for name in ("encoder", "decoder"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
