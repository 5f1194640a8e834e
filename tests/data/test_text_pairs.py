"""Texts become the pairs that their ids become."""

import pytest

from keras_s2s.data import SequencePairs
from keras_s2s.data import TextPairs
from keras_s2s.tokenizers import SentencePieceTokenizer
from tests.data.test_pairs import spell

TEXTS = ["a dog runs .", "a cat runs .", "two dogs run ."]


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 20)


def test_texts_are_encoded_and_sources_end_with_eos(tokenizer):
    data = TextPairs(
        TEXTS, TEXTS, tokenizer, tokenizer, shuffle=False, batch_size=1
    )
    for index, (inputs, labels, _) in enumerate(data):
        (row,) = data.pair_indices(index)
        (ids,) = tokenizer.encode([TEXTS[row]])
        assert inputs["source_ids"][0, : len(ids) + 1].tolist() == [*ids, 3]
        assert inputs["target_ids"][0, : len(ids) + 1].tolist() == [2, *ids]
        assert labels[0, : len(ids) + 1].tolist() == [*ids, 3]


def test_texts_take_all_the_options_of_ids(tokenizer):
    source_ids = tokenizer.encode(TEXTS, add_eos=True)
    target_ids = tokenizer.encode(TEXTS)
    options = {"batch_size": 2, "seed": 5, "bucket_lengths": [64]}
    texts = TextPairs(TEXTS, TEXTS, tokenizer, tokenizer, **options)
    assert spell(texts) == spell(
        SequencePairs(source_ids, target_ids, **options)
    )
    assert repr(texts).startswith("TextPairs(3 pairs")


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_text_is_named_with_its_line(tokenizer, empty):
    texts = [TEXTS[0], empty, ""]
    rule = r"`source_texts\[1\]` must be a text, not empty.*line 2\."
    with pytest.raises(ValueError, match=rule):
        TextPairs(texts, TEXTS, tokenizer, tokenizer)
    rule = r"`target_texts\[1\]` must be a text, not empty.*line 2\."
    with pytest.raises(ValueError, match=rule):
        TextPairs(TEXTS, texts, tokenizer, tokenizer)


def test_unequal_texts_and_what_is_no_text_are_named(tokenizer):
    with pytest.raises(ValueError, match=r"`len\(target_texts\)`.*Line 3 has"):
        TextPairs(TEXTS, TEXTS[:2], tokenizer, tokenizer)
    with pytest.raises(TypeError, match="`source_texts` must be a list"):
        TextPairs("abc", TEXTS, tokenizer, tokenizer)
    with pytest.raises(TypeError, match=r"`target_texts\[1\]` must be a str"):
        TextPairs(TEXTS, ["a", 3, "b"], tokenizer, tokenizer)


def test_special_ids_are_those_of_the_target_tokenizer(tokenizer):
    with pytest.raises(ValueError, match="`pad_id` must be left out"):
        TextPairs(TEXTS, TEXTS, tokenizer, tokenizer, pad_id=0)

    class Padless:
        pad_id = 9

    rule = "`source_tokenizer.pad_id` must be that of target_tokenizer, 0.*=9"
    with pytest.raises(ValueError, match=rule):
        TextPairs(TEXTS, TEXTS, Padless(), tokenizer)
