"""Picking by number, beside NumPy: at once, in a graph and compiled."""

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.recurrence import gather_beams
from keras_s2s.recurrence import take

VALUES = np.arange(24).reshape(2, 4, 3)
WAYS = {
    "eager": lambda function: function,
    "graph": tf.function,
    "compiled": lambda function: tf.function(function, jit_compile=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_beams_are_gathered_within_their_row(way):
    places = np.array([[3, 0], [1, 1]], "int32")
    expected = [[VALUES[0, 3], VALUES[0, 0]], [VALUES[1, 1], VALUES[1, 1]]]
    found = WAYS[way](gather_beams)(tf.constant(VALUES), tf.constant(places))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("places", [1, [1, 0, 1], [[0], [1]]])
def test_places_are_taken(way, places):
    found = WAYS[way](take)(tf.constant(VALUES), tf.constant(places))
    np.testing.assert_array_equal(found, VALUES[places])
