"""A dense layer in halves gives what it gives whole."""

import keras
import numpy as np
import pytest

from keras_s2s.layers import dense
from keras_s2s.layers.feed_forward import FeedForward
from tests import numerics
from tests import pairs

INPUTS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def make(units=6, **options):
    layer = dense.Dense(units, **{"bias_initializer": "ones", **options})
    layer.build((None, 4))
    return layer


def spy_on_products(monkeypatch):
    """Returns a list that fills with the widths of what is multiplied."""
    widths, matmul = [], keras.ops.matmul

    def multiply(inputs, kernel):
        widths.append(kernel.shape[1])
        return matmul(inputs, kernel)

    monkeypatch.setattr(dense.ops, "matmul", multiply)
    return widths


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_bias": False},
        {"activation": "relu"},
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_halves_give_what_the_whole_gives(options, monkeypatch):
    layer = make(**options)
    expected = layer(INPUTS)
    widths = spy_on_products(monkeypatch)
    with dense.in_halves(layer):
        found = layer(INPUTS)
    assert widths == [3, 3]
    assert found.dtype == expected.dtype
    tolerance = 1e-6 if layer.compute_dtype == "float32" else 1e-2
    numerics.assert_close(
        *(keras.ops.cast(values, "float32") for values in (found, expected)),
        tolerance,
    )
    widths.clear()
    layer(INPUTS)
    assert widths == []  # Keras' own again


def test_layers_inside_are_found(monkeypatch):
    layer = FeedForward(8)
    layer.build((None, 4))
    widths = spy_on_products(monkeypatch)
    with dense.in_halves(layer):
        layer(INPUTS)
    assert widths == [4, 4, 2, 2]


def test_what_has_no_halves_stays_whole(monkeypatch):
    odd, quantized = make(5), make()
    quantized.quantize("int8")
    monkeypatch.setattr(dense.ops, "split", lambda *args: pytest.fail("cut"))
    for layer in (odd, quantized):
        expected = layer(INPUTS)
        with dense.in_halves(layer):
            numerics.assert_close(layer(INPUTS), expected, 1e-6)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_compiled_search_multiplies_by_halves(has_gpu, monkeypatch):
    import tensorflow as tf

    from keras_s2s.models import InferenceModel
    from keras_s2s.models import compiled

    halved, in_halves = [], compiled.in_halves

    def note(layer):
        halved.append(layer)
        return in_halves(layer)

    devices = ["a GPU"] if has_gpu else []
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: devices
    )
    monkeypatch.setattr(compiled, "in_halves", note)
    model = pairs.model_of("transformer")
    inference = InferenceModel(model, max_length=3)
    source_ids = pairs.sentences()[0]
    expected = numerics.numpy(inference(source_ids))
    assert halved == []
    inference.compile(jit_compile=True)
    numerics.assert_close(inference(source_ids), expected, 1e-5)
    assert halved == ([] if has_gpu else [inference.decoder])
