"""Work on rows of a vocabulary on TensorFlow."""

from typing import Any
from typing import TypeAlias

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

Tensor: TypeAlias = Any


def sum_exponentials(logits: Tensor, highest: Tensor) -> Tensor:
    """As `recurrence.sum_exponentials`.

    The likeliest has a probability of one over the sum. A softmax is one pass
    over the logits where differences, exponentials and their sum are three:
    for 128 rows of 8,000, 0.46 ms instead of 0.76 on 2 cores. XLA makes one
    of the three, and two of the softmax.
    """
    if _compiles():
        return tf.reduce_sum(tf.exp(logits - highest), axis=-1, keepdims=True)
    probabilities = tf.nn.softmax(logits)
    return 1.0 / tf.reduce_max(probabilities, axis=-1, keepdims=True)


def add_at(values: Tensor, columns: Tensor, updates: Tensor) -> Tensor:
    """As `recurrence.add_at`.

    It adds where the values are, if nothing else reads them. An update of a
    tensor copies it: of 1,046 rows of 8,000, 4 ms on one core.
    """
    rows = tf.range(tf.shape(values, out_type=tf.int64)[0])
    # With 32 bits a place in more than 2 ** 31 values would be another one.
    columns = tf.cast(columns, tf.int64)
    places = tf.concat([rows[:, None], columns], axis=1)
    if _compiles():
        return tf.tensor_scatter_nd_add(values, places, updates[:, 0])
    return tf.raw_ops.ScatterNdNonAliasingAdd(
        input=values, indices=places, updates=updates[:, 0]
    )


def multiply_transposed(inputs: Tensor, weights: Tensor) -> Tensor:
    """As `recurrence.multiply_transposed`.

    The gradient of a transposed tensor is itself transposed, in a pass more.
    """
    return tf.matmul(inputs, weights, transpose_b=True)


def _compiles():
    graph = tf.compat.v1.get_default_graph()
    return control_flow_util.GraphOrParentsInXlaContext(graph)
