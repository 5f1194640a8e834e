"""The mean of saved models."""

import keras
import numpy as np
import pytest

from keras_s2s.models import average_models


def save(path, units=2, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(units, bias_initializer="uniform"),
        keras.layers.Dropout(0.5),
    ]
    model = keras.Sequential(layers)
    model.save(path)
    return model.get_weights()


def test_float_weights_are_averaged(tmp_path):
    paths = [tmp_path / f"{seed}.keras" for seed in range(3)]
    weights = [save(path, seed=seed) for seed, path in enumerate(paths)]
    model = average_models(paths)
    for found, variable, *parts in zip(
        model.get_weights(), model.weights, *weights, strict=True
    ):
        if keras.backend.is_float_dtype(variable.dtype):
            expected = np.mean(parts, axis=0)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        else:  # the state of dropout
            np.testing.assert_array_equal(found, parts[-1])


def test_files_of_other_models_are_refused(tmp_path):
    paths = [tmp_path / "0.keras", tmp_path / "1.keras"]
    for units, path in enumerate(paths, start=2):
        save(path, units)
    with pytest.raises(ValueError, match="`paths` must be files of one model"):
        average_models(paths)
    for none in ([], paths[0], str(paths[0])):
        with pytest.raises(ValueError, match="`paths` must be a sequence of"):
            average_models(none)
