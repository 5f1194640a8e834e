"""A decoder of vectors that goes on by itself, as a model of its own."""

from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.decoding.feedback import feed_back
from keras_s2s.models.compiled import LoopLayer
from keras_s2s.models.compiled import LoopModel
from keras_s2s.models.door import check_pairs
from keras_s2s.models.door import check_source_vectors
from keras_s2s.models.parts import find_parts

Tensor: TypeAlias = Any

STARTS = ("last", "zeros")


@keras.saving.register_keras_serializable(package="keras_s2s")
class Rollout(LoopLayer):
    """Encodes a source and feeds a decoder of vectors its own output.

    Args:
        encoder, decoder: built layers.
        horizon: int > 0. How many vectors to write.
        start: str. What the decoder is fed first, as in `Forecaster`.

    Call arguments:
        source: what the encoder takes.
        training: bool or None. Whether dropout of the encoder acts.

    Returns:
        Float `(B, T, C)`.
    """

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        horizon: int,
        start: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.horizon = horizon
        self.start = start

    def call(self, source: Tensor, training: bool | None = None) -> Tensor:
        with self.supporting_jit():
            return self._feed_back(source, training)

    def _feed_back(self, source: Tensor, training: bool | None) -> Tensor:
        memory = self.encoder(source, training=training)
        if self.start == "last":
            vectors = masking.last_values(source)
        else:
            rows = ops.shape(memory["outputs"])[0]
            vectors = ops.zeros((rows, 1, self.decoder.vector_dim))
        written = feed_back(
            self.decoder.step,
            self.decoder.initial_state(memory, 1, self.horizon),
            self.decoder.prepare(memory),
            ops.cast(vectors, self.compute_dtype),
            self.horizon,
        )
        dtype = keras.backend.result_type(written.dtype, "float32")
        return ops.cast(written[:, 0], dtype)

    def compute_output_spec(
        self, source: Any, training: bool | None = None
    ) -> Any:
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        shape = (source.shape[0], self.horizon, self.decoder.vector_dim)
        return keras.KerasTensor(shape, dtype=dtype)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Forecaster(LoopModel):
    """Continues: source vectors in, the vectors of the steps to come out.

    The decoder reads what it wrote, step by step, all in the graph. Weights
    are shared with `model`. `fit` of `model` trains fast, on the true past;
    what a decoder writes differs from it, and errors add up. `fit` of the
    forecaster, from sources to what follows, trains on the decoder's own
    output, through all steps, without dropout in the decoder.

    Masking: padding of the source changes no result, and neither does any
    other source of the batch.

    Args:
        model: `Seq2Seq`, or a functional model that holds one `Encoder` and
            one `Decoder`, which writes vectors. One of your own has their
            size as `vector_dim`, and its own `make_input`.
        horizon: int > 0. How many vectors to write, T.
        start: str. What the decoder is fed first: "last", the last value of
            each channel of the source that is not missing, or 0 where all
            are; "zeros". That of training must be the same: `target_vectors`
            begins with it. Default: "last".

    Call arguments:
        source_vectors: float `(B, S, C)`, or what else the encoder takes.
            `predict` also takes a list of arrays `(S, C)`.

    Returns:
        Float `(B, T, C)`, float32 at least.

    Raises:
        ValueError: `model` does not hold one encoder and one decoder of
            vectors; `start` is "last" and the source has other channels than
            the target; `predict` gets a source of another shape, with an
            infinite value, or without any value.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNVectorEncoder(2, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNVectorDecoder(2, embedding_dim=8, units=16)
    >>> model = s2s.models.Seq2Seq(encoder, decoder)
    >>> forecaster = s2s.models.Forecaster(model, horizon=5)
    >>> series = [[[0.5, 1.0]], [[1.0, 2.0], [2.0, 3.0]]]
    >>> forecaster.predict(series, verbose=0).shape
    (2, 5, 2)

    Source: Graves, 2013, https://arxiv.org/abs/1308.0850; Ranzato et al.,
    2016 (errors that add up), https://arxiv.org/abs/1511.06732
    """

    def __init__(
        self,
        model: keras.Model,
        horizon: int,
        start: str = "last",
        **kwargs: Any,
    ) -> None:
        checks.check_positive("horizon", horizon)
        checks.check_option("start", start, STARTS)
        encoder, decoder = find_parts(model)
        _check_parts(encoder, decoder, horizon, start)
        generator = Rollout(encoder, decoder, horizon, start)
        source = encoder.make_input()
        super().__init__(inputs=source, outputs=generator(source), **kwargs)
        self.generator = generator
        self.horizon = horizon
        self.start = start

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.compile`; `jit_compile=True` compiles the loop."""
        super().compile(*args, **kwargs)
        # So that its state is there to be saved, and to be loaded.
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; refuses vectors that cannot be read."""
        parts = self.generator.encoder, self.generator.decoder
        if isinstance(x, np.ndarray):
            check_pairs({self.input.name: x}, y, *parts)
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """As `keras.Model.predict`; takes lists of arrays, and checks them."""
        encoder = self.generator.encoder
        if hasattr(encoder, "vector_dim") and isinstance(
            x, (np.ndarray, list, tuple)
        ):
            x = check_source_vectors(x, encoder)
        return super().predict(x, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = {"horizon": self.horizon, "start": self.start}
        return {**super().get_config(), **config}


def _check_parts(encoder: Any, decoder: Any, horizon: int, start: str) -> None:
    size = getattr(decoder, "vector_dim", None)
    if size is None:
        cure = "For ids take `InferenceModel`."
        checks.fail("model", "one that writes vectors", decoder.name, cure)
    longest = getattr(decoder, "longest", None)
    if longest is not None:
        checks.check_length("horizon", horizon, longest)
    found = getattr(encoder, "vector_dim", None)
    if start == "last" and found != size:
        rule = f"'zeros' where the source has no vectors of size {size}"
        checks.fail("start", rule, start)
