"""The position-wise network against NumPy."""

import numpy as np
import pytest

from keras_s2s.layers.feed_forward import FeedForward
from tests import layer_checks
from tests import numerics
from tests.layers import transformers

every_activation = pytest.mark.parametrize(
    "activation", ["relu", "gelu", "swiglu"]
)
INPUTS = np.random.default_rng(0).normal(size=(5, 4))


@every_activation
def test_it_equals_a_slow_one(activation):
    layer = FeedForward(6, activation, dtype="float64")
    layer.build((None, 4))
    random = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    expected = transformers.feed(layer, INPUTS)
    numerics.assert_close(layer(INPUTS), expected, 1e-7)


@every_activation
def test_it_keeps_what_a_layer_keeps(activation):
    layer_checks.check_layer(
        lambda **o: FeedForward(6, activation, 0.1, **o), INPUTS
    )


def test_dropout_acts_in_training_only():
    layer = FeedForward(6, dropout=0.5)
    first, second, trained = (
        numerics.numpy(layer(INPUTS, training=training))
        for training in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hidden_dim": 0}, "`hidden_dim` must be an integer >= 1"),
        ({"activation": "tanh"}, r"`activation` must be one of \['relu', "),
        ({"dropout": 1.0}, r"`dropout` must be a number in \[0.0, 1.0\)"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FeedForward(**{"hidden_dim": 6, **options})
