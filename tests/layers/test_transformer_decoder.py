"""The Transformer decoder against a slow one in NumPy, and its cache."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import TransformerDecoder
from keras_s2s.models.compiled import supporting_jit
from tests import laws
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import transformers
from tests.layers.test_transformer_encoder import BAD_ARGUMENTS

every_pair = pytest.mark.parametrize("name", pairs.TRANSFORMER_PAIRS)


@every_pair
def test_it_equals_a_slow_one(name):
    encoder, decoder = pairs.pair(name, "float64")
    source_ids, target_ids, _ = pairs.sentences()
    logits = numerics.numpy(decoder(target_ids, encoder(source_ids)))
    for row in range(3):
        source = source_ids[row][source_ids[row] != 0]
        target = target_ids[row][target_ids[row] != 0]
        memory = transformers.encode(encoder, source)
        expected = transformers.decode(decoder, target, memory)
        numerics.assert_close(logits[row, : len(target)], expected, 1e-7)


@every_pair
def test_it_keeps_what_a_layer_keeps(name):
    source_ids, target_ids, _ = pairs.sentences()
    memory = pairs.pair(name)[0](source_ids)
    layer_checks.check_layer(
        lambda **o: pairs.make_decoder(name, **o),
        target_ids,
        numerics.numpy(memory),
        free_axes=2,
    )


def test_its_alignment_is_that_of_the_last_layer():
    encoder, decoder = pairs.pair("transformer", "float64")
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    state = decoder.initial_state(memory, 1, 1)
    ids = ops.convert_to_tensor(target_ids[:, :1])
    _, state = decoder.step(ids, state, decoder.prepare(memory), ops.array(0))
    weights = numerics.numpy(state["alignment"])
    assert weights.shape == (3, 1, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0)
    assert not np.any(weights[:, 0][source_ids == 0])
    np.testing.assert_array_equal(weights[1, 0], [1, 0, 0, 0, 0])


def test_a_memory_and_its_keys_are_never_repeated_for_beams():
    encoder, decoder = pairs.pair("grouped")
    source_ids = pairs.sentences()[0]
    contexts = decoder.prepare(encoder(source_ids))["layers"]
    assert len(contexts) == 1
    # Two heads of keys, transposed, and values, of size 2.
    assert tuple(contexts[0]["key"].shape) == (3, 2, 2, 5)
    assert tuple(contexts[0]["value"].shape) == (3, 2, 5, 2)


def test_a_past_is_seen_through_the_beams_that_wrote_it():
    """What a search does: beams change places, the cache does not."""
    encoder, decoder = pairs.pair("llama", "float64")
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids[:1])
    context = decoder.prepare(memory)
    state = decoder.initial_state(memory, 2, 3)
    tokens = np.array([[[2, 2]], [[5, 6]], [[7, 8]]], "int32")
    parents = [[0, 1], [1, 1], None]
    for time, (ids, parent) in enumerate(zip(tokens, parents)):
        position = ops.convert_to_tensor(time, "int32")
        ids = ops.convert_to_tensor(ids)
        logits, state = decoder.step(ids, state, context, position)
        if parent is not None:
            state = {**state, "beams": ops.take(state["beams"], parent, 1)}
    # Both come from the second beam.
    for beam, ids in enumerate([[2, 6, 7], [2, 6, 8]]):
        whole = decoder(np.array([ids]), memory)
        numerics.assert_close(logits[:, beam], whole[:, -1], 1e-9)


@pytest.mark.parametrize("name", ["transformer", "llama"])
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


@pytest.mark.parametrize("name", ["transformer", "unplaced"])
def test_a_source_of_only_padding_gives_no_nan(name):
    encoder, decoder = pairs.pair(name)
    _, target_ids, _ = pairs.sentences()
    weights = pairs.weights_of(encoder, decoder)

    def total():
        memory = encoder(np.zeros((3, 2), "int32"))
        return ops.sum(decoder(target_ids, memory))

    value, gradients = numerics.value_and_gradients(total, weights)
    for tensor in (value, *gradients):
        assert np.all(np.isfinite(numerics.numpy(tensor)))


@every_pair
def test_features_of_padding_are_0_whatever_rows_there_are(name):
    encoder, decoder = pairs.pair(name)
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    found = []
    for compiled in (False, True):
        with supporting_jit([decoder] if compiled else []):
            found.append(numerics.numpy(decoder.features(target_ids, memory)))
    for features in found:
        assert np.all(features[target_ids == 0] == 0)
    numerics.assert_close(found[1], found[0], 1e-5)


@pytest.mark.parametrize(
    "option", ["dropout", "attention_dropout", "hidden_dropout"]
)
def test_dropout_acts_in_training_only(option):
    encoder, _ = pairs.pair("transformer")
    decoder = TransformerDecoder(11, 8, 6, 1, 2, **{option: 0.5})
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    first, second, trained = (
        numerics.numpy(decoder(target_ids, memory, training=training))
        for training in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != trained)


def test_its_weights_are_counted_by_hand():
    _, decoder = pairs.pair("transformer")
    norm, self_attention = 2 * 8, (8 + 1) * 3 * 8 + (8 + 1) * 8
    memory_attention = (8 + 1) * 8 + (8 + 1) * 2 * 8 + (8 + 1) * 8
    feed_forward = (8 + 1) * 6 + (6 + 1) * 8
    layer = self_attention + memory_attention + feed_forward + 3 * norm
    output = (8 + 1) * 11
    assert decoder.count_params() == 11 * 8 + 2 * layer + norm + output


def test_shared_and_tied_embeddings_are_one_matrix():
    model = pairs.model_of("grouped")
    shapes = [tuple(weight.shape) for weight in model.weights]
    assert shapes.count((13, 8)) == 1 and (8, 13) not in shapes


@pytest.mark.parametrize("options, message", BAD_ARGUMENTS)
def test_bad_arguments_are_named_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerDecoder(
            **{"vocabulary_size": 11, **pairs.TRANSFORMER_SIZES, **options}
        )


def test_more_tokens_than_learned_positions_are_refused():
    encoder, _ = pairs.pair("transformer")
    memory = encoder(np.array([[5, 6]]))
    decoder = TransformerDecoder(
        13, 4, 6, 1, 2, positions="learned", max_positions=3
    )
    decoder(np.array([[2, 6, 7]]), memory)
    message = "must be at most 3 tokens, the learned positions"
    with pytest.raises(ValueError, match=f"`length` {message}"):
        decoder(np.array([[2, 5, 6, 7]]), memory)
    decoder.initial_state(memory, 1, 3)
    with pytest.raises(ValueError, match=f"`max_length` {message}"):
        decoder.initial_state(memory, 1, 4)
