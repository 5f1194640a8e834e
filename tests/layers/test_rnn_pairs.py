"""The laws, for every kind of recurrent encoder and decoder."""

import functools

import pytest

from tests import laws

every_pair = pytest.mark.parametrize("name", laws.PAIRS)
# Every pair with one search, one pair with every search.
searched_pairs = pytest.mark.parametrize(
    "name, search",
    [(name, "beam") for name in laws.PAIRS]
    + [("default", search) for search in laws.SEARCHES if search != "beam"],
)


def maker(name):
    return functools.partial(laws.pair, name)


@every_pair
def test_padding_changes_nothing(name):
    laws.check_padding_changes_nothing(maker(name))


@every_pair
def test_steps_equal_whole(name):
    laws.check_steps_equal_whole(maker(name))


@every_pair
def test_gradients_are_slopes(name):
    laws.check_finite_differences(maker(name))


@every_pair
def test_beams_are_queries(name):
    laws.check_beams_are_queries(maker(name))


@every_pair
def test_a_beam_of_one_is_greedy(name):
    laws.check_beam_of_one_is_greedy(laws.model_of(name))


@searched_pairs
def test_a_result_does_not_depend_on_its_batch(name, search):
    laws.check_independent_of_batch(
        laws.model_of(name), laws.SEARCHES[search]()
    )


@searched_pairs
def test_scores_are_rescored(name, search):
    laws.check_scores_are_rescored(laws.model_of(name), laws.SEARCHES[search]())
