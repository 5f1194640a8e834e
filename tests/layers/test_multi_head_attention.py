"""Attention with several heads, alone, against loops in NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import MultiHeadAttention
from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from keras_s2s.layers.multi_head_attention import SelfAttention
from keras_s2s.layers.rows import AllRows
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import transformers

MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], "bool")
every_grouping = pytest.mark.parametrize("groups", [None, 1, 2])


def inputs():
    random = np.random.default_rng(0)
    return random.normal(size=(3, 2, 8)), random.normal(size=(3, 4, 5))


def draw(layer):
    random = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


@every_grouping
def test_it_equals_a_slow_loop(groups):
    query, value = inputs()
    layer = MultiHeadAttention(4, groups, dtype="float64")
    layer(query, value, MASK)
    context, weights = numerics.numpy(draw(layer)(query, value, MASK))
    for row in range(3):
        real = MASK[row]
        expected = transformers.attend_memory(
            layer, query[row], value[row][real]
        )
        numerics.assert_close(context[row], expected[0], 1e-12)
        numerics.assert_close(weights[row][:, real], expected[1], 1e-12)
        assert np.all(weights[row][:, ~real] == 0)
    np.testing.assert_allclose(weights.sum(-1), 1.0)


@pytest.mark.parametrize("rotary", [False, True])
@every_grouping
def test_self_attention_equals_a_slow_loop(groups, rotary):
    query, _ = inputs()
    layer = SelfAttention(4, groups, rotary=rotary, dtype="float64")
    layer.build((None, 8))
    draw(layer)
    rows, bias = AllRows((3, 2)), ops.zeros((1, 1, 2, 2), "float64")
    result = layer.call(rows.pack(ops.array(query)), rows, bias)
    result = numerics.numpy(rows.unpack(result))
    for row in range(3):
        expected = transformers.attend_self(layer, query[row], causal=False)
        numerics.assert_close(result[row], expected, 1e-12)


def test_it_keeps_what_a_layer_keeps():
    layer_checks.check_layer(
        lambda **o: MultiHeadAttention(4, 2, 0.1, **o),
        *inputs(),
        MASK,
        free_axes=2,
    )


def test_no_mask_is_a_mask_of_true():
    layer = MultiHeadAttention(2)
    query, value = inputs()
    found = layer(query, value)
    numerics.assert_close(
        found, layer(query, value, np.ones((3, 4), "bool")), 0
    )


def test_a_memory_of_only_padding_gives_no_nan():
    layer = MultiHeadAttention(2)
    query, value = inputs()
    for tensor in numerics.numpy(layer(query, value, np.zeros((3, 4), "bool"))):
        assert np.all(np.isfinite(tensor))


def test_one_place_gets_the_whole_weight():
    layer = MultiHeadAttention(2)
    query, value = inputs()
    _, weights = layer(query, value[:, :1], np.ones((3, 1), "bool"))
    np.testing.assert_array_equal(numerics.numpy(weights), np.ones((3, 2, 1)))


def test_dropout_acts_in_training_only():
    layer = MultiHeadAttention(2, dropout=0.5)
    query, value = inputs()
    first, second, trained = (
        numerics.numpy(layer(query, value, MASK, training=training)[0])
        for training in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)


def test_a_recurrent_decoder_takes_it_without_dropout():
    encoder = RNNEncoder(13, 4, 5)
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    decoder = RNNDecoder(11, 4, 6, attention=MultiHeadAttention(3))
    assert decoder(target_ids, memory).shape == (3, 4, 11)
    with pytest.raises(
        ValueError,
        match="`attention` must be without dropout inside a recurrent "
        "decoder. Received: attention=0.1",
    ):
        RNNDecoder(11, 4, 6, attention=MultiHeadAttention(3, dropout=0.1))
    decoder = RNNDecoder(11, 4, 5, attention=MultiHeadAttention(2))
    with pytest.raises(ValueError, match="`num_heads` must be a divisor of"):
        decoder(target_ids, memory)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_heads": 0}, "`num_heads` must be an integer >= 1"),
        ({"num_kv_heads": 0}, "`num_kv_heads` must be an integer >= 1"),
        ({"num_kv_heads": 3}, "`num_kv_heads` must be a divisor of `num_h"),
        ({"dropout": 1.0}, r"`dropout` must be a number in \[0.0, 1.0\)"),
        (
            {"num_heads": 3},
            "`num_heads` must be a divisor of the size of the query, 8. "
            "Received: num_heads=3.",
        ),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**{"num_heads": 4, **options})(*inputs())
