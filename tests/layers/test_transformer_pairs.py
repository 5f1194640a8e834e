"""The laws, for Transformers, and for them together with recurrent layers."""

import functools

import pytest

from tests import laws

NAMES = [*laws.TRANSFORMER_PAIRS, *laws.MIXED_PAIRS]
every_pair = pytest.mark.parametrize("name", NAMES)
searched_pairs = pytest.mark.parametrize(
    "name, search",
    [("transformer", search) for search in laws.SEARCHES]
    + [(name, "beam") for name in ("grouped", "transformer over rnn")],
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


@every_pair
def test_scores_are_rescored(name):
    laws.check_scores_are_rescored(laws.model_of(name), laws.SEARCHES["beam"]())
