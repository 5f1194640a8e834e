"""Words to ids and back, and the words of a text that have no id."""

import json

import keras
import numpy as np
import pytest

from keras_s2s.tokenizers import SentencePieceTokenizer
from keras_s2s.tokenizers import WordTokenizer
from keras_s2s.word_tokenizer import find_extensions

# Ids 4 to 6; V is 7.
WORDS = ["sees", "the", "."]
TEXTS = ["Ada sees  the Arno , Ada .", "the .", ""]


def tokenizer():
    return WordTokenizer(WORDS)


def test_words_have_the_ids_of_their_order():
    assert tokenizer().vocabulary_size == 7
    assert tokenizer().encode(TEXTS) == [[1, 4, 5, 1, 1, 1, 6], [5, 6], []]
    found = tokenizer().encode(["the ."], add_bos=True, add_eos=True)
    assert found == [[2, 5, 6, 3]]


def test_unknown_words_are_found_once_in_their_order():
    find = tokenizer().unknown_words
    assert find(TEXTS, 5) == [["Ada", "Arno", ","], [], []]
    assert find(TEXTS, 2) == [["Ada", "Arno"], [], []]
    assert find(TEXTS, 0) == [[], [], []]


def test_extended_words_come_back():
    extensions = tokenizer().unknown_words(TEXTS, 2)
    ids = tokenizer().encode(TEXTS, extensions=extensions)
    assert ids == [[7, 4, 5, 8, 1, 7, 6], [5, 6], []]
    texts = tokenizer().decode(ids, extensions=extensions)
    assert texts == ["Ada sees the Arno <unk> Ada .", "the .", ""]


def test_a_target_is_encoded_by_the_words_of_its_source():
    found = tokenizer().encode(["Arno sees Eve"], extensions=[["Ada", "Arno"]])
    assert found == [[8, 4, 1]]


def test_special_ids_are_no_words():
    ids = np.array([[2, 5, 3, 0], [1, 6, 0, 0]])
    assert tokenizer().decode(ids) == ["the", "<unk> ."]
    assert tokenizer().decode(keras.ops.convert_to_tensor(ids))[0] == "the"
    # A place for a word that this source has not.
    assert tokenizer().decode([[8, 5]], extensions=[["Ada"]]) == ["<unk> the"]


def test_the_words_that_come_most_often_are_taken():
    texts = ["b a", "c a b", "d"]
    assert WordTokenizer.train(texts).words == ["b", "a", "c", "d"]
    assert WordTokenizer.train(texts, 7).words == ["b", "a", "c"]
    assert WordTokenizer.train(texts, min_count=2).words == ["b", "a"]


def test_its_config_is_json():
    config = keras.saving.serialize_keras_object(tokenizer())
    config = json.loads(json.dumps(config))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.words == WORDS and copy.encode(["the"]) == [[5]]


@pytest.mark.parametrize("words", [["a b"], [""], ["a", "a"]])
def test_what_is_no_word_is_refused(words):
    with pytest.raises(ValueError, match=r"`words\[\d\]` must be a word with"):
        WordTokenizer(words)


def test_bad_arguments_are_refused():
    one = tokenizer()
    with pytest.raises(TypeError, match="`texts` must be a list of str"):
        one.encode("the")
    with pytest.raises(TypeError, match=r"`texts\[0\]` must be a str"):
        one.unknown_words([5], 1)
    with pytest.raises(ValueError, match=r"`len\(extensions\)` must be the nu"):
        one.encode(["the"], extensions=[])
    with pytest.raises(ValueError, match=r"`len\(extensions\)` must be the nu"):
        one.decode([[5]], extensions=[[], []])
    with pytest.raises(ValueError, match=r"`ids\[0\]` must hold ids in"):
        one.decode([[7]])
    with pytest.raises(TypeError, match=r"`ids` must be a list of id lists"):
        one.decode(np.array([5]))
    with pytest.raises(ValueError, match="`vocabulary_size` must be an integ"):
        WordTokenizer.train(["a"], 4)
    with pytest.raises(ValueError, match="`min_count` must be an integer >= 1"):
        WordTokenizer.train(["a"], min_count=0)


def test_only_one_vocabulary_of_words_is_copied_from():
    one, other = tokenizer(), WordTokenizer(["a"])
    assert find_extensions(one, other, TEXTS, 0) == {}
    found = find_extensions(one, WordTokenizer(WORDS), TEXTS[:1], 1)
    assert found == {"extensions": [["Ada"]]}
    with pytest.raises(ValueError, match="`target_tokenizer` must be of the"):
        find_extensions(one, other, TEXTS, 1)
    pieces = SentencePieceTokenizer()
    with pytest.raises(TypeError, match="`source_tokenizer` must be a WordTo"):
        find_extensions(pieces, one, TEXTS, 1)
    with pytest.raises(TypeError, match="`target_tokenizer` must be a WordTo"):
        find_extensions(one, pieces, TEXTS, 1)
    with pytest.raises(ValueError, match="`max_copied` must be an integer"):
        find_extensions(one, one, TEXTS, -1)
