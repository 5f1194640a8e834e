"""The laws, for encoders and decoders of vectors."""

import functools

import numpy as np
import pytest

from tests import laws


def maker(name):
    return functools.partial(laws.pair, name)


@pytest.mark.parametrize("name", laws.VECTOR_PAIRS)
def test_padding_changes_nothing(name):
    laws.check_padding_changes_nothing(maker(name))


@pytest.mark.parametrize("name", ["R to R", "T to T"])
def test_steps_equal_whole(name):
    laws.check_steps_equal_whole(maker(name))


@pytest.mark.parametrize("name", ["R to R", "T to T"])
def test_gradients_are_slopes(name):
    laws.check_finite_differences(maker(name))


@pytest.mark.parametrize("name", ["R to R", "T to T"])
def test_beams_are_queries(name):
    laws.check_beams_are_queries(maker(name))


def test_a_search_reads_vectors():
    model, search = laws.model_of("R to words"), laws.SEARCHES["greedy"]()
    source = laws.examples(model.encoder, model.decoder)[0]
    expected = laws.search_with(model, search, source)
    found = laws.search_with(model, search, laws.pad(source[1:2, :1], 3))
    np.testing.assert_array_equal(found["ids"], expected["ids"][1:2])
