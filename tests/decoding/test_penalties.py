"""Length penalties, by hand."""

import math

import numpy as np
import pytest

from keras_s2s.decoding.penalties import length_penalty_table
from keras_s2s.decoding.penalties import reachable_penalty_table


def test_gnmt():
    # ((5 + L) / 6) ** alpha: 1 at L = 1, 2 at L = 7.
    table = length_penalty_table("gnmt", 0.5, 7)
    assert table[1] == 1.0
    assert table[4] == np.float32(math.sqrt(1.5))
    assert table[7] == np.float32(math.sqrt(2.0))
    assert table.dtype == np.float32


def test_power():
    table = length_penalty_table("power", -2.0, 4)
    np.testing.assert_allclose(table[1:], [1, 1 / 4, 1 / 9, 1 / 16])


def test_none():
    assert length_penalty_table("none", 0.6, 3).tolist() == [1.0] * 4


def test_an_end_token_that_does_not_count_shortens_by_one():
    # The end token alone has a length of 0, which counts as 1 in a power.
    table = length_penalty_table("power", 1.0, 4, count_eos=False)
    assert table[1:].tolist() == [1.0, 1.0, 2.0, 3.0]
    table = length_penalty_table("gnmt", 1.0, 7, count_eos=False)
    np.testing.assert_allclose(table[[1, 2, 7]], [5 / 6, 1.0, 11 / 6])


def test_the_largest_penalty_ahead():
    rising = np.array([0.0, 1.0, 2.0, 4.0])
    assert reachable_penalty_table(rising).tolist() == [4.0, 4.0, 4.0]
    falling = np.array([9.0, 3.0, 2.0, 1.0])
    assert reachable_penalty_table(falling).tolist() == [3.0, 2.0, 1.0]


def test_an_unknown_penalty_is_refused():
    with pytest.raises(ValueError) as caught:
        length_penalty_table("wu", 0.6, 4)
    assert "Received: length_penalty='wu'." in str(caught.value)
