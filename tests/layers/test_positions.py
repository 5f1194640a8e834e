"""What tells a position, by hand."""

import math

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers.positions import GridPositions
from keras_s2s.layers.positions import Positions
from keras_s2s.layers.positions import rotate
from keras_s2s.layers.positions import sinusoids
from tests import layer_checks
from tests import numerics
from tests.layers import transformers

KINDS = ["sinusoidal", "learned", "rotary", None]


@pytest.mark.parametrize("size", [1, 2, 6, 7])
def test_sinusoids_are_those_of_a_loop(size):
    found = numerics.numpy(sinusoids(ops.arange(9), size, "float64"))
    for position in range(9):
        expected = transformers.sinusoid(position, size)
        np.testing.assert_allclose(found[position], expected, atol=1e-12)


def test_wavelengths_go_from_one_to_the_base():
    # Sines and cosines of 5 and of 5 / 10000.
    found = numerics.numpy(sinusoids(ops.array(5), 4, "float64"))
    angles = (5.0, 0.0005)
    expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    np.testing.assert_allclose(found, expected)


def test_far_positions_are_exact_in_half_precision():
    """float16 does not know 2049."""
    full = numerics.numpy(sinusoids(ops.array([2049]), 8, "float32"))
    half = numerics.numpy(sinusoids(ops.array([2049]), 8, "float16"))
    np.testing.assert_allclose(half, full, atol=1e-3)


def test_rotation_is_that_of_a_loop():
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 6))
    found = numerics.numpy(rotate(ops.array(values), ops.arange(4)))
    for index in np.ndindex(2, 3, 4):
        expected = transformers.rotated(values[index], index[2])
        np.testing.assert_allclose(found[index], expected, atol=1e-12)


def test_products_of_rotated_vectors_depend_on_their_distance():
    query, key = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8))

    def product(first, second):
        places = (ops.array([first]), ops.array([second]))
        turned = [
            numerics.numpy(rotate(ops.array(x), place))[0, 0, 0]
            for x, place in zip((query, key), places)
        ]
        return turned[0] @ turned[1]

    np.testing.assert_allclose(product(3, 7), product(13, 17))
    assert abs(product(3, 7) - product(3, 8)) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_what_a_layer_keeps(kind):
    inputs = np.random.default_rng(0).normal(size=(2, 3, 4))
    layer_checks.check_layer(
        lambda **o: Positions(kind, max_positions=5, **o),
        inputs,
        np.arange(3, dtype="int32"),
        free_axes=2,
    )


@pytest.mark.parametrize("kind", ["rotary", None])
def test_others_add_nothing(kind):
    inputs = np.ones((2, 3, 4), "float32")
    found = Positions(kind)(inputs, np.arange(3))
    np.testing.assert_array_equal(numerics.numpy(found), inputs)


def test_learned_positions_are_rows_of_a_table():
    layer = Positions("learned", 5)
    layer.build((None, None, 2))
    layer.table.assign(np.arange(10.0).reshape(5, 2))
    found = numerics.numpy(
        layer(np.ones((1, 2, 2), "float32"), np.array([1, 4]))
    )
    assert found.tolist() == [[[3, 4], [9, 10]]]


def test_a_length_that_is_not_known_passes():
    layer = Positions("learned", 5)
    for length in (5, None, ops.array(6)):
        layer.check_length(length)
    with pytest.raises(ValueError, match="`length` must be at most 5 tokens"):
        layer.check_length(6)
    Positions("sinusoidal", 5).check_length(6)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", None])
def test_grid_positions_keep_what_a_layer_keeps(kind):
    inputs = np.random.default_rng(0).normal(size=(2, 3, 2, 5))
    layer_checks.check_layer(lambda **o: GridPositions(kind, **o), inputs)


def test_half_of_a_cell_tells_the_row_and_half_the_column():
    layer = GridPositions("sinusoidal", dtype="float64")
    found = numerics.numpy(layer(np.ones((1, 2, 3, 5))))
    for row, column in np.ndindex(2, 3):
        place = [
            *transformers.sinusoid(row, 2),
            *transformers.sinusoid(column, 3),
        ]
        np.testing.assert_allclose(found[0, row, column], 1 + np.array(place))


def test_learned_grid_positions_are_rows_of_two_tables():
    layer = GridPositions("learned")
    layer.build((None, 3, 2, 2))
    layer.rows.table.assign([[1.0], [2.0], [3.0]])
    layer.columns.table.assign([[10.0], [20.0]])
    found = numerics.numpy(layer(np.zeros((1, 3, 2, 2), "float32")))
    assert found[0, 2].tolist() == [[3, 10], [3, 20]]


def test_what_a_grid_cannot_have_is_refused():
    with pytest.raises(ValueError, match="`positions` must be one of"):
        GridPositions("rotary")
    with pytest.raises(ValueError, match="`embedding_dim` must be at least 2"):
        GridPositions("sinusoidal").build((None, 3, 2, 1))


def test_more_beams_than_learned_positions_are_fine():
    layer = Positions("learned", 2)
    inputs = np.zeros((1, 3, 4), "float32")
    assert layer(inputs, np.array([1])).shape == (1, 3, 4)
