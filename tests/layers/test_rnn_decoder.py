"""The recurrent decoder against a loop in NumPy."""

import numpy as np
import pytest
from keras import ops

import keras_s2s as s2s
from keras_s2s.layers import RNNDecoder
from tests import laws
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import recurrences

SIZES = {"vocabulary_size": 11, "embedding_dim": 4, "units": 5}


def test_it_equals_a_slow_loop():
    encoder, decoder = pairs.pair("default", "float64")
    source_ids, target_ids, _ = pairs.sentences()
    logits = numerics.numpy(decoder(target_ids, encoder(source_ids)))
    for row in range(3):
        source = source_ids[row][source_ids[row] != 0]
        target = target_ids[row][target_ids[row] != 0]
        memory = recurrences.encode(encoder, source)
        expected = recurrences.decode(decoder, target, *memory)
        np.testing.assert_allclose(logits[row, : len(target)], expected)


@pytest.mark.parametrize("name", pairs.PAIRS)
def test_it_keeps_what_a_layer_keeps(name):
    source_ids, target_ids, _ = pairs.sentences()
    memory = pairs.pair(name)[0](source_ids)
    layer_checks.check_layer(
        lambda **o: pairs.make_layers(name, **o)[1],
        target_ids,
        numerics.numpy(memory),
        free_axes=2,
    )


@pytest.mark.parametrize("name", ["default", "unfed"])
def test_a_padding_id_inside_a_target_cuts_nothing_off(name):
    encoder, decoder = pairs.pair(name, "float64")
    memory = encoder(pairs.sentences()[0])
    # Padding as bos, as the only token, and in the middle.
    for ids in ([[0, 5, 6]] * 3, [[0]] * 3, [[2, 0, 0, 5]] * 3):
        ids = np.array(ids, "int32")
        steps = numerics.numpy(laws.run_steps(decoder, ids[:, None], memory))[
            :, 0
        ]
        numerics.assert_close(decoder(ids, memory), steps, 1e-9)


class HalfAttention(s2s.layers.AdditiveAttention):
    def attend(self, query, prepared):
        context, weights = super().attend(query, prepared)
        return context / 2, weights


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"attention": "general", "input_feeding": False}, True),
        ({"readout": "deep"}, True),
        ({"readout_units": 6}, True),
        # As much to add up for each step as to multiply.
        ({"readout_units": 7}, False),
        ({"readout": "state"}, False),
        ({"attention": None, "context": "mean"}, False),
        ({"cell": "conditional_gru"}, False),
        ({"attention": s2s.layers.CoverageAttention(4, name="a")}, False),
        ({"attention": HalfAttention(4, name="b")}, False),
    ],
    ids=str,
)
def test_a_memory_is_multiplied_where_nothing_else_reads_it(options, expected):
    decoder = RNNDecoder(**SIZES, **options)
    decoder.build((None, None), {"outputs": (None, None, 6), "state": []})
    assert decoder.reader.projects_memory is expected


@pytest.mark.parametrize("name", ["default", "mean"])
def test_a_source_of_only_padding_gives_no_nan(name):
    encoder, decoder = pairs.pair(name)
    _, target_ids, labels = pairs.sentences()
    weights = pairs.weights_of(encoder, decoder)

    def total():
        memory = encoder(np.zeros((3, 2), "int32"))
        return ops.sum(decoder(target_ids, memory))

    value, gradients = numerics.value_and_gradients(total, weights)
    for tensor in (value, *gradients):
        assert np.all(np.isfinite(numerics.numpy(tensor)))


@pytest.mark.parametrize("name", ["default", "unfed"])
def test_dropout_acts_in_training_only(name):
    encoder, decoder = pairs.make_layers(name, dropout=0.5)
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids, training=False)
    first, second, trained = (
        numerics.numpy(decoder(target_ids, memory, training=training))
        for training in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)


def test_its_weights_are_counted_by_hand():
    _, decoder = pairs.pair("default")
    embedding = 11 * 4
    bridge = 2 * (20 * 5 + 5)
    cell = (4 + 5 + 5) * 20 + 20
    attention = 5 * 5 + 10 * 5 + 5
    readout = 5 * 5 + 10 * 5 + 5
    output = 5 * 11 + 11
    expected = embedding + bridge + cell + attention + readout + output
    assert decoder.count_params() == expected


def test_tied_embeddings_are_one_matrix():
    _, decoder = pairs.pair("dot")
    shapes = [tuple(weight.shape) for weight in decoder.weights]
    assert shapes.count((11, 4)) == 1 and (4, 11) not in shapes


@pytest.mark.parametrize(
    "options, message",
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` must be an integer >= 1"),
        ({"embedding_dim": -4}, "`embedding_dim` must be an integer >= 1"),
        ({"units": 0}, "`units` must be an integer >= 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer >= 1"),
        ({"cell": "rnn"}, r"`cell` must be one of \['lstm', 'gru', "),
        ({"attention": "cosine"}, r"`attention` must be one of \[None, "),
        ({"bridge": "copy"}, r"`bridge` must be one of \['dense'"),
        ({"readout": "wide"}, r"`readout` must be one of \['attentional'"),
        ({"readout_units": -1}, "`readout_units` must be an integer >= 1"),
        ({"attention_units": -1}, "`units` must be an integer >= 1"),
        ({"dropout": -0.1}, r"`dropout` must be a number in \[0.0, 1.0\)"),
        (
            {"attention": None, "context": "last"},
            r"`context` must be one of \[None, 'state', 'mean'\]",
        ),
        ({"context": "mean"}, "`context` must be None where there is atten"),
        (
            {"cell": "conditional_gru", "attention": None},
            "`attention` must be some where `cell` is 'conditional_gru'",
        ),
        (
            {"cell": "conditional_gru", "query": "states"},
            "`query` must be 'output' where `cell` is 'conditional_gru'",
        ),
        (
            {"attention": None, "query": "states"},
            "`query` must be 'output' without attention",
        ),
        ({"query": "all"}, r"`query` must be one of \['output', 'states'\]"),
        (
            {"tie_embeddings": True, "readout_units": 7},
            "`embedding_dim` must be the size of the readout, 7, where the "
            "embeddings are tied. Received: embedding_dim=4",
        ),
        ({"attention": "dot"}, r"`score` must be 'general' or 'scaled'"),
        ({"bridge": "pass"}, "`bridge` must be 'dense' or 'zero' where"),
    ],
)
def test_bad_arguments_are_named(options, message):
    source_ids, target_ids, _ = pairs.sentences()
    encoder, _ = pairs.pair("default")
    with pytest.raises(ValueError, match=message):
        RNNDecoder(**{**SIZES, **options})(target_ids, encoder(source_ids))
