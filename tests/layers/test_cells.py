"""Recurrent cells against NumPy and against Keras."""

import keras
import numpy as np
import pytest

from keras_s2s.layers.cells import Cell
from keras_s2s.layers.cells import GRUCell
from keras_s2s.layers.cells import LSTMCell
from keras_s2s.layers.cells import make_cell
from keras_s2s.layers.stack import run_cell
from keras_s2s.recurrence import arrange
from tests import laws
from tests.layers import recurrences

CELLS = {"lstm": LSTMCell, "gru": GRUCell}
every_cell = pytest.mark.parametrize("kind", CELLS)
B, T, D, U = 2, 4, 3, 5


def random_cell(kind):
    cell = CELLS[kind](U, dtype="float64")
    cell.build((None, D))
    random = np.random.default_rng(0)
    for weight in cell.weights:
        weight.assign(random.normal(size=weight.shape))
    return cell


def random_inputs():
    return np.random.default_rng(1).normal(size=(B, T, D))


def run(cell, inputs, **options):
    layout = arrange(keras.ops.ones((B, T), "bool"), compiled=True)
    inputs = layout.pack(keras.ops.convert_to_tensor(inputs))
    state = [keras.ops.zeros((B, U), "float64")] * cell.num_states
    outputs, state = run_cell(
        cell, cell.project(inputs), state, layout, **options
    )
    return laws.numpy(layout.unpack(outputs)), laws.numpy(state)


@every_cell
def test_a_cell_equals_a_slow_loop(kind):
    cell, inputs = random_cell(kind), random_inputs()
    outputs, state = run(cell, inputs)
    backward, _ = run(cell, inputs, reverse=True)
    zeros = [np.zeros(U)] * cell.num_states
    for row in range(B):
        expected, last = recurrences.run(cell, inputs[row], zeros)
        np.testing.assert_allclose(outputs[row], expected)
        for one, other in zip(state, last):
            np.testing.assert_allclose(one[row], other)
        expected, _ = recurrences.run(cell, inputs[row, ::-1], zeros)
        np.testing.assert_allclose(backward[row], expected[::-1])


def test_an_lstm_equals_that_of_keras():
    cell, inputs = random_cell("lstm"), random_inputs()
    other = keras.layers.LSTM(U, return_sequences=True, dtype="float64")
    other.build(inputs.shape)

    def reorder(weight):
        i, f, o, g = np.split(laws.numpy(weight.value), 4, axis=-1)
        return np.concatenate([i, f, g, o], axis=-1)

    other.set_weights(
        [reorder(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    )
    np.testing.assert_allclose(run(cell, inputs)[0], other(inputs))


def test_a_gru_equals_that_of_keras():
    cell, inputs = random_cell("gru"), random_inputs()
    other = keras.layers.GRU(U, return_sequences=True, dtype="float64")
    other.build(inputs.shape)
    recurrent_bias = np.zeros(3 * U)
    recurrent_bias[2 * U :] = laws.numpy(cell.candidate_bias.value)
    bias = np.stack([laws.numpy(cell.bias.value), recurrent_bias])
    kernels = cell.kernel, cell.recurrent_kernel
    other.set_weights([*[laws.numpy(w.value) for w in kernels], bias])
    np.testing.assert_allclose(run(cell, inputs)[0], other(inputs))


@every_cell
def test_a_step_and_a_scan_agree(kind):
    cell, inputs = random_cell(kind), random_inputs()
    state = [keras.ops.zeros((B, U), "float64")] * cell.num_states
    outputs, _ = run(cell, inputs)
    for time in range(T):
        state = cell(keras.ops.convert_to_tensor(inputs[:, time]), state)
        np.testing.assert_allclose(outputs[:, time], laws.numpy(state[0]))


@every_cell
@pytest.mark.parametrize("feed_dim", [0, 2])
def test_it_keeps_what_a_layer_keeps(kind, feed_dim):
    if feed_dim:
        cell = CELLS[kind](U, feed_dim)
        assert type(cell).from_config(cell.get_config()).feed_dim == 2
        return
    states = [np.ones((B, U), "float32")] * CELLS[kind].num_states
    laws.check_layer(
        lambda **o: CELLS[kind](U, **o), np.ones((B, D), "float32"), states
    )


def test_the_forget_gate_starts_open():
    cell = LSTMCell(2)
    cell.build((None, D))
    # Input, forget, output, candidate; two units each.
    expected = [0, 0, 1, 1, 0, 0, 0, 0]
    assert laws.numpy(cell.bias.value).tolist() == expected


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`cell` must be one of \['lstm'"):
        make_cell("rnn", 3)
    with pytest.raises(ValueError, match=r"`units` must be an integer >= 1"):
        make_cell("lstm", -3)
    with pytest.raises(ValueError, match=r"`feed_dim` must be an integer >= 0"):
        make_cell("gru", 3, -1)
    with pytest.raises(NotImplementedError):
        Cell(3).advance(None, [])
