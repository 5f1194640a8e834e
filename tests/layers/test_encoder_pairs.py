"""The laws, for the encoders of `tests/encoders.py`."""

import functools

import pytest

from tests import encoders
from tests import laws

every_pair = pytest.mark.parametrize("name", encoders.PAIRS)


def maker(name):
    return functools.partial(encoders.pair, name)


@every_pair
def test_padding_changes_nothing(name):
    laws.check_padding_changes_nothing(maker(name))


@every_pair
def test_gradients_are_slopes(name):
    laws.check_finite_differences(maker(name))


def test_steps_equal_whole():
    laws.check_steps_equal_whole(maker("gnmt"))


def test_a_result_does_not_depend_on_its_batch():
    laws.check_independent_of_batch(
        encoders.model_of("pyramidal"), laws.SEARCHES["greedy"]()
    )
