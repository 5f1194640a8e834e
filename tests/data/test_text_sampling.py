"""Texts that are cut anew in each epoch."""

import functools

import keras
import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s.data import TextPairs
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import Seq2Seq
from keras_s2s.tokenizers import SentencePieceTokenizer
from keras_s2s.tokenizers import WordTokenizer

SOURCES = [
    f"the {size} {animal} {verb} near the house" * times
    for size in ("small", "large", "largest", "smaller")
    for animal in ("dog", "cats", "doghouse")
    for verb in ("runs", "running", "sleeps")
    for times in (1, 2)
]
TARGETS = [source.replace("the", "that") for source in SOURCES]


@functools.cache
def tokenizer(model_type="unigram"):
    return SentencePieceTokenizer.train(
        SOURCES + TARGETS,
        vocabulary_size=60,
        model_type=model_type,
        hard_vocab_limit=False,
    )


def make_data(alpha=0.2, **options):
    options = {"batch_tokens": 400, **options}
    pieces = tokenizer()
    return TextPairs(
        SOURCES, TARGETS, pieces, pieces, sampling_alpha=alpha, **options
    )


def read(data, epoch):
    """Returns the ids of each pair: its source and its labels."""
    data.epoch = epoch
    found = {}
    for index in range(len(data)):
        inputs, labels, weights = data[index]
        assert weights.shape == labels.shape == inputs["target_ids"].shape
        np.testing.assert_array_equal(weights, labels != 0)
        sources = inputs["source_ids"]
        for row, place in enumerate(data.pair_indices(index).tolist()):
            assert place not in found
            pair = [ids[row][ids[row] != 0] for ids in (sources, labels)]
            found[place] = [ids.tolist() for ids in pair]
    return found


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_text_is_cut_in_several_ways_that_say_the_same(model_type):
    pieces = tokenizer(model_type)
    drawn = [
        pieces.encode(SOURCES, add_eos=True, sampling_alpha=0.2, seed=seed)
        for seed in (3, 3, 4)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != pieces.encode(SOURCES, add_eos=True)
    for ids in drawn:
        assert pieces.decode(ids) == SOURCES
        assert all(row[-1] == 3 for row in ids)


def test_each_epoch_has_cuts_of_its_own_and_all_pairs():
    data, again = make_data(), make_data()
    epochs = [read(data, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    # Out of order, as a run that is resumed.
    assert read(again, 2) == epochs[2] and read(again, 0) == epochs[0]
    for found in epochs:
        for side, texts in enumerate((SOURCES, TARGETS)):
            ids = [found[place][side] for place in range(len(texts))]
            assert tokenizer().decode(ids) == texts
            assert all(row[-1] == 3 and row.count(3) == 1 for row in ids)
    # Source and target of a pair are drawn apart from each other.
    assert make_data(seed=1)[0][0]["source_ids"].tolist() != (
        data[0][0]["source_ids"].tolist()
    )


@pytest.mark.parametrize(
    "options", [{}, {"num_shards": 3, "shard_index": 1}, {"batch_tokens": None}]
)
def test_there_are_as_many_batches_in_each_epoch(options):
    data = make_data(**options)
    count = len(data)
    for epoch in range(8):
        data.epoch = epoch
        assert len(data) == count
        for index in range(count):
            inputs, labels, _ = data[index]
            assert min(labels.shape) > 0
            # A few more positions, so that the number of batches holds.
            if data.batch_tokens:
                assert max(inputs["source_ids"].size, labels.size) < 450
        with pytest.raises(IndexError):
            data[count]


def test_a_cut_that_is_too_long_gives_way_to_the_best():
    best = tokenizer().encode(SOURCES, add_eos=True)
    limit = max(map(len, best))
    for options in (
        {"max_source_length": limit, "max_target_length": limit + 6},
        {"bucket_lengths": [limit + 6]},
    ):
        data = make_data(0.05, **options)
        assert data.num_pairs == len(SOURCES)
        found = read(data, 0)
        longest = options.get("max_source_length", limit + 6)
        assert max(len(source) for source, _ in found.values()) <= longest
        longest = options.get("max_target_length", limit + 6)
        assert max(len(target) for _, target in found.values()) <= longest
        replaced = [
            place
            for place, (source, _) in found.items()
            if source == best[place]
        ]
        assert len(replaced) < len(SOURCES)


def test_several_targets_are_each_cut():
    pieces = tokenizer()
    targets = {"a": TARGETS, "b": [None, *SOURCES[1:]]}
    data = TextPairs(SOURCES, targets, pieces, pieces, sampling_alpha=0.2)
    inputs, labels, weights = data[0]
    assert set(labels) == {"a", "b"}
    assert data.max_target_id == dict.fromkeys(
        labels, pieces.vocabulary_size - 1
    )


def test_a_model_is_trained_on_it(eagerly):
    sizes = tokenizer().vocabulary_size, 4, 4, 1, 2
    model = Seq2Seq(
        layers.TransformerEncoder(*sizes), layers.TransformerDecoder(*sizes)
    )
    model.compile(keras.optimizers.Adam(0.01), SequenceLoss())
    data = make_data(batch_tokens=2000)
    history = model.fit(data, epochs=3, verbose=0).history["loss"]
    assert history[2] < history[0]


def test_what_is_not_cut_is_refused():
    words = WordTokenizer(["the", "house"])
    message = "`sampling_alpha` must be None where words are not cut"
    with pytest.raises(ValueError, match=message):
        TextPairs(SOURCES, SOURCES, words, words, sampling_alpha=0.1)
    for alpha in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="`sampling_alpha` must be a num"):
            make_data(alpha)
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        tokenizer().encode(["a"], sampling_alpha=0.1, seed=-1)
