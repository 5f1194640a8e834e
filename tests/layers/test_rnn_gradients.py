"""Results and gradients of recurrent layers are those of plain loops."""

import itertools

import pytest

from tests import loops
from tests import pairs

TARGETS = [[2, 5, 6], [2, 8, 0]]
MASK = [[1, 1, 1, 1], [1, 1, 0, 0]]
EVERY_DECODER = list(
    itertools.product(loops.CELLS, loops.ATTENTIONS, (1, 2), (True, False))
)
# Each value of each option.
SOME_DECODERS = EVERY_DECODER[::5]
odd_rows = pytest.mark.parametrize("rows", loops.ODD_ROWS)


@pytest.mark.parametrize("options", EVERY_DECODER, ids=str)
def test_a_decoder_is_a_loop_of_steps(options):
    decoder = loops.make_decoder("float64", *options)
    loops.check_decoder_is_a_loop(decoder, TARGETS, MASK)


@pytest.mark.parametrize("options", SOME_DECODERS, ids=str)
def test_a_decoder_is_a_loop_of_steps_in_single_precision(options):
    decoder = loops.make_decoder("float32", *options)
    loops.check_decoder_is_a_loop(decoder, TARGETS, MASK)


@pytest.mark.parametrize(
    "mask",
    [[[0, 1, 1], [0, 0, 1]], [[0, 0], [1, 1]], [[0, 0], [0, 0]], [[1], [0]]],
)
@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_a_decoder_takes_any_mask_of_the_memory(attention, mask):
    decoder = loops.make_decoder("float64", "lstm", attention, 1, True)
    loops.check_decoder_is_a_loop(decoder, TARGETS, mask)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", loops.CELLS)
def test_an_encoder_is_a_loop_over_its_cells(cell, num_layers, bidirectional):
    encoder = loops.make_encoder(
        "float64",
        cell=cell,
        num_layers=num_layers,
        bidirectional=bidirectional,
        residual=cell == "lstm",
    )
    ids = [[0, 5, 0, 6, 0, 0], [7, 8, 9, 4, 0, 0], [0, 0, 0, 0, 0, 0]]
    loops.check_encoder_is_a_loop(encoder, ids)


def test_normalized_cells_are_loops_of_steps():
    """Their scales are read in each step; the gradients are sums of all."""
    options = ("layer_norm_lstm", "general", 1, True)
    decoder = loops.make_decoder("float64", *options)
    loops.check_decoder_is_a_loop(decoder, TARGETS, MASK)
    options = {"num_layers": 2, "bidirectional_layers": 1}
    encoder = loops.make_encoder("float64", cell="layer_norm_gru", **options)
    loops.check_encoder_is_a_loop(encoder, [[5, 0, 6, 0], [7, 8, 9, 4]])


@odd_rows
@pytest.mark.parametrize("name", ["default", "unfed"])
def test_odd_rows_give_what_a_loop_gives(name, rows):
    ids = loops.ODD_ROWS[rows]
    loops.check_pair_is_a_loop(*pairs.pair(name, "float64"), ids, ids)
