"""Encoder and decoder as one functional model."""

from typing import Any

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.losses import SequenceLoss
from keras_s2s.masking import token_weights
from keras_s2s.models.door import check_copying
from keras_s2s.models.door import check_pairs
from keras_s2s.models.output import ChunkedOutput
from keras_s2s.models.output import can_pack
from keras_s2s.models.output import pack
from keras_s2s.models.quantization import check_trainable
from keras_s2s.models.quantization import find_quantized
from keras_s2s.models.quantization import quantize_again
from keras_s2s.models.quantization import quiet
from keras_s2s.models.sharing import share_embedding
from keras_s2s.models.sharing import shares_cells
from keras_s2s.models.sharing import shares_embedding
from keras_s2s.models.sharing import tie_cells
from keras_s2s.recurrence import HAS_DYNAMIC_SHAPES
from keras_s2s.recurrence import fast_updates

# Entries of the inputs inside a training step: which target positions are
# real, bool `(B, T)`, and, where the loss is taken by chunks, labels, int32
# `(B, T)`, and weights, float32 `(B, T)`.
REAL = "_real"
LABELS = "_labels"
WEIGHTS = "_weights"


@keras.saving.register_keras_serializable(package="keras_s2s")
class Seq2Seq(keras.Model):
    """An encoder and a teacher-forced decoder, as a functional model.

    Args:
        encoder: `Encoder` layer.
        decoder: `Decoder` layer.
        share_embeddings: bool. The encoder's embedding is the decoder's, of
            one vocabulary; with the decoder's `tie_embeddings` all three are
            one. Default: False.
        share_cells: bool. The recurrent cells of the encoder, which runs
            forward, are the decoder's, which has no input feeding and as
            many layers of one size. Default: False.

    Call arguments:
        inputs: dict of `source_ids`, int32 `(B, S)`, and `target_ids`, int32
            `(B, T)`, beginning with bos; of vectors, `source_vectors` and
            `target_vectors`, float `(B, S, C)` and `(B, T, C)`.

    Returns:
        Logits, float `(B, T, V)`, or vectors `(B, T, C)`.

    Raises:
        TypeError: `encoder` is no `Encoder`, or `decoder` no `Decoder`.
        ValueError: embeddings or cells that are to be shared differ; a
            decoder copies from an encoder of another vocabulary.

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
        share_cells: bool = False,
        **kwargs: Any,
    ) -> None:
        checks.check_instance(
            "encoder", encoder, Encoder, "a keras_s2s.layers.Encoder"
        )
        checks.check_instance(
            "decoder", decoder, Decoder, "a keras_s2s.layers.Decoder"
        )
        check_copying(encoder, decoder)
        if share_embeddings:
            share_embedding(encoder, decoder)
        source = encoder.make_input()
        target = decoder.make_input()
        outputs = decoder(target, encoder(source))
        if share_cells:
            tie_cells(encoder, decoder)
        inputs = {source.name: source, target.name: target}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
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
        if isinstance(loss, SequenceLoss) and hasattr(
            self.decoder, "vector_dim"
        ):
            rule = "of vectors, such as `SequenceRegressionLoss`"
            checks.fail("loss", rule, loss.name)
        if kwargs.get("jit_compile") is True:
            self.encoder.supports_jit = self.decoder.supports_jit = True
        self._counts_tokens = can_pack(
            loss, [metrics or [], weighted_metrics or []]
        )
        self._chunked_output = None
        if isinstance(loss, SequenceLoss) and loss.chunk_size is not None:
            if kwargs.get("loss_weights") is not None:
                rule = "None where the loss has a `chunk_size`"
                checks.fail("loss_weights", rule, kwargs["loss_weights"])
            self._chunked_output = ChunkedOutput(
                self.decoder, loss, metrics, weighted_metrics
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
        if REAL not in inputs and LABELS not in inputs:
            return super().call(inputs, training=training, mask=mask)
        inputs = dict(inputs)
        real, labels, weights = (
            inputs.pop(name, None) for name in (REAL, LABELS, WEIGHTS)
        )
        target_ids = inputs.pop("target_ids")
        (source,) = inputs.values()
        memory = self.encoder(source, training=training)
        features = self.decoder.features(target_ids, memory, training)
        if labels is None:
            return self.decoder.project(pack(features, real))
        return self._chunked_output.evaluate(features, labels, weights, real)

    @property
    def input_dtype(self) -> str:
        """Of what comes in as floats: weights keep their precision, and each
        layer casts its own inputs."""
        return self.variable_dtype

    def train_step(self, *args: Any) -> Any:
        with fast_updates(self.optimizer):
            return super().train_step(*self._prepare(args))

    def test_step(self, *args: Any) -> Any:
        return super().test_step(*self._prepare(args))

    def _prepare(self, args: tuple) -> tuple:
        """Leaves padding out before the output layer, where nothing differs,
        and hands `call` what it needs where the loss is taken by chunks.

        All real tokens of a batch become one row of a batch of 1, which the
        loss and the metrics weigh as they weigh the whole.
        """
        decoder, chunked = type(self.decoder), self._chunked_output
        counts_tokens = chunked.can_pack if chunked else self._counts_tokens
        packs = (
            counts_tokens
            and decoder.features is not Decoder.features
            and not self.jit_compile
            and HAS_DYNAMIC_SHAPES
        )
        if not packs and not chunked:
            return args
        *state, data = args
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        ignore_id = self.loss.ignore_id
        weights = token_weights(labels, sample_weight, ignore_id)
        # Not `weights > 0`: unweighted metrics count labels of weight 0.
        real = token_weights(labels, None, ignore_id) > 0
        x = dict(keras.tree.map_structure(ops.convert_to_tensor, x))
        if packs:
            x[REAL] = real
        if not chunked:
            return ((x, pack(labels, real), pack(weights, real)),)
        x[LABELS], x[WEIGHTS] = ops.cast(labels, "int32"), weights
        return (*state, (x, labels, sample_weight))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As `keras.Model.compute_loss`."""
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        return y_pred["loss"] + sum(ops.sum(loss) for loss in self.losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """As `keras.Model.compute_metrics`."""
        if not isinstance(y_pred, dict):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        # Keras would build it as it updates it from logits.
        compiled = self._compile_metrics
        if compiled is not None and not compiled.built:
            compiled.build(y, y_pred["loss"])
        self._chunked_output.update_metrics(y, y_pred["values"], sample_weight)
        return self.get_metrics_result()

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; refuses ids outside the vocabularies."""
        check_trainable(self.encoder, self.decoder)
        check_pairs(x, y, self.encoder, self.decoder)
        return super().fit(x, y, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, with the same check."""
        check_pairs(x, y, self.encoder, self.decoder)
        return super().evaluate(x, y, **kwargs)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.quantize`; embeddings and output stay as they are."""
        with quiet():
            super().quantize(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "share_embeddings": shares_embedding(self.encoder, self.decoder),
            "share_cells": shares_cells(self.encoder, self.decoder),
            "quantized": find_quantized(self.encoder, self.decoder),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Seq2Seq":
        config = dict(config)
        for name in ("encoder", "decoder"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        quantized = config.pop("quantized", {})
        model = cls(**config)
        quantize_again(quantized, model.encoder, model.decoder)
        return model
