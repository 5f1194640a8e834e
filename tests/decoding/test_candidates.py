"""The pieces that the searches share, against NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s.decoding.candidates import best_first
from keras_s2s.decoding.candidates import log_normalizer
from keras_s2s.decoding.candidates import only_legal
from keras_s2s.decoding.candidates import top_candidates


# Short rows, rows that divide into blocks, and a prime number of columns.
@pytest.mark.parametrize("size", [7, 1024, 2000, 4001, 8000])
@pytest.mark.parametrize("count", [1, 4, 7])
@pytest.mark.parametrize("num_values", [3, 10**6])
def test_top_candidates_are_those_of_a_stable_sort(size, count, num_values):
    random = np.random.default_rng(size)
    # Few values: many are equal, and the lower id must come first.
    logits = random.integers(num_values, size=(9, size)).astype("float32")
    logits[1] = -math.inf
    logits[2, : size - 2] = -math.inf
    logits[3] = 1.0
    values, ids = top_candidates(ops.convert_to_tensor(logits), count)
    expected = np.argsort(-logits, axis=-1, kind="stable")[:, :count]
    np.testing.assert_array_equal(ops.convert_to_numpy(ids), expected)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(values), np.take_along_axis(logits, expected, -1)
    )


def test_all_of_a_long_row_can_be_candidates():
    logits = np.random.default_rng(0).normal(size=(2, 1500)).astype("float32")
    _, ids = top_candidates(ops.convert_to_tensor(logits), 1500)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ids), np.argsort(-logits, axis=-1)
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_normalizer_is_finite_whatever_is_legal(jit_compile):
    logits = np.array(
        [[1000.0, 1000.0, -math.inf], [-math.inf] * 3, [-2000.0] * 3],
        "float32",
    )
    run = tf.function(log_normalizer, jit_compile=jit_compile, autograph=False)
    result = run(logits, logits)
    expected = [[1000.0 + math.log(2)], [0.0], [-2000.0 + math.log(3)]]
    np.testing.assert_allclose(ops.convert_to_numpy(result), expected)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("size", [1, 2, 8000])
def test_the_normalizer_is_that_of_double_precision(size, jit_compile):
    logits = np.random.default_rng(size).normal(0.0, 8.0, (9, size))
    expected = np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    logits = logits.astype("float32")
    run = tf.function(log_normalizer, jit_compile=jit_compile, autograph=False)
    np.testing.assert_allclose(run(logits, logits), expected, rtol=1e-6)


def test_nan_is_the_score_of_nothing():
    result = only_legal(np.array([math.nan, -math.inf, -1.0], "float32"))
    expected = [-math.inf, -math.inf, -1.0]
    assert ops.convert_to_numpy(result).tolist() == expected


def test_equals_keep_their_order():
    scores = np.array([[1.0, 2.0, 1.0, 2.0, -math.inf, -math.inf]])
    order = best_first(ops.convert_to_tensor(scores), 6)
    assert ops.convert_to_numpy(order).tolist() == [[1, 3, 0, 2, 4, 5]]
