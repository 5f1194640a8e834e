import numpy as np
import pytest

from keras_s2s.data import pad_rows

NAN = np.nan


def test_ids_are_padded_on_the_right():
    found = pad_rows([[5, 6, 3], [], [7]])
    assert found.dtype == "int32"
    assert found.tolist() == [[5, 6, 3], [0, 0, 0], [7, 0, 0]]
    assert pad_rows([[5]], 9, multiple=4).tolist() == [[5, 9, 9, 9]]
    assert pad_rows([]).shape == (0, 1)


def test_vectors_are_padded_with_what_is_no_number():
    rows = [np.zeros((0, 2)), [[1.0, 2.0]], np.array([[3, 4], [5, 6]])]
    found = pad_rows(rows, NAN)
    assert found.dtype == "float32"
    expected = [[[NAN] * 2] * 2, [[1, 2], [NAN] * 2], [[3, 4], [5, 6]]]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pad_rows([[0.5], [1, 2]], -1.0)[0], [0.5, -1])


def test_rows_of_different_vectors_are_refused():
    with pytest.raises(
        ValueError,
        match=r"`rows\[1\]` must be of shape \('S', 2\), as those before it. "
        r"Received: rows\[1\]=\(1, 3\)",
    ):
        pad_rows([np.ones((4, 2)), np.ones((1, 3))], NAN)
