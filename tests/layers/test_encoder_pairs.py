"""The laws, for encoders that are neither recurrent nor Transformers alone."""

import functools

import pytest

from tests import encoders
from tests import laws

every_pair = pytest.mark.parametrize("name", encoders.PAIRS)
searched_pairs = pytest.mark.parametrize(
    "name, search", [("convolutional", "greedy"), ("pyramidal", "beam")]
)


def maker(name):
    return functools.partial(encoders.pair, name)


@every_pair
def test_padding_changes_nothing(name):
    laws.check_padding_changes_nothing(maker(name))


@every_pair
def test_gradients_are_slopes(name):
    laws.check_finite_differences(maker(name))


@every_pair
def test_steps_equal_whole(name):
    laws.check_steps_equal_whole(maker(name))


@searched_pairs
def test_a_result_does_not_depend_on_its_batch(name, search):
    laws.check_independent_of_batch(
        encoders.model_of(name), laws.SEARCHES[search]()
    )


@searched_pairs
def test_scores_are_rescored(name, search):
    laws.check_scores_are_rescored(
        encoders.model_of(name), laws.SEARCHES[search]()
    )
