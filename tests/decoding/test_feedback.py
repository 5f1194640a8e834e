"""A loop over a step of numbers, without a network."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding.feedback import feed_back
from tests import numerics


def step(vectors, state, context, position):
    """Adds the context, and counts: position and state must go together."""
    total = state["total"] + vectors
    vectors = vectors * 2.0 + context + ops.cast(position, "float32")
    return vectors, {"total": total, "cache": [state["cache"][0] + 1]}


def test_each_step_reads_what_the_last_one_wrote():
    start = np.array([[[1.0, -1.0]], [[0.0, 5.0]]], "float32")
    state = {
        "total": ops.zeros((2, 1, 2)),
        "cache": [ops.zeros((2, 1), "int32")],
    }
    context = np.array([[[0.5, 0.0]], [[1.0, 2.0]]], "float32")
    found = numerics.numpy(feed_back(step, state, context, start, 4))
    expected, vectors = [], start
    for position in range(4):
        vectors = vectors * 2 + context + position
        expected.append(vectors)
    np.testing.assert_array_equal(found, np.stack(expected, axis=2))
    assert found.shape == (2, 1, 4, 2)


def test_a_step_may_be_compiled_and_of_an_unknown_batch():
    layer = keras.layers.Lambda(lambda x: feed_back(double, {}, None, x, 3))
    model = keras.Sequential([keras.Input((1, 2)), layer])
    for jit_compile in (False, True):
        model.compile(jit_compile=jit_compile)
        found = model.predict(np.ones((3, 1, 2)), verbose=0)
        np.testing.assert_array_equal(found[2, 0, :, 1], [2, 4, 8])


def double(vectors, state, context, position):
    return vectors * 2, state


def test_gradients_flow_through_all_steps():
    factor = keras.Variable(3.0)

    def grow(vectors, state, context, position):
        return vectors * factor, state

    def total():
        return ops.sum(feed_back(grow, {}, None, ops.ones((1, 1, 1)), 4))

    value, (gradient,) = numerics.value_and_gradients(total, [factor])
    # w + w^2 + w^3 + w^4, and its derivative.
    assert float(value) == 3 + 9 + 27 + 81
    assert float(gradient) == 1 + 6 + 27 + 108


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="`num_steps` must be an integer >= 1"):
        feed_back(double, {}, None, np.ones((1, 1, 1)), 0)
