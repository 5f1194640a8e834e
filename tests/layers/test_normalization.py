"""Layer normalization: its values and gradients are those of Keras' own."""

import keras
import numpy as np
import pytest

from keras_s2s.layers.normalization import LayerNormalization
from keras_s2s.layers.normalization import make_norm
from tests import layer_checks
from tests import numerics


def rows(dtype="float64"):
    return np.random.default_rng(0).normal(2.0, 3.0, (5, 6)).astype(dtype)


def drawn(layer):
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


def test_rows_are_normalized():
    layer = drawn(make_norm("layer", 6, dtype="float64"))
    x = rows()
    scale, shift = layer.get_weights()
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(
        x.var(1, keepdims=True) + 1e-5
    )
    numerics.assert_close(layer(x), normal * scale + shift, 1e-12)


def test_gradients_are_those_of_each_operation():
    ours = drawn(LayerNormalization(epsilon=1e-5, dtype="float64"))
    x = keras.Variable(rows(), dtype="float64")
    ours(x), drawn(ours)
    theirs = keras.layers.LayerNormalization(epsilon=1e-5, dtype="float64")
    theirs(x)
    theirs.set_weights(ours.get_weights())
    weighing = np.random.default_rng(2).normal(size=(5, 6))
    results = [
        numerics.value_and_gradients(
            lambda layer=layer: keras.ops.sum(layer(x.value) * weighing),
            [x, *layer.trainable_weights],
        )
        for layer in (ours, theirs)
    ]
    numerics.assert_close(*results, 1e-10)


def test_three_axes_are_normalized_as_two():
    layer = drawn(make_norm("layer", 6))
    x = rows("float32")
    found = numerics.numpy(layer(x[None]))
    np.testing.assert_allclose(found[0], layer(x), rtol=1e-6)


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_it_keeps_what_layers_keep(kind):
    kinds = {"layer": LayerNormalization, "rms": keras.layers.RMSNormalization}
    layer_checks.check_layer(lambda **o: kinds[kind](**o), rows())


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="`normalization` must be one of"):
        make_norm("batch", 4)
