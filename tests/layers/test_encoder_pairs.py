"""The laws, for the encoders of `tests/encoders.py`."""

import functools

import pytest

from tests import encoders
from tests import laws
from tests import numerics

CASES = [
    (law, name) for law in ("padding", "slopes") for name in encoders.PAIRS
]
CASES += [("steps", "gnmt")]


@pytest.mark.parametrize("law, name", CASES)
def test_a_law_holds(law, name):
    laws.LAWS[law](functools.partial(encoders.pair, name))


@pytest.mark.parametrize("name", ["convolutional", "pyramidal"])
def test_padding_changes_nothing_in_a_graph(name):
    laws.check_padding_changes_nothing(
        functools.partial(encoders.pair, name), numerics.in_graph
    )


def test_a_result_does_not_depend_on_its_batch():
    laws.check_independent_of_batch(
        encoders.model_of("pyramidal"), laws.SEARCHES["greedy"]()
    )
