"""The laws, for every kind of recurrent encoder and decoder."""

import functools

import pytest

from tests import laws
from tests import numerics
from tests import pairs

every_pair = pytest.mark.parametrize("name", pairs.PAIRS)
# Every pair with one search, one pair with every search.
searched_pairs = pytest.mark.parametrize(
    "name, search",
    [(name, "beam") for name in pairs.PAIRS]
    + [("default", search) for search in laws.SEARCHES if search != "beam"],
)


@every_pair
@pytest.mark.parametrize("law", laws.LAWS)
def test_a_law_holds(law, name):
    laws.LAWS[law](functools.partial(pairs.pair, name))


@pytest.mark.parametrize("name", ["luong", "sutskever"])
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
