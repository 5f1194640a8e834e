"""Several models as one: averages of what its members write."""

import functools

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.models import Ensemble
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models import TextToText
from tests import laws
from tests import numerics
from tests import pairs
from tests.layers import pointers
from tests.models import test_one_to_many as to_many
from tests.models.texts import TEXTS
from tests.models.texts import text_to_text
from tests.models.texts import tokenizer

WEIGHTS = [1, 3]
BEAM = s2s.decoding.BeamSearch(2, num_hypotheses=2)
# An RNN and a Transformer, whose state has a cache.
NAMES = ("bahdanau", "llama")


@functools.cache
def ensemble_of(average="log_probabilities", dtype="float32"):
    models = [Seq2Seq(*pairs.pair(name, dtype)) for name in NAMES]
    return Ensemble(models, WEIGHTS, average)


def inputs():
    source_ids, target_ids, _ = pairs.sentences()
    return {"source_ids": source_ids, "target_ids": target_ids}


def log_probs_of(model):
    return numerics.log_softmax(numerics.numpy(model(inputs())))


@pytest.mark.parametrize("average", ["log_probabilities", "probabilities"])
def test_its_distribution_is_the_average_of_its_members(average):
    first, second = (log_probs_of(pairs.model_of(name)) for name in NAMES)
    if average == "probabilities":
        expected = np.log(0.25 * np.exp(first) + 0.75 * np.exp(second))
    else:
        expected = numerics.log_softmax(0.25 * first + 0.75 * second)
    assert np.max(np.abs(expected - first)) > 0.1
    found = log_probs_of(ensemble_of(average))
    numerics.assert_close(found, expected, 1e-5)


@pytest.mark.parametrize("average", ["log_probabilities", "probabilities"])
def test_a_search_scores_what_it_finds_as_its_call_does(average):
    laws.check_scores_are_rescored(ensemble_of(average), BEAM)


def test_of_one_model_it_is_that_model_bit_for_bit():
    model, source_ids = pairs.model_of("llama"), inputs()["source_ids"]
    twice = Ensemble([model, model])
    assert len(twice.decoder.members) == 1
    expected = laws.search_with(model, BEAM, source_ids, 4)
    found = laws.search_with(twice, BEAM, source_ids, 4)
    numerics.assert_close(found, expected, 0)
    expected = log_probs_of(model)
    numerics.assert_close(log_probs_of(Ensemble([model])), expected, 0)
    likewise = Ensemble([model], average="probabilities")
    numerics.assert_close(log_probs_of(likewise), expected, 1e-6)


def test_a_model_that_comes_twice_counts_twice():
    models = [pairs.model_of(name) for name in NAMES]
    again = InferenceModel(models[1], max_length=3)
    found = Ensemble([*models, again])
    assert found.decoder.shares == [1 / 3, 2 / 3]


def test_many_hypotheses_get_what_each_gets_alone():
    def make(dtype):
        ensemble = ensemble_of(dtype=dtype)
        return ensemble.encoder, ensemble.decoder

    laws.check_beams_are_queries(make)


def test_beam_1_is_greedy():
    laws.check_beam_of_one_is_greedy(ensemble_of("probabilities"))


def test_a_sentence_is_independent_of_its_batch_and_scored_alike():
    source_ids = inputs()["source_ids"]
    inference = InferenceModel(ensemble_of(), BEAM, max_length=4)
    expected = numerics.numpy(inference(source_ids))
    found = numerics.numpy(inference(pairs.pad(source_ids[[2, 0]], 2)))
    np.testing.assert_array_equal(found["ids"], expected["ids"][[2, 0]])
    numerics.assert_close(found["scores"], expected["scores"][[2, 0]], 1e-5)
    scored = inference.score(source_ids, expected["ids"][:, 1], verbose=0)
    numerics.assert_close(scored["scores"], expected["scores"][:, 1], 1e-5)


def test_alignments_are_the_average_where_all_attend():
    ensemble, source_ids = ensemble_of(), inputs()["source_ids"]
    inference = InferenceModel(
        ensemble, BEAM, max_length=4, return_alignments=True
    )
    found = numerics.numpy(inference(source_ids))
    ids = found["ids"][:, 0]
    target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=2)
    expected = 0
    for name, share in zip(NAMES, (0.25, 0.75)):
        encoder, decoder = pairs.pair(name)
        memory = encoder(source_ids)
        weights = decoder.attended_features(target_ids, memory)["weights"]
        expected = expected + share * numerics.numpy(weights)
    for row, length in enumerate(found["lengths"][:, 0]):
        numerics.assert_close(
            found["alignments"][row, 0, :length], expected[row, :length], 1e-5
        )


@pytest.mark.parametrize("name", ["no attention", "other positions"])
def test_members_that_look_elsewhere_have_no_common_alignment(name):
    encoder, decoder = pairs.pair("cho")
    if name == "other positions":
        encoder = s2s.layers.PyramidalRNNEncoder(13, 4, 5)
        decoder = s2s.layers.RNNDecoder(11, 4, 5)
    ensemble = Ensemble([pairs.model_of("llama"), Seq2Seq(encoder, decoder)])
    greedy, source_ids = s2s.decoding.GreedySearch(), inputs()["source_ids"]
    found = laws.search_with(ensemble, greedy, source_ids, 2)
    assert np.all(found["lengths"] > 0)
    with pytest.raises(ValueError, match="an entry `alignment`"):
        laws.search_with(
            ensemble, greedy, source_ids, 2, return_alignments=True
        )


def test_it_is_saved_in_one_file(tmp_path):
    # Layers of the same names; each has one embedding for both sides.
    other = Seq2Seq(*pairs.build(*pairs.make_layers("grouped"), seed=1))
    other.save(tmp_path / "other.keras")
    models = [pairs.model_of("grouped"), tmp_path / "other.keras"]
    ensemble = Ensemble(models, WEIGHTS, "probabilities")
    first, second = (
        np.exp(log_probs_of(model)) for model in (models[0], other)
    )
    expected = np.log(0.25 * first + 0.75 * second)
    numerics.assert_close(log_probs_of(ensemble), expected, 1e-5)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    numerics.assert_close(log_probs_of(loaded), expected, 1e-5)
    members = zip(loaded.encoder.members, loaded.decoder.members)
    assert all(one.embedding is two.embedding for one, two in members)


def test_text_models_of_the_same_tokenizers_write_together(eagerly):
    text, other = text_to_text(), tokenizer()
    size = other.vocabulary_size
    encoder = s2s.layers.RNNEncoder(size, 4, 5)
    decoder = s2s.layers.RNNDecoder(size, 4, 5, attention=None)
    second = Seq2Seq(*pairs.build(encoder, decoder))
    greedy = s2s.decoding.GreedySearch()
    inference = InferenceModel([text, second], greedy, max_length=4)
    found = TextToText(inference, other, other).generate(TEXTS)
    best = inference.predict(other.encode(TEXTS[:1], add_eos=True), verbose=0)
    assert found[0] == other.decode(best["ids"][:, 0])[0]
    # The same model under another name; and another model.
    copy = s2s.tokenizers.SentencePieceTokenizer(other.model)
    second = InferenceModel(second, max_length=4)
    Ensemble([text, TextToText(second, copy, copy)])
    letters = s2s.tokenizers.SentencePieceTokenizer.train(
        ["other letters"], vocabulary_size=14, model_type="char"
    )
    changed = TextToText(second, copy, letters)
    with pytest.raises(ValueError, match=r"`models\[1\]` must be of the targe"):
        Ensemble([text, changed])


def test_members_that_copy_write_together():
    other = Seq2Seq(*pairs.build(*pointers.make_layers("fed"), seed=1))
    ensemble = Ensemble([Seq2Seq(*pointers.pair("fed")), other])
    assert ensemble.decoder.max_copied == pointers.MAX_COPIED
    found = laws.search_with(ensemble, BEAM, inputs()["source_ids"], 2)
    assert np.all(found["lengths"] > 0)


def model_with(encoder=None, decoder=None):
    encoder = encoder or s2s.layers.RNNEncoder(13, 4, 5)
    return Seq2Seq(encoder, decoder or s2s.layers.RNNDecoder(11, 4, 5))


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: model_with(s2s.layers.RNNEncoder(14, 4, 5)),
            r"of the vocabulary_size of the encoder of .* 13. Rec.*\]=14",
        ),
        (
            lambda: model_with(decoder=s2s.layers.RNNDecoder(12, 4, 5)),
            r"of the vocabulary_size of the decoder of .* 11. Rec.*\]=12",
        ),
        (
            lambda: model_with(s2s.layers.RNNVectorEncoder(3, 4, 5)),
            r"of the vocabulary_size of the encoder of .*\]=None",
        ),
        (
            lambda: model_with(decoder=pairs.pair("bahdanau")[1]),
            r"a model of layers that no other model has",
        ),
        (
            lambda: Seq2Seq(*pairs.pair("R to R")),
            "one that writes ids",
        ),
        (
            lambda: ensemble_of(),
            "no ensemble itself.* List its models here instead.",
        ),
        (lambda: to_many.model_of_two(), "a model with one keras_s2s.layers"),
        (lambda: None, "a model with one keras_s2s.layers.Encoder"),
    ],
)
def test_models_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=rf"`models\[1\]` must be {message}"):
        Ensemble([pairs.model_of("bahdanau"), make()])


@pytest.mark.parametrize(
    "models, options, error, message",
    [
        ([], {}, ValueError, "`models` must be a list of at least one model"),
        ("x.keras", {}, TypeError, "`models` must be a list of models"),
        ([None], {"weights": [1, 2]}, ValueError, "`weights` must be one for"),
        ([None], {"weights": [0]}, ValueError, r"`weights\[0\]` must be a num"),
        ([None], {"weights": ["a"]}, TypeError, r"`weights\[0\]` must be a nu"),
        ([None], {"average": "mean"}, ValueError, "`average` must be one of"),
    ],
)
def test_bad_arguments_are_refused(models, options, error, message):
    with pytest.raises(error, match=message):
        Ensemble(models, **options)


def test_compiling_is_for_all_members_and_the_shortest_counts():
    short = s2s.layers.TransformerDecoder(
        11, 8, 8, 1, 2, positions="learned", max_positions=4
    )
    models = [pairs.model_of("bahdanau"), model_with(decoder=short)]
    decoder = Ensemble(models).decoder
    decoder.supports_jit = True
    assert all(member.supports_jit for member in decoder.members)
    decoder.supports_jit = False
    assert not decoder.supports_jit
    with pytest.raises(ValueError, match="`max_length` must be at most 4"):
        InferenceModel(models, max_length=5)
