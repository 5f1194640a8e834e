"""The Transformer encoder against a slow one in NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import TransformerEncoder
from tests import encoders
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import transformers

every_pair = pytest.mark.parametrize("name", pairs.TRANSFORMER_PAIRS)


@every_pair
def test_it_equals_a_slow_one(name):
    encoder, _ = pairs.pair(name, "float64")
    # TensorFlow takes the root of 2 in GELU as a float32.
    encoders.check_equals_slow(encoder, transformers.encode, 1e-7)


@every_pair
def test_it_keeps_what_a_layer_keeps(name):
    layer_checks.check_layer(
        lambda **o: pairs.make_encoder(name, **o),
        pairs.sentences()[0],
        free_axes=2,
    )


@pytest.mark.parametrize("name", ["transformer", "unplaced"])
def test_a_row_of_only_padding_gives_zeros(name):
    encoder, _ = pairs.pair(name, "float64")
    outputs = numerics.numpy(encoder(np.array([[0, 0], [5, 0]]))["outputs"])
    assert not np.any(outputs[0]) and np.all(np.isfinite(outputs))
    outputs = numerics.numpy(encoder(np.zeros((1, 3), "int32"))["outputs"])
    assert not np.any(outputs)


def test_another_id_may_be_padding():
    encoder = TransformerEncoder(13, 4, 6, 1, 2, pad_id=7, dtype="float64")
    padded = numerics.numpy(encoder(np.array([[0, 5, 7, 7]])))
    alone = numerics.numpy(encoder(np.array([[0, 5]])))
    numerics.assert_close(padded["outputs"][:, :2], alone["outputs"], 1e-12)
    assert padded["mask"].tolist() == [[True, True, False, False]]


def test_no_position_leaves_the_order_unseen():
    encoder, _ = pairs.pair("unplaced", "float64")
    first, second = (
        numerics.numpy(encoder(np.array([ids]))["outputs"])[0]
        for ids in ([5, 6, 7], [7, 5, 6])
    )
    numerics.assert_close(first, second[[1, 2, 0]], 1e-12)


@pytest.mark.parametrize(
    "option", ["dropout", "attention_dropout", "hidden_dropout"]
)
def test_dropout_acts_in_training_only(option):
    encoder = TransformerEncoder(13, 4, 6, 1, 2, **{option: 0.5})
    source_ids = ops.convert_to_tensor(pairs.sentences()[0])
    first, second, trained = (
        numerics.numpy(encoder(source_ids, training=training)["outputs"])
        for training in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)


def test_its_weights_are_counted_by_hand():
    encoder, _ = pairs.pair("transformer")
    norm, attention = 2 * 8, (8 + 1) * 3 * 8 + (8 + 1) * 8
    feed_forward = (8 + 1) * 6 + (6 + 1) * 8
    layer = attention + feed_forward + 2 * norm
    assert encoder.count_params() == 13 * 8 + 2 * layer + norm
    encoder, _ = pairs.pair("llama")
    # One key and one value head of 4; gated; norms without a bias.
    attention = (8 + 1) * (8 + 4 + 4) + (8 + 1) * 8
    feed_forward = (8 + 1) * 2 * 6 + (6 + 1) * 8
    layer = attention + feed_forward + 2 * 8
    assert encoder.count_params() == 13 * 8 + layer + 8
    encoder, _ = pairs.pair("grouped")
    # Two key and value heads of 2; learned positions.
    attention = (8 + 1) * (8 + 4 + 4) + (8 + 1) * 8
    feed_forward = (8 + 1) * 6 + (6 + 1) * 8
    layer = attention + feed_forward + 2 * norm
    assert encoder.count_params() == (13 + 12) * 8 + layer + norm


# With sizes of 13, 8, 6, 1 and 2.
BAD_ARGUMENTS = [
    ({"vocabulary_size": 0}, "`vocabulary_size` must be an integer >= 1"),
    ({"embedding_dim": -4}, "`embedding_dim` must be an integer >= 1"),
    ({"hidden_dim": 0}, "`hidden_dim` must be an integer >= 1"),
    ({"num_layers": 0}, "`num_layers` must be an integer >= 1"),
    ({"num_heads": 0}, "`num_heads` must be an integer >= 1"),
    ({"num_kv_heads": 0}, "`num_kv_heads` must be an integer >= 1"),
    (
        {"num_kv_heads": 3},
        "`num_kv_heads` must be a divisor of `num_heads`, 2. Received: "
        "num_kv_heads=3.",
    ),
    (
        {"num_heads": 3},
        "`embedding_dim` must be a multiple of `num_heads`, 3. Received: "
        "embedding_dim=8.",
    ),
    (
        {"num_heads": 8, "positions": "rotary"},
        "`embedding_dim` must be an even multiple of `num_heads`, 8, with "
        "rotary positions. Received: embedding_dim=8.",
    ),
    ({"dropout": 1.0}, r"`dropout` must be a number in \[0.0, 1.0\)"),
    (
        {"attention_dropout": -0.1},
        r"`attention_dropout` must be a number in \[0.0, 1.0\)",
    ),
    (
        {"hidden_dropout": 1.5},
        r"`hidden_dropout` must be a number in \[0.0, 1.0\)",
    ),
    (
        {"activation": "tanh"},
        r"`activation` must be one of \['relu', 'gelu', 'swiglu'\]",
    ),
    (
        {"normalization": "batch"},
        r"`normalization` must be one of \['layer', 'rms'\]",
    ),
    (
        {"positions": "absolute"},
        r"`positions` must be one of \['sinusoidal', 'learned', 'rotary', ",
    ),
    (
        {"positions": "learned"},
        "`max_positions` must be an integer > 0 where positions are learned",
    ),
    (
        {"positions": "learned", "max_positions": 0},
        "`max_positions` must be an integer >= 1",
    ),
    ({"pad_id": -1}, "`pad_id` must be an integer >= 0"),
]


@pytest.mark.parametrize("options, message", BAD_ARGUMENTS)
def test_bad_arguments_are_named_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerEncoder(
            **{"vocabulary_size": 13, **pairs.TRANSFORMER_SIZES, **options}
        )


@pytest.mark.parametrize(
    "name", ["vocabulary_size", "embedding_dim", "hidden_dim", "num_heads"]
)
def test_a_size_that_is_no_integer_is_refused(name):
    options = {"vocabulary_size": 13, **pairs.TRANSFORMER_SIZES, name: 4.0}
    with pytest.raises(TypeError, match=f"`{name}` must be an integer >= 1"):
        TransformerEncoder(**options)


def test_more_tokens_than_learned_positions_are_refused():
    encoder = TransformerEncoder(
        13, 4, 6, 1, 2, positions="learned", max_positions=3
    )
    encoder(np.array([[5, 6, 7]]))
    with pytest.raises(
        ValueError,
        match="`length` must be at most 3 tokens, the learned positions. "
        "Received: length=4",
    ):
        encoder(np.array([[5, 6, 7, 8]]))
