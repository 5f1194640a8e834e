"""Caches on TensorFlow."""

from typing import Any
from typing import TypeAlias

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.eager import record

Tensor: TypeAlias = Any

# How many steps a buffer has room for at first, and is given when it is full.
ROOM = 16


def allocate(shape: tuple, dtype: str, compiled: bool) -> Tensor:
    """As `recurrence.allocate`."""
    if _copies(compiled):
        return tf.zeros(shape, dtype)
    rows, columns, length, *rest = shape
    # A length that is known would be taken for that of all steps.
    nothing = tf.raw_ops.Empty(shape=[], dtype="int32", init=True)
    length = tf.minimum(length, ROOM) + nothing
    # A constant that is 0 may be the same tensor elsewhere; this is its own.
    shape = tf.stack([rows, columns, length, *rest])
    return tf.raw_ops.Empty(shape=shape, dtype=dtype, init=True)


def make_room(buffers: Any, position: Tensor, length: Tensor) -> Any:
    """As `recurrence.make_room`."""
    flat = tf.nest.flatten(buffers)
    if flat[0].shape[2] is not None:
        return buffers
    here = tf.shape(flat[0])[2]

    def extend() -> list[Tensor]:
        more = tf.minimum(length - here, ROOM)
        return [_append_zeros(buffer, more) for buffer in flat]

    flat = tf.cond(position < here, lambda: flat, extend)
    return tf.nest.pack_sequence_as(buffers, flat)


def _append_zeros(buffer: Tensor, count: Tensor) -> Tensor:
    rest = [[0, 0]] * (len(buffer.shape) - 3)
    return tf.pad(buffer, [[0, 0], [0, 0], [0, count], *rest])


def write_slice(
    buffer: Tensor, position: Tensor, value: Tensor, compiled: bool
) -> Tensor:
    """As `recurrence.write_slice`.

    For 64 sentences, 4 beams and 40 steps `InplaceUpdate` takes 0.03 ms,
    `TensorScatterUpdate`, which copies, 0.6, and `TensorStridedSliceUpdate`,
    which does not, 1.1, on 2 cores.
    """
    if compiled:
        return _write_compiled(buffer, position, value)
    shape = tf.shape(buffer)
    count = shape[0] * shape[1]
    places = tf.range(count) * shape[2] + position
    rows = tf.reshape(buffer, tf.concat([[count * shape[2]], shape[3:]], 0))
    value = tf.reshape(value, tf.concat([[count], shape[3:]], 0))
    if _copies(compiled):
        rows = tf.tensor_scatter_nd_update(rows, places[:, None], value)
    else:
        rows = tf.raw_ops.InplaceUpdate(x=rows, i=places, v=value)
    written = tf.reshape(rows, shape)
    written.set_shape(buffer.shape)
    return written


def _copies(compiled):
    # Only a loop in a graph that nobody differentiates lets go of what was.
    return compiled or tf.executing_eagerly() or record.could_possibly_record()


def _write_compiled(buffer, position, value):
    # XLA's operation has no gradient of its own.
    @tf.custom_gradient
    def write(buffer: Tensor, value: Tensor) -> tuple:
        def gradient(upstream: Tensor) -> tuple:
            rest = update(upstream, tf.zeros_like(value))
            return rest, tf.gather(upstream, position, axis=2)

        return update(buffer, value), gradient

    def update(buffer, value):
        rest = [0] * (len(buffer.shape) - 3)
        start = tf.stack([0, 0, position, *rest])
        value = tf.expand_dims(value, 2)
        return xla.dynamic_update_slice(buffer, value, start)

    return write(buffer, value)
