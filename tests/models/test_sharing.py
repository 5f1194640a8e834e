"""Encoder and decoder of one recurrent cell."""

import functools

import keras
import numpy as np
import pytest

from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from keras_s2s.layers import TransformerEncoder
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import laws
from tests import numerics
from tests import pairs
from tests.layers import recurrences

SIZES = {"embedding_dim": 4, "units": 5}


def make_model(size=pairs.TARGET_SIZE, dtype="float32", shared=True, **options):
    """The tied cells of legacy_seq2seq, of two layers."""
    options = {"num_layers": 2, "residual": False, **options, "dtype": dtype}
    encoder = RNNEncoder(size, bidirectional=False, **SIZES, **options)
    decoder = RNNDecoder(
        size, attention=None, bridge="pass", **SIZES, **options
    )
    model = Seq2Seq(encoder, decoder, shared, share_cells=True)
    pairs.build(encoder, decoder)
    return model


@functools.cache
def tied(dtype="float32"):
    # The sources of `pairs` have ids up to 12.
    return make_model(pairs.SOURCE_SIZE, dtype)


def slow_logits(model, source, target):
    """legacy_seq2seq.embedding_tied_rnn_seq2seq of one row, in NumPy."""
    decoder = model.decoder
    table = numerics.numpy(decoder.embedding.embeddings.value)
    x, states = table[source], []
    for cell in decoder.stack.cells:
        x, last = recurrences.run(cell, x, [np.zeros(5), np.zeros(5)])
        states.append(last)
    x = table[target]
    for cell, state in zip(decoder.stack.cells, states):
        x, _ = recurrences.run(cell, x, state)
    output = recurrences.values(decoder.output_layer)
    return x @ output["kernel"] + output["bias"]


def test_tied_cells_are_one_and_give_the_numbers_of_a_slow_loop():
    model = tied("float64")
    source_ids, target_ids, _ = pairs.sentences()
    logits = numerics.numpy(
        model({"source_ids": source_ids, "target_ids": target_ids})
    )
    for row in range(3):
        source, target = (
            ids[row][ids[row] != 0] for ids in (source_ids, target_ids)
        )
        expected = slow_logits(model, source, target)
        np.testing.assert_allclose(logits[row, : len(target)], expected)
    # An embedding, two cells of kernel, recurrent kernel and bias, an output.
    assert len(model.weights) == 1 + 2 * 3 + 2


def test_their_gradients_are_sums_of_both_uses():
    model = tied("float64")
    laws.check_finite_differences(lambda dtype: (model.encoder, model.decoder))


def test_they_stay_tied_in_a_file(tmp_path):
    inference = InferenceModel(tied(), max_length=4)
    inference.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    source_ids = pairs.sentences()[0]
    numerics.assert_close(loaded(source_ids), inference(source_ids), 0)
    copy = Seq2Seq.from_config(tied().get_config())
    for model in (loaded, copy):
        assert len(model.weights) == len(tied().weights)
        assert model.encoder.cells[1][0] is model.decoder.stack.cells[1]


def test_tied_again_nothing_changes():
    model = tied()
    again = Seq2Seq(model.encoder, model.decoder, share_cells=True)
    assert len(again.weights) == len(model.weights)


@pytest.mark.parametrize(
    "encoder, options",
    [
        (RNNEncoder(11, 4, 5), {"attention": None}),
        (RNNEncoder(11, 4, 5, "gru", bidirectional=False), {"attention": None}),
        (RNNEncoder(11, 4, 5, bidirectional=False), {}),
        (TransformerEncoder(11, 4, 5, 1, 1), {"attention": None}),
    ],
    ids=["both directions", "another cell", "input feeding", "no cell"],
)
def test_cells_that_differ_are_not_shared(encoder, options):
    decoder = RNNDecoder(11, 4, 5, **options)
    with pytest.raises(
        ValueError,
        match="`share_cells` must be False where the cells of encoder and "
        "decoder differ, ",
    ):
        Seq2Seq(encoder, decoder, share_cells=True)
