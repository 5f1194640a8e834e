"""Several targets of a source, and several sources of a target, by name."""

import numpy as np
import pytest

from keras_s2s.data import ImagePairs
from keras_s2s.data import SequencePairs
from keras_s2s.data import TextPairs
from keras_s2s.tokenizers import SentencePieceTokenizer

SOURCE = [[5, 3], [6, 7, 8, 3]]
TARGETS = {"de": [[8], [9, 9]], "fr": [[4, 5, 6], None]}
TEXTS = ["a dog runs .", "a cat runs .", "two dogs run ."]


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 20)


def batch(*sides, **options):
    (found,) = SequencePairs(*sides, shuffle=False, **options)
    inputs, labels, weights = found
    return inputs["source_ids"], inputs["target_ids"], labels, weights


def test_targets_by_name_are_padded_to_one_length():
    source_ids, target_ids, labels, weights = batch(SOURCE, TARGETS)
    # Short targets come first: 3 tokens with their end, and 4.
    assert source_ids.tolist() == [[6, 7, 8, 3], [5, 3, 0, 0]]
    assert target_ids["de"].tolist() == [[2, 9, 9, 0], [2, 8, 0, 0]]
    assert labels["de"].tolist() == [[9, 9, 3, 0], [8, 3, 0, 0]]
    assert weights["de"].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]
    assert target_ids["fr"].tolist() == [[2, 0, 0, 0], [2, 4, 5, 6]]
    assert labels["fr"].tolist() == [[0, 0, 0, 0], [4, 5, 6, 3]]
    assert weights["fr"].tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    assert {array.dtype.name for array in labels.values()} == {"int32"}


def test_sources_by_name_are_padded_to_one_length():
    sources = {"en": SOURCE, "cs": [[4, 3], [4, 4, 3]]}
    source_ids, target_ids, _, _ = batch(sources, [[8], [9, 9]])
    assert source_ids["en"].tolist() == [[5, 3, 0, 0], [6, 7, 8, 3]]
    assert source_ids["cs"].tolist() == [[4, 3, 0, 0], [4, 4, 3, 0]]
    assert target_ids.tolist() == [[2, 8, 0], [2, 9, 9]]


def test_one_target_by_name_is_that_target():
    named, alone = batch(SOURCE, {"de": [[8], [9]]}), batch(SOURCE, [[8], [9]])
    np.testing.assert_array_equal(named[0], alone[0])
    for one, other in zip(named[1:], alone[1:]):
        np.testing.assert_array_equal(one["de"], other)


def test_a_pair_is_as_long_as_its_longest():
    with pytest.warns(UserWarning, match="1 of 2 pairs are over"):
        data = SequencePairs(SOURCE, TARGETS, max_target_length=3)
    assert data.pair_indices(0).tolist() == [1]
    data = SequencePairs(SOURCE, TARGETS)
    assert data.max_source_id == 8
    assert data.max_target_id == {"de": 9, "fr": 6}
    assert "2 pairs" in repr(data)


def test_texts_are_encoded_by_the_tokenizer_of_their_name(tokenizer):
    other = SentencePieceTokenizer.train(TEXTS, model_type="char")
    texts = {"de": TEXTS, "fr": [None, *TEXTS[1:]]}
    tokenizers = {"fr": other, "de": tokenizer}
    data = TextPairs(TEXTS, texts, tokenizer, tokenizers, shuffle=False)
    ((inputs, labels, weights),) = data
    rows = data.pair_indices(0)
    assert list(labels) == ["de", "fr"]
    assert tokenizer.decode(labels["de"]) == [TEXTS[row] for row in rows]
    assert other.decode(labels["fr"]) == [texts["fr"][n] or "" for n in rows]
    assert np.all(weights["fr"][rows == 0] == 0)


def test_images_have_several_captions(tokenizer):
    images = np.zeros((3, 2, 2, 1), "uint8")
    data = ImagePairs(images, {"en": TEXTS, "xx": TEXTS}, tokenizer)
    ((inputs, labels, _),) = data
    assert inputs["images"].shape == (3, 2, 2, 1)
    assert set(inputs["target_ids"]) == set(labels) == {"en", "xx"}


def test_names_that_do_not_agree_are_refused(tokenizer):
    rule = r"`target_texts` must be a dict of the names.*\['it'\].*=\['de'\]"
    with pytest.raises(ValueError, match=rule):
        TextPairs(TEXTS, {"de": TEXTS}, tokenizer, {"it": tokenizer})
    with pytest.raises(ValueError, match="`target_texts` must be a dict of"):
        TextPairs(TEXTS, TEXTS, tokenizer, {"it": tokenizer})
    with pytest.raises(ValueError, match="`target_ids` must be of at least"):
        SequencePairs(SOURCE, {})


def test_what_is_wrong_is_named_with_its_name_and_line(tokenizer):
    rule = r"`len\(target_ids\['fr'\]\)` must be len\(source_ids\), 2"
    with pytest.raises(ValueError, match=rule):
        SequencePairs(SOURCE, {**TARGETS, "fr": [[4]]})
    rule = r"`target_ids\['de'\]\[1\]` must be a list of at least one id"
    with pytest.raises(ValueError, match=rule):
        SequencePairs(SOURCE, {**TARGETS, "de": [[4], []]})
    rule = "`target_ids` must be of at least one sequence.*None in line 2"
    with pytest.raises(ValueError, match=rule):
        SequencePairs(SOURCE, {**TARGETS, "de": [[4], None]})
    rule = r"`target_texts\['de'\]\[1\]` must be a text, not empty.*line 2"
    with pytest.raises(ValueError, match=rule):
        TextPairs(TEXTS, {"de": [*TEXTS[:1], "", "a"]}, tokenizer, tokenizer)


def test_only_targets_by_name_may_be_missing(tokenizer):
    with pytest.raises(TypeError, match=r"`target_ids\[1\]` must be a list"):
        SequencePairs(SOURCE, [[4], None])
    rule = r"`source_ids\['en'\]\[1\]` must be a list of integer ids"
    with pytest.raises(TypeError, match=rule):
        SequencePairs({"en": [[4], None]}, [[4], [5]])
    rule = r"`source_texts\['en'\]\[0\]` must be a str"
    with pytest.raises(TypeError, match=rule):
        TextPairs({"en": [None, "a", "a"]}, TEXTS, tokenizer, tokenizer)


def test_tokenizers_agree_on_special_ids(tokenizer):
    class Other:
        pad_id, bos_id, eos_id = 0, 2, 5

    tokenizers = {"de": tokenizer, "fr": Other()}
    rule = r"`target_tokenizer.eos_id` must be the same for all.*=\[3, 5\]"
    with pytest.raises(ValueError, match=rule):
        TextPairs(TEXTS, {"de": TEXTS, "fr": TEXTS}, tokenizer, tokenizers)


def test_nothing_is_copied_into_several_targets(tokenizer):
    with pytest.raises(ValueError, match="`max_copied` must be 0 where"):
        TextPairs(TEXTS, {"de": TEXTS}, tokenizer, tokenizer, max_copied=2)


def test_a_language_token_stays_whole():
    texts = [f"<2de> {text}" for text in TEXTS]
    tokenizer = SentencePieceTokenizer.train(
        TEXTS, 22, user_defined_symbols=["<2de>", "<2fr>"]
    )
    data = TextPairs(texts, TEXTS, tokenizer, tokenizer, shuffle=False)
    ((inputs, _, _),) = data
    source_ids = inputs["source_ids"]
    plain = tokenizer.encode(["", "<2de>", "<2fr>"])
    token, other = (ids[-1] for ids in plain[1:])
    assert len({token, other, tokenizer.unk_id}) == 3
    assert np.all(np.sum(source_ids == token, axis=1) == 1)
    assert not np.any(source_ids == other)
    for row, ids in zip(data.pair_indices(0), source_ids):
        (expected,) = tokenizer.encode([TEXTS[row]], add_eos=True)
        # What comes before and after it is spelled as without it.
        assert ids[ids != 0].tolist()[-len(expected) :] == expected
