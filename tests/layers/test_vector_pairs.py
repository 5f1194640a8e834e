"""The laws, for encoders and decoders of vectors."""

import functools

import numpy as np
import pytest

from tests import laws
from tests import numerics
from tests import pairs

CASES = [
    (law, name)
    for law in laws.LAWS
    for name in pairs.VECTOR_PAIRS
    if law == "padding" or name in ("R to R", "T to T")
]


@pytest.mark.parametrize("law, name", CASES)
def test_a_law_holds(law, name):
    laws.LAWS[law](functools.partial(pairs.pair, name))


@pytest.mark.parametrize("name", ["R to R"])
def test_padding_changes_nothing_in_a_graph(name):
    laws.check_padding_changes_nothing(
        functools.partial(pairs.pair, name), numerics.in_graph
    )


def test_a_search_reads_vectors():
    model, search = pairs.model_of("R to words"), laws.SEARCHES["greedy"]()
    source = pairs.examples(model.encoder, model.decoder)[0]
    expected = laws.search_with(model, search, source)
    found = laws.search_with(model, search, pairs.pad(source[1:2, :1], 3))
    np.testing.assert_array_equal(found["ids"], expected["ids"][1:2])
