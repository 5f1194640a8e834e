"""Encoder and decoder as one functional model."""

from typing import Any

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.losses import SequenceLoss
from keras_s2s.masking import token_weights
from keras_s2s.metrics import SequenceMetric
from keras_s2s.models.door import check_pairs
from keras_s2s.recurrence import HAS_DYNAMIC_SHAPES
from keras_s2s.recurrence import fast_updates

# The entry of the inputs that tells real target positions, bool `(B, T)`,
# inside a training step.
REAL = "_real"


def pack(values: Any, real: Any) -> Any:
    """`(B, T, ...)` and bool `(B, T)` -> `(1, N, ...)`, the real positions."""
    indices = ops.nonzero(ops.reshape(real, (-1,)))[0]
    flat = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.expand_dims(ops.take(flat, indices, axis=0), 0)


def share_embedding(encoder: Encoder, decoder: Decoder) -> None:
    """Gives an encoder the embedding of a decoder.

    Raises:
        ValueError: one of them has none, or they are not alike.
    """
    if shares_embedding(encoder, decoder):
        return
    found = []
    for layer in (encoder, decoder):
        embedding = getattr(layer, "embedding", None)
        found.append(embedding and (embedding.input_dim, embedding.output_dim))
    if None in found or found[0] != found[1]:
        rule = "False where the embeddings of encoder and decoder differ"
        checks.fail("share_embeddings", f"{rule}, {found}", True)
    # Deleted first, or Keras would track both.
    del encoder.embedding
    encoder.embedding = decoder.embedding


def shares_embedding(encoder: Encoder, decoder: Decoder) -> bool:
    """Whether an encoder has the embedding of a decoder."""
    embedding = getattr(encoder, "embedding", None)
    return embedding is not None and embedding is getattr(
        decoder, "embedding", None
    )


@keras.saving.register_keras_serializable(package="keras_s2s")
class Seq2Seq(keras.Model):
    """An encoder and a teacher-forced decoder, as a functional model.

    Args:
        encoder: `Encoder` layer.
        decoder: `Decoder` layer.
        share_embeddings: bool. The encoder's embedding is the decoder's, of
            one vocabulary; with the decoder's `tie_embeddings` all three are
            one. Default: False.

    Call arguments:
        inputs: dict of `source_ids`, int32 `(B, S)`, and `target_ids`, int32
            `(B, T)`, beginning with bos.

    Returns:
        Logits, float `(B, T, V)`.

    Raises:
        TypeError: `encoder` is no `Encoder`, or `decoder` no `Decoder`.
        ValueError: embeddings that are to be shared differ in size.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNDecoder(30, embedding_dim=8, units=16)
    >>> model = s2s.models.Seq2Seq(encoder, decoder)
    >>> model.compile("adam", loss=s2s.losses.SequenceLoss())
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        share_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        checks.check_instance(
            "encoder", encoder, Encoder, "a keras_s2s.layers.Encoder"
        )
        checks.check_instance(
            "decoder", decoder, Decoder, "a keras_s2s.layers.Decoder"
        )
        if share_embeddings:
            share_embedding(encoder, decoder)
        source = encoder.make_input()
        target_ids = keras.Input((None,), dtype="int32", name="target_ids")
        logits = decoder(target_ids, encoder(source))
        inputs = {source.name: source, "target_ids": target_ids}
        super().__init__(inputs=inputs, outputs=logits, **kwargs)
        # `call` may run parts of the decoder outside of it.
        self.dtype_policy = decoder.dtype_policy
        self.encoder = encoder
        self.decoder = decoder

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`.

        `jit_compile="auto"` is the faster way on the backend at hand; True
        compiles with XLA, on TensorFlow anew for each pair of lengths.
        """
        if kwargs.get("jit_compile") is True:
            self.encoder.supports_jit = self.decoder.supports_jit = True
        all_metrics = keras.tree.flatten(
            [metrics or [], weighted_metrics or []]
        )
        self._counts_tokens = (
            isinstance(loss, SequenceLoss)
            and loss.by_token
            and all(
                isinstance(metric, SequenceMetric)
                and metric.by_token
                and metric.ignore_id == loss.ignore_id
                for metric in all_metrics
            )
        )
        super().compile(
            optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As `keras.Model.compile_from_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        if REAL not in inputs:
            return super().call(inputs, training=training, mask=mask)
        inputs = dict(inputs)
        real, target_ids = inputs.pop(REAL), inputs.pop("target_ids")
        (source,) = inputs.values()
        memory = self.encoder(source, training=training)
        features = self.decoder.features(target_ids, memory, training)
        return self.decoder.project(pack(features, real))

    def train_step(self, *args: Any) -> Any:
        with fast_updates(self.optimizer):
            return super().train_step(*self._pack(args))

    def test_step(self, *args: Any) -> Any:
        return super().test_step(*self._pack(args))

    def _pack(self, args: tuple) -> tuple:
        """Leaves padding out before the output layer, where nothing differs.

        All real tokens of a batch become one row of a batch of 1, which the
        loss and the metrics weigh as they weigh the whole.
        """
        decoder = type(self.decoder)
        if (
            not self._counts_tokens
            or decoder.features is Decoder.features
            or self.jit_compile
            or not HAS_DYNAMIC_SHAPES
        ):
            return args
        (data,) = args
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        weights = token_weights(labels, weights, self.loss.ignore_id)
        # Not `weights > 0`: unweighted metrics count labels of weight 0.
        real = token_weights(labels, None, self.loss.ignore_id) > 0
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        x = {**x, REAL: real}
        return ((x, pack(labels, real), pack(weights, real)),)

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
            "share_embeddings": shares_embedding(self.encoder, self.decoder),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Seq2Seq":
        config = dict(config)
        for name in ("encoder", "decoder"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
