"""What all encoders keep that begin with an embedding of ids."""

import numpy as np
import pytest

from tests import encoders
from tests import layer_checks
from tests import numerics
from tests import pairs

every_encoder = pytest.mark.parametrize(
    "name", ["convolutional", "pyramidal", "pooling"]
)


@every_encoder
def test_it_keeps_what_a_layer_keeps(name):
    layer_checks.check_layer(
        lambda **o: encoders.make_encoder(name, **o),
        pairs.sentences()[0],
        free_axes=2,
    )


@every_encoder
def test_a_row_of_only_padding_gives_zeros(name):
    encoder = encoders.drawn(name)
    memory = numerics.numpy(encoder(np.array([[0, 0], [5, 0]])))
    for tensor in (memory["outputs"], *memory.get("state", [])):
        assert not np.any(tensor[0])
        assert np.any(tensor[1]) and np.all(np.isfinite(tensor))


@every_encoder
def test_another_id_may_be_padding(name):
    encoder = encoders.make_encoder(name, pad_id=7, dtype="float64")
    padded = numerics.numpy(encoder(np.array([[0, 5, 6, 7, 7]])))
    alone = numerics.numpy(encoder(np.array([[0, 5, 6]])))
    length = encoder.memory_length(3)
    numerics.assert_close(
        padded["outputs"][:, :length], alone["outputs"], 1e-12
    )
    assert np.sum(padded["mask"]) == length


@every_encoder
def test_dropout_acts_in_training_only(name):
    encoder = encoders.drawn(name, dropout=0.5, positions=None)
    source_ids = pairs.sentences()[0]
    first, second, trained = (
        numerics.numpy(encoder(source_ids, training=training)["outputs"])
        for training in (False, None, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)
    # With embeddings of 0, what layers hand on is all that is left to drop.
    encoder.embedding.embeddings.assign(np.zeros((13, 4)))
    first, trained = (
        numerics.numpy(encoder(source_ids, training=training)["outputs"])
        for training in (False, True)
    )
    assert np.any(first != trained) == (name != "pooling")


BAD_ARGUMENTS = [
    ({"vocabulary_size": 0}, "`vocabulary_size` must be an integer >= 1"),
    ({"embedding_dim": -4}, "`embedding_dim` must be an integer >= 1"),
    ({"dropout": 1.0}, r"`dropout` must be a number in \[0.0, 1.0\)"),
    ({"pad_id": -1}, "`pad_id` must be an integer >= 0"),
    (
        {"positions": "rotary"},
        r"`positions` must be one of \['sinusoidal', 'learned', None\]. "
        "Received: positions='rotary'.",
    ),
    (
        {"max_positions": None},
        "`max_positions` must be an integer > 0 where positions are learned",
    ),
]


@pytest.mark.parametrize("options, message", BAD_ARGUMENTS)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        encoders.make_encoder("convolutional", **options)


def test_more_tokens_than_learned_positions_are_refused():
    encoder = encoders.drawn("pooling")
    assert encoder.longest == 12
    with pytest.raises(ValueError, match="`length` must be at most 12 tokens"):
        encoder(np.full((1, 13), 5))
    assert encoders.drawn("even pooling").longest is None
