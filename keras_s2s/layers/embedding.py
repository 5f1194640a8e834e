"""Embeddings of tokens and of vectors, whose entries start with variance 1."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s2s import masking
from keras_s2s.recurrence import linear
from keras_s2s.recurrence import take


@keras.saving.register_keras_serializable(package="keras_s2s")
class TokenEmbedding(keras.layers.Embedding):
    """An embedding that starts at N(0, 1), or is scaled to that.

    Keras' own start, uniform in [-0.05, 0.05], gives a recurrent layer so
    little to see that it learns several times more slowly.

    Args:
        input_dim: int > 0. Size of the vocabulary.
        output_dim: int > 0. Size of the embedding, E.
        scale: bool. Starts at N(0, 1 / E) and multiplies by sqrt(E): for
            weights that an output layer shares, whose logits would start
            too large. Default: False.

    Call arguments:
        inputs: int `(...)`.

    Returns:
        Float `(..., E)`.

    Source: Vaswani et al., 2017, 3.4 (scaled),
    https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        scale: bool = False,
        **kwargs: Any,
    ) -> None:
        stddev = output_dim**-0.5 if scale else 1.0
        kwargs.setdefault(
            "embeddings_initializer",
            keras.initializers.RandomNormal(stddev=stddev),
        )
        super().__init__(input_dim, output_dim, **kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        factor = self.output_dim**0.5 if self.scale else 1.0
        inputs = ops.cast(inputs, "int32")
        # As a tensor: on TensorFlow a custom gradient refuses a variable.
        table = ops.reshape(self.embeddings, (-1, self.output_dim))
        return ops.cast(_look_up(table, inputs, factor), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_s2s")
class VectorEmbedding(keras.layers.Layer):
    """A linear map of vectors, to which a missing value adds a vector.

    NaN is a missing value. It is read as 0, and adds a learned vector that
    starts at 0: until it is learned, missing is 0. Of standardized values
    the result starts with variance 1, as that of `TokenEmbedding`.

    Args:
        input_dim: int > 0. Size of the vectors, C.
        output_dim: int > 0. Size of the embedding, E.
        scale: bool. Starts smaller and multiplies by sqrt(E), as
            `TokenEmbedding` does. Default: False.

    Call arguments:
        inputs: float `(..., C)`. NaN where a value is missing.

    Returns:
        Float `(..., E)`, never NaN.

    Source: Lipton et al., 2016 (zeros and indicators of what is missing),
    https://arxiv.org/abs/1606.04130
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        scale: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.scale = scale

    def build(self, input_shape: Any = None) -> None:
        if self.built:  # by another layer that has the same
            return
        size = self.input_dim * (self.output_dim if self.scale else 1)
        self.kernel = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=keras.initializers.RandomNormal(stddev=size**-0.5),
            name="kernel",
        )
        self.missing_kernel = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer="zeros",
            name="missing_kernel",
        )
        self.bias = self.add_weight(
            shape=(self.output_dim,), initializer="zeros", name="bias"
        )

    def call(self, inputs: Any) -> Any:
        is_there = masking.value_mask(inputs)
        values = ops.where(is_there, inputs, 0.0)
        missing = ops.cast(ops.logical_not(is_there), values.dtype)
        x = linear(values, self.kernel) + linear(missing, self.missing_kernel)
        x = x + ops.cast(self.bias, x.dtype)
        return x * self.output_dim**0.5 if self.scale else x

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: who embeds knows the mask; a Keras mask ends here."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.output_dim)

    def get_config(self) -> dict[str, Any]:
        config = {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "scale": self.scale,
        }
        return {**super().get_config(), **config}


def _look_up(table: Any, ids: Any, factor: float) -> Any:
    """Rows of `table`, times `factor`, with a dense gradient.

    Given a sparse one, Keras' optimizers on TensorFlow square each occurrence
    of an id apart, and Adam's step is up to sqrt(n) times too long for an id
    with n.
    """
    size, width = ops.shape(table)

    @ops.custom_gradient
    def look_up(table: Any) -> tuple[Any, Callable]:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            # Keras hands it over in either way.
            (upstream,) = args if upstream is None else (upstream,)
            rows = ops.reshape(upstream, (-1, width)) * factor
            return ops.segment_sum(
                rows, ops.reshape(ids, (-1,)), num_segments=size
            )

        return take(table, ids) * factor, gradient

    return look_up(table)
