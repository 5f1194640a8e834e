"""Positions as rows and back, and that each is the other's gradient."""

import keras
import numpy as np

from keras_s2s.layers.rows import AllRows
from keras_s2s.layers.rows import RealRows
from keras_s2s.layers.rows import arrange_rows
from tests import numerics

MASK = np.array([[True, True, False], [True, False, False]])
GRID = np.arange(12.0, dtype="float32").reshape(2, 3, 2)


def test_all_rows_are_a_reshape():
    rows = AllRows((2, 3))
    flat = numerics.numpy(rows.pack(keras.ops.convert_to_tensor(GRID)))
    np.testing.assert_array_equal(flat, GRID.reshape(6, 2))
    np.testing.assert_array_equal(numerics.numpy(rows.unpack(flat)), GRID)


def test_real_rows_leave_padding_out():
    rows = RealRows(keras.ops.convert_to_tensor(MASK))
    flat = numerics.numpy(rows.pack(keras.ops.convert_to_tensor(GRID)))
    np.testing.assert_array_equal(flat, [[0, 1], [2, 3], [6, 7]])
    grid = numerics.numpy(rows.unpack(keras.ops.convert_to_tensor(flat)))
    np.testing.assert_array_equal(grid, GRID * MASK[..., None])


def test_there_may_be_no_real_row():
    rows = RealRows(keras.ops.convert_to_tensor(np.zeros_like(MASK)))
    flat = rows.pack(keras.ops.convert_to_tensor(GRID))
    assert flat.shape[0] == 0
    grid = numerics.numpy(rows.unpack(flat))
    np.testing.assert_array_equal(grid, np.zeros_like(GRID))


def test_gradients_go_the_other_way():
    rows = RealRows(keras.ops.convert_to_tensor(MASK))
    grid = keras.Variable(GRID)
    flat = keras.Variable(np.ones((3, 2), "float32"))
    weighing = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "float32")
    _, (found,) = numerics.value_and_gradients(
        lambda: keras.ops.sum(rows.pack(grid.value) * weighing), [grid]
    )
    expected = np.zeros((2, 3, 2))
    expected[0, 0], expected[0, 1], expected[1, 0] = weighing
    np.testing.assert_array_equal(numerics.numpy(found), expected)
    _, (found,) = numerics.value_and_gradients(
        lambda: keras.ops.sum(rows.unpack(flat.value) * GRID), [flat]
    )
    np.testing.assert_array_equal(numerics.numpy(found), GRID[MASK])


def test_xla_gets_every_row():
    mask = keras.ops.convert_to_tensor(MASK)
    assert isinstance(arrange_rows(mask, compiled=True), AllRows)
    if keras.backend.backend() == "tensorflow":
        assert isinstance(arrange_rows(mask, compiled=False), RealRows)
