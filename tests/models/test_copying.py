"""From text to text with words that no vocabulary has."""

import functools

import keras
import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s.data import TextPairs
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models import TextToText
from keras_s2s.tokenizers import WordTokenizer
from tests import numerics
from tests import pairs

SOURCES = ["the dog sees Ada", "Bob and Eve", "the dog"]
TARGETS = ["Ada sees", "Eve and Bob", "Zoe"]


@functools.cache
def tokenizer():
    return WordTokenizer(["the", "dog", "sees", "and"])  # 4 to 7; V is 8


def make_text(max_copied=3, **options):
    encoder = layers.RNNEncoder(8, 4, 5, cell="gru", unk_id=1)
    decoder = layers.RNNDecoder(8, 4, 5, cell="gru", attention="general")
    decoder = layers.PointerGenerator(decoder, max_copied)
    model = Seq2Seq(*pairs.build(encoder, decoder), **options)
    inference = InferenceModel(model, max_length=4)
    return TextToText(inference, tokenizer(), tokenizer()), model


def test_pairs_share_the_words_of_the_source():
    data = TextPairs(
        SOURCES,
        TARGETS,
        tokenizer(),
        tokenizer(),
        max_copied=1,
        batch_size=3,
        shuffle=False,
    )
    inputs, labels, _ = data[0]
    rows = [ids.tolist() for ids in (inputs["source_ids"], labels)]
    rows = dict(zip(data.pair_indices(0).tolist(), zip(*rows)))
    assert rows == {
        0: ([4, 5, 6, 8, 3], [8, 6, 3, 0]),
        1: ([8, 7, 1, 3, 0], [1, 7, 8, 3]),
        2: ([4, 5, 3, 0, 0], [1, 3, 0, 0]),
    }


def test_copied_words_come_out_and_the_file_holds_all(tmp_path, eagerly):
    # One slot: of two unknown words the second stays so.
    text, model = make_text(max_copied=1, share_embeddings=True)
    model.decoder.gate.bias.assign([-200.0])
    answers = text.generate(SOURCES)
    words = [{*source.split(), "<unk>"} - {"Eve"} for source in SOURCES]
    found = [set(answer.split()) for answer in answers]
    assert all(some <= every for some, every in zip(found, words))
    assert {"Ada", "Bob"} & set.union(*found)
    assert [text.generate([one])[0] for one in SOURCES] == answers
    for answer, (best, *_) in zip(answers, text.n_best(SOURCES)):
        assert best.text == answer
        assert " ".join(filter(None, best.tokens)) == answer
    text.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.generate(SOURCES) == answers
    decoder = loaded.inference.decoder
    assert loaded.inference.encoder.embedding is decoder.embedding


def test_prefixes_may_hold_words_to_copy():
    text, _ = make_text()
    text.inference.compile(run_eagerly=True)
    prefixes = ["sees Ada", "Eve", None]
    found = text.generate(SOURCES, prefixes=prefixes, forbidden=["and", "the"])
    assert found[0].startswith("sees Ada") and found[1].startswith("Eve")
    with pytest.raises(ValueError, match=r"unlike \['Ada'\]"):
        text.generate(SOURCES, prefixes="the Ada")


def test_ids_beyond_the_vocabulary_are_for_models_that_copy():
    text, model = make_text(max_copied=2)
    model.compile("sgd", loss=SequenceLoss(), run_eagerly=True)
    ids = np.array([[2, 9]], "int32")

    def evaluate(source_ids, target_ids, labels):
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        return model.evaluate(inputs, labels, verbose=0)

    assert np.isfinite(evaluate(ids, ids, ids))
    for place, name in enumerate(["source_ids", "target_ids", "labels"]):
        arguments = [ids, ids, ids]
        arguments[place] = ids + 1
        with pytest.raises(
            ValueError, match=rf"`{name}` must hold ids in \[0, 10"
        ):
            evaluate(*arguments)
    assert text.inference.predict(ids, verbose=0)["ids"].shape == (1, 1, 4)
    with pytest.raises(
        ValueError, match=r"`source_ids` must hold ids in \[0, 10"
    ):
        text.inference.predict(ids + 1, verbose=0)


def test_an_encoder_must_read_what_its_decoder_copies():
    for options in ({}, {"unk_id": 2}):
        encoder = layers.RNNEncoder(8, 4, 5, **options)
        decoder = layers.PointerGenerator(layers.RNNDecoder(8, 4, 5), 3)
        with pytest.raises(
            ValueError, match="`encoder` must be one of unk_id=1"
        ):
            Seq2Seq(encoder, decoder)
    with pytest.raises(ValueError, match="and vocabulary_size=8, as the decod"):
        Seq2Seq(layers.RNNEncoder(9, 4, 5, unk_id=1), decoder)


def test_a_tokenizer_of_other_ids_is_refused():
    text, _ = make_text()
    other = WordTokenizer(["the"])
    with pytest.raises(
        ValueError, match="`source_tokenizer` must be a tokenize"
    ):
        TextToText(text.inference, other, other).generate(["the"])


def test_logits_are_not_taken_by_chunks():
    _, model = make_text()
    with pytest.raises(ValueError, match="`chunk_size` must be None where the"):
        model.compile("sgd", loss=SequenceLoss(chunk_size=4))


def test_the_coverage_loss_of_a_decoder_that_copies_is_trained(eagerly):
    """See et al., 2017, eq. 13: the mean over real tokens, times its weight."""
    encoder = layers.RNNEncoder(8, 4, 5, cell="gru", unk_id=1)
    attention = layers.CoverageAttention(5, coverage_loss_weight=2.0)
    decoder = layers.RNNDecoder(8, 4, 5, cell="gru", attention=attention)
    decoder = layers.PointerGenerator(decoder, 3)
    model = Seq2Seq(*pairs.build(encoder, decoder))
    model.compile("sgd", loss=SequenceLoss())
    inputs = {
        "source_ids": np.array([[4, 8, 9, 3], [5, 3, 0, 0]], "int32"),
        "target_ids": np.array([[2, 8, 9], [2, 5, 0]], "int32"),
    }
    labels = np.array([[8, 9, 3], [5, 3, 0]], "int32")
    memory = encoder(inputs["source_ids"])
    known = np.array([[2, 1, 1], [2, 5, 0]], "int32")
    weights = numerics.numpy(decoder.decoder.attended_features(known, memory))
    coverage = 0.0
    for row, length in zip(weights["weights"], (3, 2)):
        for time in range(length):
            coverage += np.minimum(row[time], row[:time].sum(axis=0)).sum()
    expected = model.evaluate(inputs, labels, verbose=0) + 2 * coverage / 5
    found = model.train_on_batch(inputs, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
