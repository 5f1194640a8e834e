"""A decoder that copies keeps every law, and its mixture is See et al.'s."""

import functools
import math

import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s import losses
from keras_s2s.decoding import RandomSampling
from keras_s2s.models import Seq2Seq
from tests import laws
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import pointers
from tests.layers.pointers import MAX_COPIED
from tests.layers.pointers import PAIRS
from tests.layers.pointers import SIZE
from tests.layers.pointers import UNK
from tests.layers.pointers import pair
from tests.layers.test_user_layers import SumDecoder

FLOOR = -30 * math.log(10)
every_pair = pytest.mark.parametrize("name", PAIRS)
CASES = [
    (law, name)
    for law in laws.LAWS
    for name in PAIRS
    if law != "padding" or name in ("fed", "transformer")
]


@functools.cache
def model_of(name):
    return Seq2Seq(*pair(name))


@every_pair
def test_it_is_the_mixture(name):
    encoder, decoder = pair(name)
    source_ids, target_ids, _ = pairs.sentences()
    assert np.any(source_ids >= SIZE) and np.any(target_ids >= SIZE)
    memory = encoder(source_ids)
    found = numerics.numpy(decoder(target_ids, memory))
    expected = pointers.mixture(decoder, target_ids, memory)
    is_real = target_ids != 0
    np.testing.assert_allclose(np.sum(expected, axis=-1), 1.0, rtol=1e-5)
    expected = np.log(np.maximum(expected, 1e-30))
    numerics.assert_close(found[is_real], expected[is_real], 1e-5)


def test_weights_of_one_word_add_up():
    pointers.check_weights_add_up()


@pytest.mark.parametrize("law, name", CASES)
def test_a_law_holds(law, name):
    laws.LAWS[law](functools.partial(pair, name))


def test_a_result_does_not_depend_on_its_batch():
    laws.check_independent_of_batch(model_of("fed"), laws.SEARCHES["beam"]())


@pytest.mark.parametrize(
    "name, search",
    [("fed", "penalty"), ("transformer", "greedy")],
)
def test_scores_are_rescored(name, search):
    laws.check_scores_are_rescored(model_of(name), laws.SEARCHES[search]())


def test_samples_are_rescored():
    search = RandomSampling(num_samples=2, seed=0)
    laws.check_scores_are_rescored(model_of("unfed"), search)


def test_what_is_only_copied_is_of_the_source():
    encoder, decoder = pairs.build(*pointers.make_layers("fed"))
    decoder.gate.bias.assign([-200.0])
    model = Seq2Seq(encoder, decoder)
    source_ids = np.array([[9, 5, 3, 10], [12, 3, 0, 0]], "int32")
    extended = 0
    for search in laws.SEARCHES.values():
        ids = laws.search_with(model, search(), source_ids)["ids"]
        for found, source in zip(ids[:, 0], source_ids):
            assert set(found) <= {*source, 0}
        extended += np.sum(ids >= SIZE)
    assert extended > 0


def test_more_unknown_words_than_slots_stay_unknown():
    encoder, decoder = pair("fed")
    target_ids = np.array([[2, 9]], "int32")
    more = np.array([[9, 10, 11, 12, 13, 5, 14]], "int32")
    rest = np.array([[9, 10, 11, 12, UNK, 5, UNK]], "int32")
    found, expected = (
        numerics.numpy(decoder(target_ids, encoder(ids)))
        for ids in (more, rest)
    )
    np.testing.assert_array_equal(found, expected)


def test_without_unknown_words_none_is_written():
    encoder, decoder = pair("unfed")
    memory = encoder(np.array([[5, 6, 5]], "int32"))
    found = numerics.numpy(decoder(np.array([[2, 5]], "int32"), memory))
    np.testing.assert_allclose(found[..., SIZE:], FLOOR, rtol=1e-6)
    total = np.sum(np.exp(found[..., :SIZE]), axis=-1)
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_an_impossible_label_teaches_nothing():
    encoder, decoder = pair("fed")
    source_ids, target_ids, labels = pairs.sentences()
    labels = np.where(labels == 0, 0, 12).astype("int32")
    source_ids = np.where(source_ids == 12, 5, source_ids).astype("int32")
    loss = losses.SequenceLoss()

    def value():
        return loss(labels, decoder(target_ids, encoder(source_ids)))

    weights = pairs.weights_of(encoder, decoder)
    found, gradients = numerics.value_and_gradients(value, weights)
    np.testing.assert_allclose(float(found), -FLOOR, rtol=1e-5)
    for gradient in gradients:
        np.testing.assert_allclose(numerics.numpy(gradient), 0.0, atol=1e-5)


def test_it_learns_in_mixed_precision_with_smoothing():
    model = Seq2Seq(*pointers.make_layers("fed", "mixed_float16"))
    loss = losses.SequenceLoss(label_smoothing=0.1)
    model.compile("adam", loss=loss, run_eagerly=True)
    source_ids, target_ids, labels = pairs.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    found = [model.train_on_batch(inputs, labels) for _ in range(3)]
    assert np.all(np.isfinite(found)) and found[2] < found[0]
    for weight in model.weights:
        assert np.all(np.isfinite(numerics.numpy(weight.value)))


def test_it_keeps_what_layers_keep():
    source_ids, target_ids, _ = pairs.sentences()
    memory = pair("fed")[0](source_ids)
    layer_checks.check_layer(
        lambda dtype: pointers.make_layers("fed", dtype)[1], target_ids, memory
    )
    layer_checks.check_layer(
        lambda dtype: pointers.make_layers("transformer", dtype)[0], source_ids
    )


def test_an_encoder_reads_unknown_words_as_one():
    for name in ("fed", "transformer"):
        encoder, _ = pair(name)
        found = encoder(np.array([[9, 5, 12]], "int32"))
        expected = encoder(np.array([[UNK, 5, UNK]], "int32"))
        numerics.assert_close(found["outputs"], expected["outputs"], 0)
        np.testing.assert_array_equal(found["source_ids"], [[9, 5, 12]])


def test_what_is_impossible_is_refused():
    plain = layers.RNNDecoder(SIZE, 4, 5)
    with pytest.raises(TypeError, match="`decoder` must be a keras_s2s"):
        layers.PointerGenerator(None, 3)
    for decoder in (layers.RNNDecoder(9, 4, 5, attention=None), SumDecoder(9)):
        with pytest.raises(ValueError, match="`decoder` must be one with att"):
            layers.PointerGenerator(decoder, 3)
    with pytest.raises(ValueError, match="`max_copied` must be an integer"):
        layers.PointerGenerator(plain, -1)
    with pytest.raises(ValueError, match="`unk_id` must hold ids in"):
        layers.PointerGenerator(plain, 3, unk_id=SIZE)
    for name in ("fed", "transformer"):
        encoder, _ = pair(name)
        config = {**encoder.get_config(), "unk_id": SIZE}
        with pytest.raises(ValueError, match="`unk_id` must hold ids in"):
            type(encoder)(**config)
    memory = pairs.pair("default")[0](pairs.sentences()[0])
    with pytest.raises(ValueError, match="`memory` must be one with `source_"):
        layers.PointerGenerator(plain, 3)(pairs.sentences()[1], memory)
    with pytest.raises(NotImplementedError, match="`attended_features`"):
        SumDecoder(9).attended_features(None, None)


def test_its_size_counts_what_it_copies():
    _, decoder = pair("fed")
    assert decoder.vocabulary_size == SIZE + MAX_COPIED
    assert decoder.longest is None
    assert decoder.embedding is decoder.decoder.embedding
