"""Learning rates at chosen steps, by hand."""

import keras
import numpy as np
import pytest

from keras_s2s.schedules import InverseSquareRoot


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_it_rises_to_the_peak_and_falls_with_the_root():
    schedule = InverseSquareRoot(0.5, warmup_steps=4)
    # Updates 1, 2, 4, 9 and 16; the sixteenth has half the peak.
    found = rates(schedule, [0, 1, 3, 8, 15])
    np.testing.assert_allclose(found, [0.125, 0.25, 0.5, 1 / 3, 0.25], 1e-6)


def test_it_is_the_schedule_of_vaswani():
    size, warmup = 512, 4000
    schedule = InverseSquareRoot((size * warmup) ** -0.5, warmup)
    for step in (1, 100, 4000, 100_000):
        expected = size**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert rates(schedule, [step - 1])[0] == pytest.approx(expected, 1e-5)


def test_an_optimizer_with_it_comes_back_from_its_config():
    optimizer = keras.optimizers.Adam(InverseSquareRoot(0.01, 10))
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(config)
    assert float(copy.learning_rate) == pytest.approx(0.001, 1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0.0, 10), r"`peak_learning_rate` must be a number in \(0.0, inf\)"),
        ((0.1, 0), "`warmup_steps` must be an integer >= 1"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        InverseSquareRoot(*arguments)
