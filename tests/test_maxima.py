"""The first maximum of a row is NumPy's."""

import math

import numpy as np
import pytest
from keras import ops

from keras_s2s.maxima import first_maximum


@pytest.mark.parametrize("size", [1, 2, 7, 4001, 8000])
@pytest.mark.parametrize("num_values", [3, 10**6])
def test_it_is_the_first_of_the_largest(size, num_values):
    random = np.random.default_rng(size)
    values = random.integers(num_values, size=(9, size)).astype("float32")
    values[1] = -math.inf
    values[2, : size - 1] = -math.inf
    values[3] = -np.arange(size) * 0.0
    values[4] = math.nan
    maxima, places = first_maximum(ops.convert_to_tensor(values))
    maxima, places = ops.convert_to_numpy(maxima), ops.convert_to_numpy(places)
    assert places.dtype == "int32"
    assert 0 <= places[4, 0] < size
    rows = [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(places[rows, 0], np.argmax(values[rows], -1))
    np.testing.assert_array_equal(maxima[rows, 0], np.max(values[rows], -1))
