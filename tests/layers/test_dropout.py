"""How much dropout drops, what it scales, and that it draws anew."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers.dropout import Dropout
from tests import layer_checks
from tests import numerics

SHAPE = (400, 501)  # odd: the last random word is used in part


def dropped(rate, seed=0):
    layer = Dropout(rate, seed=seed)
    return numerics.numpy(layer(ops.ones(SHAPE), training=True))


# In 8 bits an element 26 / 256 and 77 / 256; in 16 bits 0.01 and 0.25.
@pytest.mark.parametrize(
    "rate, share",
    [(0.1, 26 / 256), (0.3, 77 / 256), (0.01, 0.01), (0.25, 0.25)],
)
def test_the_share_of_zeros_is_the_rate(rate, share):
    values = dropped(rate)
    count = values.size
    # Five standard deviations of a binomial.
    allowed = 5 * (share * (1 - share) / count) ** 0.5
    assert abs(np.mean(values == 0.0) - share) <= allowed


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.01])
def test_the_mean_stays(rate):
    values = dropped(rate)
    kept = np.unique(values[values != 0.0])
    assert len(kept) == 1
    spread = (rate / (1 - rate) / values.size) ** 0.5
    assert abs(np.mean(values) - 1.0) <= 5 * spread


def test_zeros_lie_anywhere():
    is_zero = dropped(0.5) == 0.0
    for axis in (0, 1):
        deviation = np.std(np.mean(is_zero, axis=axis))
        assert deviation <= 2 * 0.5 / is_zero.shape[axis] ** 0.5


def test_each_call_draws_anew_and_a_seed_says_what():
    layer = Dropout(0.5, seed=1)
    one, other = (
        numerics.numpy(layer(ops.ones(SHAPE), training=True)) for _ in range(2)
    )
    assert np.mean(one == other) < 0.6
    np.testing.assert_array_equal(dropped(0.5, seed=1), one)


def test_its_gradient_has_the_same_zeros():
    layer = Dropout(0.3, seed=0)
    inputs = ops.convert_to_tensor(np.full(SHAPE, 2.0, "float32"))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
    gradient = tape.gradient(outputs, inputs)
    np.testing.assert_allclose(outputs, 2 * gradient)


@pytest.mark.parametrize("rate, training", [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_outside_of_training(rate, training):
    inputs = np.arange(6.0, dtype="float32").reshape(2, 3)
    outputs = Dropout(rate)(inputs, training=training)
    np.testing.assert_array_equal(numerics.numpy(outputs), inputs)


def test_it_keeps_what_layers_keep():
    layer_checks.check_layer(lambda **o: Dropout(0.5, **o), np.ones((2, 3)))
