import sys

import keras
import numpy as np
import pytest

from examples import forecast


def test_the_last_day_is_what_the_naive_forecast_says():
    source, target = forecast.make_data(3, np.random.default_rng(0))
    assert source.shape == (3, 14, 96) and target.shape == (3, 7, 96)
    hours = source.reshape(3, 14 * 24, 4)
    np.testing.assert_allclose(hours.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(hours.std(axis=1), 1, rtol=1e-4)


def test_the_series_are_coupled():
    grids = forecast.draw_grids(50, np.random.default_rng(0))
    line, town = grids[..., 3], grids[..., 0]
    found = [np.corrcoef(*pair)[0, 1] for pair in zip(line, town)]
    assert np.mean(found) > 0.3


def test_a_constant_series_is_only_shifted():
    grids = np.full((1, forecast.NUM_HOURS, 4), 7.0)
    np.testing.assert_array_equal(forecast.standardize(grids), 0.0)


@pytest.mark.slow
def test_the_example_runs(monkeypatch, tmp_path, capsys):
    options = ["--grids=64", "--epochs=1", "--units=8"]
    monkeypatch.setattr(
        sys, "argv", ["forecast.py", *options, f"--output={tmp_path}"]
    )
    monkeypatch.setattr(forecast, "NUM_HELD_OUT", 20)
    forecast.main()
    assert "On 20 held-out grids: " in capsys.readouterr().out
    assert (tmp_path / "forecast.png").stat().st_size > 1000
    forecaster = keras.saving.load_model(tmp_path / "forecast.keras")
    days = [np.zeros((2, 96)), np.ones((5, 96))]
    assert forecaster.predict(days, verbose=0).shape == (2, 7, 96)
