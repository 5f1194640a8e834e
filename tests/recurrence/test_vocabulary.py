"""Rows of a vocabulary: values beside NumPy, in a graph and compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.recurrence import add_at
from keras_s2s.recurrence import multiply_transposed
from keras_s2s.recurrence import sum_exponentials

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(5, 7)).astype("float32")
COLUMNS = np.array([[0], [6], [3], [3], [1]], "int32")
UPDATES = RANDOM.normal(size=(5, 1)).astype("float32")


def check_an_update_is_added(function):
    expected = VALUES.copy()
    expected[np.arange(5), COLUMNS[:, 0]] += UPDATES[:, 0]
    found, doubled = function(VALUES / 2, COLUMNS, UPDATES)
    np.testing.assert_array_equal(found, expected)
    # Who else reads the values sees no update.
    np.testing.assert_array_equal(doubled, VALUES)


def add(halves, columns, updates):
    values = halves + halves
    return add_at(values, columns, updates), values


def test_an_update_is_added():
    check_an_update_is_added(
        lambda *tensors: add(*map(keras.ops.convert_to_tensor, tensors))
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_an_update_is_added_in_a_graph(compiled):
    specs = [
        tf.TensorSpec((None, 7), "float32"),
        tf.TensorSpec((None, 1), "int32"),
        tf.TensorSpec((None, 1), "float32"),
    ]
    check_an_update_is_added(
        tf.function(add, input_signature=specs, jit_compile=compiled)
    )


def test_no_rows_have_no_update():
    found = add_at(
        tf.zeros((0, 7)), tf.zeros((0, 1), "int32"), tf.zeros((0, 1))
    )
    assert found.shape == (0, 7)


@pytest.mark.parametrize("compiled", [False, True])
def test_exponentials_are_summed(compiled):
    function = tf.function(sum_exponentials, jit_compile=compiled)
    found = function(VALUES, VALUES.max(1, keepdims=True))
    expected = np.exp(VALUES - VALUES.max(1, keepdims=True)).sum(1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_rows_are_multiplied_by_an_embedding():
    embedding = RANDOM.normal(size=(4, 7)).astype("float32")
    rows, weights = tf.constant(VALUES), tf.constant(embedding)
    weighing = RANDOM.normal(size=(5, 4)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch([rows, weights])
        found = multiply_transposed(rows, weights)
        total = tf.reduce_sum(found * weighing)
    np.testing.assert_allclose(found, VALUES @ embedding.T, rtol=1e-5)
    by_rows, by_weights = tape.gradient(total, [rows, weights])
    np.testing.assert_allclose(by_rows, weighing @ embedding, rtol=1e-5)
    np.testing.assert_allclose(by_weights, weighing.T @ VALUES, rtol=1e-5)
