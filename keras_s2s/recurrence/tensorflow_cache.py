"""Caches on TensorFlow."""

from typing import Any
from typing import TypeAlias

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

Tensor: TypeAlias = Any


def write_slice(
    buffer: Tensor, position: Tensor, value: Tensor, compiled: bool
) -> Tensor:
    """As `recurrence.write_slice`."""

    @tf.custom_gradient
    def write(buffer: Tensor, value: Tensor) -> tuple:
        def gradient(upstream: Tensor) -> tuple:
            rest = update(upstream, position, tf.zeros_like(value))
            return rest, tf.gather(upstream, position, axis=2)

        return update(buffer, position, value), gradient

    # XLA knows only the one; outside of it that one copies the buffer.
    update = _update_compiled if compiled else _update_in_place
    return write(buffer, value)


def _update_compiled(buffer, position, value):
    rest = [0] * (len(buffer.shape) - 3)
    start = tf.stack([0, 0, position, *rest])
    return xla.dynamic_update_slice(buffer, tf.expand_dims(value, 2), start)


def _update_in_place(buffer, position, value):
    # Everything of the first two axes, one place of the third.
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=buffer,
        begin=tf.stack([0, 0, position]),
        end=tf.stack([0, 0, position + 1]),
        strides=[1, 1, 1],
        value=value,
        begin_mask=0b011,
        end_mask=0b011,
        shrink_axis_mask=0b100,
    )
