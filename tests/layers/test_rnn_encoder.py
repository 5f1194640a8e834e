"""The recurrent encoder against a loop in NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import RNNEncoder
from tests import layer_checks
from tests import loops
from tests import numerics
from tests import pairs
from tests.layers import recurrences


def gnmt():
    """Layers of 10, 5 and 5; the third one is the first to be residual."""
    return loops.make_encoder(
        "float64", cell="layer_norm_gru", num_layers=3, bidirectional_layers=1
    )


@pytest.mark.parametrize("name", ["luong", "dot", "gnmt", "cho"])
def test_it_equals_a_slow_loop(name):
    encoder = gnmt() if name == "gnmt" else pairs.pair(name, "float64")[0]
    source_ids = pairs.sentences()[0]
    memory = numerics.numpy(encoder(source_ids))
    np.testing.assert_array_equal(memory["mask"], source_ids != 0)
    for row, ids in enumerate(source_ids):
        ids = ids[ids != 0]
        outputs, states = recurrences.encode(encoder, ids)
        found = memory["outputs"][row]
        np.testing.assert_allclose(found[: len(ids)], outputs)
        assert not np.any(found[len(ids) :])
        for one, other in zip(memory["state"], states, strict=True):
            np.testing.assert_allclose(one[row], other)


@pytest.mark.parametrize("name", ["default", "luong"])
def test_it_keeps_what_a_layer_keeps(name):
    layer_checks.check_layer(
        lambda **o: pairs.make_layers(name, **o)[0],
        pairs.sentences()[0],
        free_axes=2,
    )


def test_a_row_of_only_padding_gives_zeros():
    encoder, _ = pairs.pair("luong", "float64")
    memory = numerics.numpy(encoder(np.array([[0, 0], [5, 0]])))
    for tensor in (memory["outputs"], *memory["state"]):
        assert not np.any(tensor[0])
        assert np.all(np.isfinite(tensor))
    memory = numerics.numpy(encoder(np.zeros((1, 3), "int32")))
    assert not np.any(memory["outputs"])


def test_another_id_may_be_padding():
    options = {"bidirectional": False, "dtype": "float64"}
    encoder = RNNEncoder(13, 4, 5, pad_id=7, **options)
    padded = encoder(np.array([[0, 5, 7, 7]]))
    alone = encoder(np.array([[0, 5]]))
    numerics.assert_close(padded["state"], alone["state"], 1e-12)


def test_dropout_acts_in_training_only():
    encoder = RNNEncoder(13, 4, 5, num_layers=2, dropout=0.5)
    source_ids = ops.convert_to_tensor(pairs.sentences()[0])
    first, second, trained = (
        numerics.numpy(encoder(source_ids, training=training)["outputs"])
        for training in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)


def test_its_weights_are_counted_by_hand():
    encoder, _ = pairs.pair("default")
    # An embedding; in each direction (4 + 5) x 20 and a bias of 20.
    assert encoder.count_params() == 13 * 4 + 2 * (9 * 20 + 20)


def test_upper_layers_may_run_forward_alone():
    encoder = gnmt()
    assert [len(cells) for cells in encoder.cells] == [2, 1, 1]
    memory = encoder(pairs.sentences()[0])
    sizes = [state.shape[-1] for state in memory["state"]]
    assert sizes == [10, 5, 5]
    # What a layer of 2 x 5 makes cannot be added to one of 5.
    shapes = [tuple(cells[0].kernel.shape) for cells in encoder.cells]
    assert shapes == [(4, 15), (10, 15), (5, 15)]
    assert memory["outputs"].shape[-1] == 5


def test_none_of_the_layers_may_run_backward():
    options = {"num_layers": 2, "dtype": "float64"}
    encoder = RNNEncoder(13, 4, 5, bidirectional_layers=0, **options)
    other = RNNEncoder(13, 4, 5, bidirectional=False, **options)
    source_ids = pairs.sentences()[0]
    encoder(source_ids), other(source_ids)
    other.set_weights(encoder.get_weights())
    numerics.assert_close(encoder(source_ids), other(source_ids), 1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` must be an integer >= 1"),
        ({"embedding_dim": -4}, "`embedding_dim` must be an integer >= 1"),
        ({"units": 0}, "`units` must be an integer >= 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer >= 1"),
        ({"cell": "rnn"}, r"`cell` must be one of \['lstm', 'gru', 'layer_n"),
        ({"dropout": 1.0}, r"`dropout` must be a number in \[0.0, 1.0\)"),
        (
            {"num_layers": 2, "bidirectional_layers": 3},
            "`bidirectional_layers` must be at most 2, the layers that may be "
            "bidirectional. Received: bidirectional_layers=3.",
        ),
        (
            {"bidirectional": False, "bidirectional_layers": 1},
            "`bidirectional_layers` must be at most 0, the layers that may be",
        ),
        (
            {"bidirectional_layers": -1},
            "`bidirectional_layers` must be an integer >= 0",
        ),
    ],
)
def test_bad_arguments_are_named(options, message):
    sizes = {"vocabulary_size": 13, "embedding_dim": 4, "units": 5}
    with pytest.raises(ValueError, match=message):
        RNNEncoder(**{**sizes, **options})


def test_a_size_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match=r"`vocabulary_size` must be an int"):
        RNNEncoder(13.0, 4, 5)
