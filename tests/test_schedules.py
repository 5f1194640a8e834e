"""Learning rates and probabilities at chosen steps, by hand."""

import math

import keras
import numpy as np
import pytest

from keras_s2s.schedules import Exponential
from keras_s2s.schedules import InverseSigmoid
from keras_s2s.schedules import InverseSquareRoot
from keras_s2s.schedules import Linear


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


def test_probabilities_are_those_of_bengio():
    """One minus epsilon, as section 2.4 writes it."""
    for step in (0, 1, 7, 40, 1000):
        linear = max(0.25, 0.9 - 0.01 * step)  # epsilon, k and c
        exponential = 0.95**step
        sigmoid = 20 / (20 + math.exp(step / 20))
        found = [
            rates(schedule, [step])[0]
            for schedule in (
                Linear(65, initial=0.1, maximum=0.75),
                Exponential(0.95),
                InverseSigmoid(20),
            )
        ]
        epsilons = [linear, exponential, sigmoid]
        np.testing.assert_allclose(1 - np.array(found), epsilons, 1e-5, 1e-6)


def test_a_maximum_is_never_passed():
    for schedule in (Linear(9), Exponential(0.9), InverseSigmoid(3)):
        schedule.maximum = 0.5
        copy = type(schedule).from_config(schedule.get_config())
        assert rates(copy, [1000]) == [0.5]


@pytest.mark.parametrize(
    "schedule, arguments, message",
    [
        (
            InverseSquareRoot,
            (0.0, 10),
            r"`peak_learning_rate` must be a number in \(0.0, inf\)",
        ),
        (
            InverseSquareRoot,
            (0.1, 0),
            "`warmup_steps` must be an integer >= 1",
        ),
        (Linear, (0,), "`steps` must be an integer >= 1"),
        (Linear, (9, 0.6, 0.5), r"`initial` must be a number in \[0.0, 0.5\]"),
        (Exponential, (1.0,), r"`base` must be a number in \(0.0, 1.0\)"),
        (InverseSigmoid, (0.5,), r"`scale` must be a number in \[1.0, inf\)"),
        (InverseSigmoid, (9, 1.5), r"`maximum` must be a number in \[0.0, 1"),
    ],
)
def test_arguments_are_checked(schedule, arguments, message):
    with pytest.raises(ValueError, match=message):
        schedule(*arguments)
