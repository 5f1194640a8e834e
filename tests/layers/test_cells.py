"""Recurrent cells against NumPy and against Keras."""

import keras
import numpy as np
import pytest

from keras_s2s.layers.cells import CELLS
from keras_s2s.layers.cells import Cell
from keras_s2s.layers.cells import make_cell
from keras_s2s.layers.stack import run_cell
from keras_s2s.recurrence import arrange
from tests import layer_checks
from tests import numerics
from tests.layers import recurrences

every_cell = pytest.mark.parametrize("kind", CELLS)
B, T, D, U = 2, 4, 3, 5


def random_cell(kind):
    cell = make_cell(kind, U, dtype="float64")
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
    return numerics.numpy(layout.unpack(outputs)), numerics.numpy(state)


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
        i, f, o, g = np.split(numerics.numpy(weight.value), 4, axis=-1)
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
    recurrent_bias[2 * U :] = numerics.numpy(cell.candidate_bias.value)
    bias = np.stack([numerics.numpy(cell.bias.value), recurrent_bias])
    kernels = cell.kernel, cell.recurrent_kernel
    other.set_weights([*[numerics.numpy(w.value) for w in kernels], bias])
    np.testing.assert_allclose(run(cell, inputs)[0], other(inputs))


@every_cell
def test_a_step_and_a_scan_agree(kind):
    cell, inputs = random_cell(kind), random_inputs()
    state = [keras.ops.zeros((B, U), "float64")] * cell.num_states
    outputs, _ = run(cell, inputs)
    for time in range(T):
        state = cell(keras.ops.convert_to_tensor(inputs[:, time]), state)
        np.testing.assert_allclose(outputs[:, time], numerics.numpy(state[0]))


@every_cell
@pytest.mark.parametrize("feed_dim", [0, 2])
def test_it_keeps_what_a_layer_keeps(kind, feed_dim):
    cell = make_cell(kind, U, feed_dim)
    if feed_dim:
        assert type(cell).from_config(cell.get_config()).feed_dim == 2
        return
    states = [np.ones((B, U), "float32")] * cell.num_states
    layer_checks.check_layer(
        lambda **o: make_cell(kind, U, **o), np.ones((B, D), "float32"), states
    )


@every_cell
def test_a_second_input_stands_below_the_state(kind):
    """Its product and that of h are one, normalized or not."""
    cell = make_cell(kind, U, 2, dtype="float64")
    plain = make_cell(kind, U, dtype="float64")
    cell.build((None, D)), plain.build((None, D))
    weights = [numerics.numpy(w.value) for w in cell.weights]
    weights[1][U:] = 0  # of the second input
    cell.set_weights(weights)
    plain.set_weights([weights[0], weights[1][:U], *weights[2:]])
    x = keras.ops.convert_to_tensor(random_inputs()[:, 0])
    state = [x[:, :1] * np.arange(5.0)] * cell.num_states
    feed = x[:, :2]
    found, without = (
        numerics.numpy(one.advance(one.project(x), state, second))
        for one, second in ((cell, feed), (plain, None))
    )
    numerics.assert_close(found, without, 1e-12)
    weights[1][U:] = np.arange(weights[1].shape[1])
    cell.set_weights(weights)
    changed = numerics.numpy(cell.advance(cell.project(x), state, feed))
    assert not np.allclose(changed[0], found[0])


@pytest.mark.parametrize("kind", ["layer_norm_lstm", "layer_norm_gru"])
def test_the_scale_of_an_input_changes_nothing(kind):
    """As it would in eq. 5 of Ba et al., but for the epsilon."""
    cell, inputs = random_cell(kind), random_inputs()
    found, expected = run(cell, 1e4 * inputs)[0], run(cell, 1e3 * inputs)[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "layer_norm_lstm"])
def test_the_forget_gate_starts_open(kind):
    cell = make_cell(kind, 2)
    cell.build((None, D))
    # Input, forget, output, candidate; two units each.
    expected = [0, 0, 1, 1, 0, 0, 0, 0]
    assert numerics.numpy(cell.bias.value).tolist() == expected


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`cell` must be one of \['lstm'"):
        make_cell("rnn", 3)
    with pytest.raises(ValueError, match=r"`units` must be an integer >= 1"):
        make_cell("lstm", -3)
    with pytest.raises(ValueError, match=r"`feed_dim` must be an integer >= 0"):
        make_cell("gru", 3, -1)
    with pytest.raises(NotImplementedError):
        Cell(3).advance(None, [])
