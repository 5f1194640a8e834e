"""Layer normalization with its gradient written out."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks

Tensor: TypeAlias = Any

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_s2s")
class LayerNormalization(keras.layers.LayerNormalization):
    """As `keras.layers.LayerNormalization` over the last axis, but faster.

    Source: Ba et al., 2016, https://arxiv.org/abs/1607.06450
    """

    def call(self, inputs: Tensor) -> Tensor:
        outputs = normalize(inputs, self.gamma, self.beta, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)


def normalize(
    inputs: Tensor, gamma: Any, beta: Any = None, epsilon: float = EPSILON
) -> Tensor:
    """Gives each row mean 0 and variance 1, then scales and shifts it.

    Args:
        inputs: float `(..., D)`.
        gamma: variable or float tensor `(D,)`. The scale.
        beta: variable or float tensor `(D,)`, or None. The shift.
        epsilon: float. Added to the variance.

    Returns:
        Float `(..., D)`, float32 at least.
    """
    dtype = keras.backend.result_type(inputs.dtype, "float32")
    # As tensors: on TensorFlow a custom gradient refuses a variable.
    gamma = ops.cast(ops.reshape(gamma, (-1,)), dtype)
    if beta is None:
        beta = ops.zeros_like(gamma)
    else:
        beta = ops.cast(ops.reshape(beta, (-1,)), dtype)
    return _normalize(ops.cast(inputs, dtype), gamma, beta, epsilon)


def _normalize(
    inputs: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
) -> Tensor:
    """`normalize`, of tensors of one dtype.

    The gradient takes a third of the passes over memory that a derivation of
    each operation takes.
    """

    @ops.custom_gradient
    def normalize(
        inputs: Tensor, gamma: Tensor, beta: Tensor
    ) -> tuple[Tensor, Callable]:
        mean = ops.mean(inputs, axis=-1, keepdims=True)
        centred = inputs - mean
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        scale = ops.rsqrt(variance + epsilon)
        normal = centred * scale

        def gradient(*args: Tensor, upstream: Tensor = None) -> tuple:
            # Keras hands it over in either way.
            (upstream,) = args if upstream is None else (upstream,)
            product = upstream * normal
            inner = upstream * gamma
            inner_product = inner * normal
            change = inner - ops.mean(inner, axis=-1, keepdims=True)
            change -= normal * ops.mean(inner_product, axis=-1, keepdims=True)
            axes = tuple(range(len(inputs.shape) - 1))
            return (
                change * scale,
                ops.sum(product, axis=axes),
                ops.sum(upstream, axis=axes),
            )

        return normal * gamma + beta, gradient

    return normalize(inputs, gamma, beta)


NORMALIZATIONS = {
    "layer": LayerNormalization,
    "rms": keras.layers.RMSNormalization,
}


def make_norm(kind: str, size: int, **kwargs: Any) -> keras.layers.Layer:
    """Makes a built normalization of rows of `size`, "layer" or "rms"."""
    checks.check_option("normalization", kind, NORMALIZATIONS)
    norm = NORMALIZATIONS[kind](epsilon=EPSILON, **kwargs)
    norm.build((None, size))
    return norm
