"""Recurrent layers against plain Python loops, forward and backward.

Autodiff through a loop that knows no `scan` says what the gradients are. As
the laws, all of it runs on every backend.
"""

import functools
from unittest import mock

import keras
import numpy as np
from keras import ops

import keras_s2s as s2s
from tests import laws
from tests import numerics
from tests import pairs

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
CELLS = ("lstm", "gru")
ATTENTIONS = ("additive", "normalized", "dot", "general", "scaled", None)

# Ids as no pipeline makes them; 0 is padding.
ODD_ROWS = {
    "left padding": [[0, 0, 5, 6, 7], [0, 8, 9, 0, 0], [4, 5, 6, 7, 8]],
    "gaps": [[5, 0, 0, 6, 0], [0, 7, 0, 8, 9]],
    "an empty row": [[0, 0, 0, 0], [5, 6, 7, 0]],
    "only empty rows": [[0, 0], [0, 0]],
    "a batch of one": [[5, 6, 7]],
    "length one": [[5], [6], [0]],
    "one token": [[5]],
    "far too long": [[5, 6, 8] + 9 * [0], [7] + 11 * [0]],
}


def weighted_sum(tensors):
    """Weighs each value in its own way: one in a wrong place shows."""
    total = 0
    for number, tensor in enumerate(tensors):
        flat = ops.reshape(tensor, (-1,))
        places = ops.arange(ops.shape(flat)[0]) + 100 * number
        total += ops.sum(flat * ops.sin(ops.cast(places, flat.dtype)))
    return total


def draw(layer):
    random = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape, scale=0.7))
    return layer


def make_encoder(dtype, **options):
    sizes = pairs.SOURCE_SIZE, 4, 5
    encoder = s2s.layers.RNNEncoder(*sizes, dtype=dtype, **options)
    encoder(np.array([[5, 6]], "int32"))
    return draw(encoder)


def make_decoder(dtype, cell, attention, num_layers, input_feeding):
    """Returns a decoder for a memory of `make_memory`, weights random."""
    context = None
    if attention == "normalized":
        attention = s2s.layers.AdditiveAttention(4, True, dtype=dtype)
    elif attention is None and input_feeding:
        context = "state"
    decoder = s2s.layers.RNNDecoder(
        pairs.TARGET_SIZE,
        4,
        5,
        cell,
        num_layers,
        attention,
        input_feeding,
        context=context,
        dtype=dtype,
    )
    memory = read(make_memory([[1, 1]], dtype))
    decoder(np.array([[2, 5]], "int32"), memory)
    return draw(decoder)


def make_memory(mask, dtype):
    """A memory of variables, which have gradients; mask `(B, S)`."""
    random = np.random.default_rng(1)

    def variable(*shape):
        return keras.Variable(random.normal(size=shape), dtype=dtype)

    rows, length = np.shape(mask)
    return {
        "outputs": variable(rows, length, 5),
        "mask": ops.cast(mask, "bool"),
        "state": [variable(rows, 3), variable(rows, 4)],
    }


def read(memory):
    """The tensors of a memory of variables."""
    return keras.tree.map_structure(
        lambda x: x.value if isinstance(x, keras.Variable) else x, memory
    )


def loop_cell(cell, x, mask, reverse):
    """Runs a cell over a list of `(B, D)`: its outputs and last state."""
    zeros = ops.zeros((len(mask), cell.units), x[0].dtype)
    state, outputs = [zeros] * cell.num_states, [None] * len(x)
    for time in sorted(range(len(x)), reverse=reverse):
        is_real = ops.convert_to_tensor(mask[:, time, None])
        state = [
            ops.where(is_real, new, old)
            for new, old in zip(cell(x[time], state), state)
        ]
        outputs[time] = state[0]
    return outputs, state


def loop_encoder(encoder, source_ids):
    """The memory that an encoder makes, token by token."""
    mask = source_ids != 0
    x = encoder.embedding(ops.convert_to_tensor(source_ids))
    x = [x[:, time] for time in range(mask.shape[1])]
    states = []
    for layer, cells in enumerate(encoder.cells):
        outputs, last = zip(
            *[loop_cell(cell, x, mask, n == 1) for n, cell in enumerate(cells)]
        )
        states += [ops.concatenate(parts, axis=-1) for parts in zip(*last)]
        y = [ops.concatenate(parts, axis=-1) for parts in zip(*outputs)]
        if layer > 0 and encoder.residual and y[0].shape == x[0].shape:
            y = [one + other for one, other in zip(y, x)]
        x = y
    outputs = ops.stack(x, axis=1)
    outputs = outputs * ops.cast(mask[:, :, None], outputs.dtype)
    return {"outputs": outputs, "mask": mask, "state": states}


def up_to_the_end(logits, target_ids):
    """0 behind the last real token of a row, where nothing is promised."""
    places = np.arange(1, target_ids.shape[1] + 1)
    ends = np.max(np.where(target_ids, places, 1), axis=1, keepdims=True)
    return logits * ops.cast((places <= ends)[..., None], logits.dtype)


def loop_decoder(decoder, target_ids, memory):
    """Its logits token by token, each context times the readout's kernel."""
    with mock.patch.object(decoder.reader, "projects_memory", False):
        logits = laws.run_steps(decoder, target_ids[:, None], memory)
    return ops.squeeze(logits, 1)


def check_decoder_is_a_loop(decoder, target_ids, mask):
    """Compares logits and gradients of the weights and of a memory.

    Args:
        decoder: a decoder of `make_decoder`.
        target_ids: int `(B, T)`, one row at least without padding.
        mask: bool `(B, S)`. The memory's.
    """
    target_ids, dtype = np.array(target_ids, "int32"), decoder.variable_dtype
    memory = make_memory(mask, dtype)
    weights = decoder.trainable_weights
    variables = [*weights, memory["outputs"], *memory["state"]]

    def total(run):
        logits = run(target_ids, read(memory))
        return weighted_sum([up_to_the_end(logits, target_ids)])

    found, expected = (
        numerics.value_and_gradients(functools.partial(total, run), variables)
        for run in (decoder, functools.partial(loop_decoder, decoder))
    )
    numerics.assert_close(found, expected, TOLERANCE[dtype])


def check_encoder_is_a_loop(encoder, source_ids):
    """Compares outputs, states and gradients with a loop with `where`."""
    source_ids = np.array(source_ids, "int32")

    def total(run):
        memory = run(source_ids)
        return weighted_sum([memory["outputs"], *memory["state"]])

    found, expected = (
        numerics.value_and_gradients(
            functools.partial(total, run), encoder.trainable_weights
        )
        for run in (encoder, functools.partial(loop_encoder, encoder))
    )
    numerics.assert_close(found, expected, TOLERANCE[encoder.variable_dtype])


@functools.cache
def _whole(encoder, decoder):
    weights = pairs.weights_of(encoder, decoder)

    def run(source_ids, target_ids, within):
        def total():
            logits = decoder(target_ids, encoder(source_ids))
            is_within = ops.cast(ops.expand_dims(within, -1), logits.dtype)
            return weighted_sum([logits * is_within])

        return numerics.value_and_gradients(total, weights)

    return numerics.in_graph(run)


def check_pair_is_a_loop(encoder, decoder, source_ids, target_ids):
    """Compares both together, in a graph of unknown lengths."""
    source_ids, target_ids = (
        np.array(ids, "int32") for ids in (source_ids, target_ids)
    )
    dtype = decoder.variable_dtype
    ones = ops.ones((*target_ids.shape, 1), "int32")
    within = numerics.numpy(up_to_the_end(ones, target_ids)[..., 0])

    def total():
        memory = loop_encoder(encoder, source_ids)
        logits = loop_decoder(decoder, target_ids, memory)
        return weighted_sum([up_to_the_end(logits, target_ids)])

    weights = pairs.weights_of(encoder, decoder)
    expected = numerics.value_and_gradients(total, weights)
    run = _whole(encoder, decoder)
    found = run(source_ids, target_ids, within)
    numerics.assert_close(found, expected, numerics.TOLERANCE[dtype])
