"""The benchmark's own way to load a model."""

import keras
import numpy as np

from tests.benchmarks import ctranslate2_agreement


def test_mixed_precision_is_loaded_in_float32(tmp_path):
    layer = keras.layers.Dense(2, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "mixed.keras")
    loaded = ctranslate2_agreement.load_in_float32(tmp_path / "mixed.keras")
    assert [one.compute_dtype for one in loaded.layers] == ["float32"]
    inputs = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(loaded(inputs), inputs @ kernel + bias, 1e-4)
