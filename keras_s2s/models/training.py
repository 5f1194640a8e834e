"""What training does alike for one decoder and for several."""

import os
from typing import Any

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.data import Stream
from keras_s2s.layers.carried_state import find_carriers
from keras_s2s.layers.decoder import Decoder
from keras_s2s.losses import SequenceLoss
from keras_s2s.masking import token_weights
from keras_s2s.models.door import check_pairs
from keras_s2s.models.output import pack
from keras_s2s.models.quantization import check_trainable
from keras_s2s.models.quantization import find_quantized
from keras_s2s.models.quantization import quantize_again
from keras_s2s.models.quantization import quiet
from keras_s2s.models.shares import WeightedMean
from keras_s2s.models.shares import weigh_by
from keras_s2s.models.shares import weigh_updates
from keras_s2s.normalizers import NormalizedLoss
from keras_s2s.recurrence import HAS_DYNAMIC_SHAPES
from keras_s2s.recurrence import LOST_WORKER_ERRORS
from keras_s2s.recurrence import fast_updates
from keras_s2s.recurrence import of_first_replica
from keras_s2s.recurrence import read_promptly
from keras_s2s.recurrence import show_to_workers

# Entry of the inputs inside a training step: which target positions are real,
# bool `(B, T)`.
REAL = "_real"


def name_source(encoder: Any, source: Any) -> str:
    """Returns what an input of an encoder is called in a model."""
    if isinstance(source, dict):
        return getattr(encoder, "input_name", "sources")
    return source.name


def check_loss(loss: Any, decoder: Decoder) -> None:
    """Refuses a loss of ids where a decoder writes vectors."""
    if isinstance(loss, SequenceLoss) and hasattr(decoder, "vector_dim"):
        rule = "of vectors, such as `SequenceRegressionLoss`"
        checks.fail("loss", rule, loss.name)


def has_packed_output(decoder: Decoder, jit_compile: bool) -> bool:
    """Whether a decoder can leave padding out before its output layer."""
    return (
        type(decoder).features is not Decoder.features
        and not jit_compile
        and HAS_DYNAMIC_SHAPES
    )


def find_real(labels: Any, sample_weight: Any, ignore_id: int | None) -> tuple:
    """Returns which labels are real, bool, and the weights of all.

    Not those with a weight: unweighted metrics count labels of weight 0.
    """
    real = token_weights(labels, None, ignore_id) > 0
    return real, token_weights(labels, sample_weight, ignore_id)


def pack_labels(
    labels: Any, sample_weight: Any, ignore_id: int | None
) -> tuple:
    """Returns `find_real`'s mask, and labels and weights of its positions."""
    real, weights = find_real(labels, sample_weight, ignore_id)
    return real, pack(labels, real), pack(weights, real)


class TrainingModel(keras.Model):
    """Base of the functional models that `fit` trains.

    A subclass has `encoder`, and writes `decoder_or_decoders` and `prepare`,
    and may write `vary`.
    """

    def decoder_or_decoders(self) -> Decoder | dict[str, Decoder]:
        """The decoder, or each by name."""
        raise NotImplementedError

    def prepare(self, args: tuple) -> tuple:
        """Returns the arguments of a training or test step, changed or not."""
        raise NotImplementedError

    def vary(self, args: tuple) -> tuple:
        """Returns the arguments of a training step, before `prepare`."""
        return args

    def parts(self) -> list[keras.layers.Layer]:
        """The encoder and each decoder.

        No property: saving would go through it as well.
        """
        return [self.encoder, *keras.tree.flatten(self.decoder_or_decoders())]

    def support_jit(self, jit_compile: Any) -> None:
        """Has the layers do what XLA compiles, where it is told to."""
        if jit_compile is True:
            for part in self.parts():
                part.supports_jit = True

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As `keras.Model.compile_from_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    @property
    def input_dtype(self) -> str:
        """Of what comes in as floats: weights keep their precision, and each
        layer casts its own inputs."""
        return self.variable_dtype

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        # Keras keeps what it makes here out of the metrics that it tracks.
        object.__setattr__(self, "_loss_tracker", WeightedMean("loss"))
        weigh_updates(self.optimizer)

    def train_step(self, *args: Any) -> Any:
        args = self.prepare(self.vary(args))
        with weigh_by(self._weigh(args)), fast_updates(self.optimizer):
            return show_to_workers(super().train_step(*args))

    def test_step(self, *args: Any) -> Any:
        args = self.prepare(args)
        with weigh_by(self._weigh(args)):
            return show_to_workers(super().test_step(*args))

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """As in Keras, which takes the mean of what replicas get, and fails
        where one gets more rows than another."""
        if iterator is not None:
            iterator = (
                (start, end, of_first_replica(self, batches))
                for start, end, batches in iterator
            )
        super()._maybe_symbolic_build(iterator, data_batch)

    def _weigh(self, args: tuple) -> Any:
        """Returns what the loss of a batch is divided by, if by one number."""
        _, labels, weights = keras.utils.unpack_x_y_sample_weight(args[-1])
        if not isinstance(self.loss, NormalizedLoss) or isinstance(
            labels, dict
        ):
            return None
        labels = ops.convert_to_tensor(labels)
        return self.loss.total(self.loss.weigh(labels, weights))

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; refuses ids outside the vocabularies.

        Where a state is carried, batches come in the order of the data.
        """
        check_trainable(*self.parts())
        if find_carriers(self.parts()) and kwargs.setdefault("shuffle", False):
            rule = "False where the state is carried"
            checks.fail("shuffle", rule, kwargs["shuffle"])
        self._check_data(x, y)
        later = kwargs.get("validation_data")
        later = later if isinstance(later, (tuple, list)) else (later, None)
        self._check_data(*later[:2])
        if y is None and kwargs.get("sample_weight") is None:
            options = kwargs.get("shuffle", True), kwargs.get("class_weight")
            x = read_promptly(x, *options)
        if "validation_data" in kwargs:
            kwargs["validation_data"] = read_promptly(kwargs["validation_data"])
        try:
            return super().fit(x, y, **kwargs)
        except LOST_WORKER_ERRORS as error:
            rule = "of workers that all train until the end"
            cure = f"One is gone; start all of them again. {error.message}"
            config = os.environ.get("TF_CONFIG")
            checks.fail("TF_CONFIG", rule, config, cure, ConnectionError)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, with the same check."""
        self._check_data(x, y)
        if y is None and kwargs.get("sample_weight") is None:
            x = read_promptly(x)
        return super().evaluate(x, y, **kwargs)

    def reset_states(self) -> None:
        """Has all rows of the next batch begin at zeros, if any is carried."""
        for part in find_carriers(self.parts()):
            part.reset_states()

    def _check_data(self, x: Any, y: Any = None) -> None:
        for part in find_carriers(self.parts()):
            if isinstance(x, Stream) and x.batch_size != part.batch_size:
                rule = f"that of the model, {part.batch_size}"
                checks.fail("batch_size", rule, x.batch_size)
        check_pairs(x, y, self.encoder, self.decoder_or_decoders())

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.quantize`; embeddings and output stay as they are."""
        with quiet():
            super().quantize(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "quantized": find_quantized(*self.parts()),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        quantized = config.pop("quantized", {})
        model = cls(**keras.saving.deserialize_keras_object(config))
        quantize_again(quantized, *model.parts())
        return model
