"""The laws, for Transformers, and for them together with recurrent layers."""

import functools

import pytest

from tests import laws
from tests import numerics
from tests import pairs

NAMES = [*pairs.TRANSFORMER_PAIRS, *pairs.MIXED_PAIRS]
BEAM_PAIRS = ["grouped", "transformer over rnn"]
every_pair = pytest.mark.parametrize("name", NAMES)
searched_pairs = pytest.mark.parametrize(
    "name, search",
    [("transformer", search) for search in laws.SEARCHES]
    + [(name, "beam") for name in BEAM_PAIRS],
)


@every_pair
@pytest.mark.parametrize("law", laws.LAWS)
def test_a_law_holds(law, name):
    laws.LAWS[law](functools.partial(pairs.pair, name))


@pytest.mark.parametrize("name", ["llama", "transformer over rnn"])
def test_padding_changes_nothing_in_a_graph(name):
    laws.check_padding_changes_nothing(
        functools.partial(pairs.pair, name), numerics.in_graph
    )


@every_pair
def test_a_beam_of_one_is_greedy(name):
    laws.check_beam_of_one_is_greedy(pairs.model_of(name))


@searched_pairs
def test_a_search_keeps_its_laws(name, search):
    laws.check_a_search(pairs.model_of(name), laws.SEARCHES[search]())


@pytest.mark.parametrize(
    "name", sorted({*NAMES} - {"transformer", *BEAM_PAIRS})
)
def test_scores_are_rescored(name):
    laws.check_scores_are_rescored(
        pairs.model_of(name), laws.SEARCHES["beam"]()
    )
