"""Picking by number, whatever the backend."""

import keras
from keras import ops

from keras_s2s.recurrence.program import Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
else:
    tf = None


def take(values: Tensor, places: Tensor) -> Tensor:
    """Picks along the first axis; as `ops.take`, but no place is negative.

    On TensorFlow it is one operation, and `ops.take` seven, which a loop of
    many steps feels.

    Args:
        values: tensor `(N, ...)`.
        places: int, of any shape, in [0, N).

    Returns:
        Tensor `(*places.shape, ...)`.
    """
    if tf is not None:
        return tf.gather(values, places)
    return ops.take(values, places, axis=0)


def gather_beams(values: Tensor, places: Tensor) -> Tensor:
    """Picks along the second axis, each row its own.

    Args:
        values: tensor `(B, C, ...)`.
        places: int32 `(B, K)`, in [0, C).

    Returns:
        Tensor `(B, K, ...)`.
    """
    if tf is not None:
        return tf.gather(values, places, batch_dims=1)
    batch_size, width, *rest = ops.shape(values)
    offsets = ops.expand_dims(ops.arange(batch_size, dtype="int32"), -1) * width
    flat = ops.reshape(values, (batch_size * width, *rest))
    picked = ops.take(flat, ops.reshape(places + offsets, (-1,)), axis=0)
    return ops.reshape(picked, (batch_size, ops.shape(places)[1], *rest))
