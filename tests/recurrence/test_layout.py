"""Both layouts against a plain loop over each row's real tokens."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s.layers.cells import LSTMCell
from keras_s2s.recurrence import arrange
from tests import numerics

U = 2
MASKS = {
    "right": [[1, 1, 0], [1, 1, 1], [1, 0, 0]],
    "left": [[0, 1, 1], [1, 1, 1], [0, 0, 1]],
    "holes": [[1, 0, 1], [0, 1, 0], [1, 1, 1]],
    "an empty row": [[0, 0, 0], [1, 1, 0], [1, 0, 0]],
    "only empty rows": [[0, 0, 0], [0, 0, 0]],
    "one row": [[1, 1, 0]],
    "one step": [[1], [1], [0]],
    "many rows": np.tril(np.ones((13, 13)))[:, ::-1],
}
every_mask = pytest.mark.parametrize("name", MASKS)
every_layout = pytest.mark.parametrize("compiled", [False, True])


def mask_of(name):
    return ops.convert_to_tensor(MASKS[name], "bool")


@every_mask
@every_layout
def test_what_is_packed_comes_back(name, compiled):
    mask = mask_of(name)
    layout = arrange(mask, compiled)
    values = np.random.default_rng(0).normal(size=(*mask.shape, U))
    back = layout.unpack(layout.pack(ops.convert_to_tensor(values)))
    expected = np.where(numerics.numpy(mask)[..., None], values, 0)
    np.testing.assert_array_equal(back, expected)


@every_mask
@every_layout
def test_rows_are_sorted_and_restored(name, compiled):
    mask = mask_of(name)
    layout = arrange(mask, compiled)
    rows = {
        "float": ops.cast(ops.arange(len(mask)), "float32"),
        "bool": mask[:, 0],
    }
    back = layout.restore(layout.sort(rows))
    keras.tree.map_structure(np.testing.assert_array_equal, back, rows)


@every_layout
def test_one_vector_is_spread_over_its_row(compiled):
    mask = mask_of("right")
    layout = arrange(mask, compiled)
    vectors = ops.reshape(ops.arange(3, dtype="float32"), (3, 1, 1))
    like = layout.pack(ops.zeros((3, 3, 1, 5)))
    spread = layout.spread(layout.sort(vectors), like)
    found = layout.unpack(spread)[:, :, 0, 0]
    np.testing.assert_array_equal(found, [[0, 0, 0], [1, 1, 1], [2, 0, 0]])


def test_packing_leaves_padding_out():
    layout = arrange(mask_of("many rows"), compiled=False)
    # 13 rows of 13 to 1 tokens, in steps of 8 rows or all.
    sizes = [13, 13, 13, 13, 13, 8, 8, 8, 8, 8, 8, 8, 8]
    assert numerics.numpy(layout.sizes).tolist() == sizes
    assert len(layout.pack(ops.zeros((13, 13)))) == sum(sizes)


def by_hand(cell, values, mask, reverse):
    """Runs the real tokens of each row alone."""
    outputs = np.zeros((*mask.shape, U))
    states = np.zeros((2, len(mask), U))
    for row, is_real in enumerate(mask):
        state = [ops.zeros((1, U), "float64")] * 2
        for time in np.flatnonzero(is_real)[:: -1 if reverse else 1]:
            state = cell(values[row : row + 1, time], state)
            outputs[row, time] = numerics.numpy(state[0])[0]
        states[:, row] = [numerics.numpy(part)[0] for part in state]
    return outputs, states


@every_mask
@every_layout
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("in_graph", [False, True])
def test_rows_carry_their_state_over_padding(name, compiled, reverse, in_graph):
    cell = LSTMCell(U, dtype="float64")
    cell.build((None, U))
    mask = mask_of(name)
    values = np.random.default_rng(1).normal(size=(*mask.shape, U))
    values = ops.convert_to_tensor(values)

    def run(values, mask):
        layout = arrange(mask, compiled)

        def step(state, inputs, constants):
            state = cell.advance(inputs, state)
            return state, state[0]

        zeros = ops.zeros((ops.shape(mask)[0], U), "float64")
        outputs, state = layout.scan(
            step,
            [zeros, zeros],
            cell.project(layout.pack(values)),
            variables=cell.variables,
            reverse=reverse,
        )
        return layout.unpack(outputs), layout.restore(state)

    if in_graph:
        specs = [
            tf.TensorSpec([None, None, U], "float64"),
            tf.TensorSpec([None, None], "bool"),
        ]
        run = tf.function(run, specs, autograph=False)
    outputs, state = run(values, mask)
    expected = by_hand(cell, values, numerics.numpy(mask), reverse)
    np.testing.assert_allclose(outputs, expected[0], atol=1e-12)
    np.testing.assert_allclose(numerics.numpy(state), expected[1], atol=1e-12)


@pytest.mark.parametrize("carries", [False, True])
def test_gradients_reach_rows_that_end_early(carries):
    cell = LSTMCell(U, dtype="float64")
    cell.build((None, U))
    # With nothing to carry over: padding comes last.
    mask = mask_of("many rows")[:, ::-1]
    random = np.random.default_rng(2)
    values = ops.convert_to_tensor(random.normal(size=(13, 13, U)))
    scale = ops.convert_to_tensor(random.normal(size=(13, U)))
    factors = random.normal(size=(13, 13, U)) * numerics.numpy(mask)[..., None]

    def step(state, inputs, constants):
        state = cell.advance(inputs, state)
        return state, state[0] * constants[0]

    def gradients(compiled):
        sources = [values, scale, *[v.value for v in cell.variables]]
        with tf.GradientTape() as tape:
            tape.watch(sources[:2])
            layout = arrange(mask, compiled, carries)
            outputs, _ = layout.scan(
                step,
                [ops.zeros((13, U), "float64")] * 2,
                cell.project(layout.pack(values)),
                constants=[layout.sort(scale)],
                variables=cell.variables,
            )
            total = ops.sum(layout.unpack(outputs) * factors)
        return tape.gradient(total, sources)

    for packed, padded in zip(gradients(False), gradients(True)):
        np.testing.assert_allclose(packed, padded, atol=1e-10)
