"""Unknown words give way to those of the source that they were read from."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_s2s.models.unknown_words import TextWriter
from keras_s2s.models.unknown_words import word_finder
from keras_s2s.tokenizers import WordTokenizer
from tests.models.texts import tokenizer

UNKNOWN, END = 1, 3
SOURCE = WordTokenizer(["sees", "the", "."])
TARGET = WordTokenizer(["sieht", "die", "."])


def writer(texts, tokenizers=(SOURCE, TARGET), how=True, options=None):
    inference = SimpleNamespace(return_alignments=True)
    return TextWriter(*tokenizers, texts, options or {}, inference, how)


def one_result(ids, read, num_positions):
    """A result of one hypothesis of one sentence: what each token read."""
    alignments = np.zeros((1, 1, len(ids), num_positions), "float32")
    alignments[0, 0, np.arange(len(ids)), read] = 0.4
    return {"ids": np.array([[ids]]), "alignments": alignments}


@pytest.mark.parametrize(
    "how, expected",
    [
        (False, "<unk> sieht die <unk> ."),
        (True, "Ada sieht die cat ."),
        ({}, "Ada sieht die cat ."),
        ({"cat": "kleine Katze", "Ad": "B"}, "Ada sieht die kleine Katze ."),
    ],
)
def test_a_word_is_copied_or_looked_up(how, expected):
    ids = [UNKNOWN, 4, 5, UNKNOWN, 6, END, 0]
    result = one_result(ids, [0, 1, 2, 3, 4, 5, 0], 8)
    # Neither the end token nor padding is a word.
    result["alignments"][0, 0, 3, 5:] = 0.6
    texts = writer(["Ada sees the cat ."], how=how).write(result, 0, [0])
    assert texts == [expected]


def test_each_hypothesis_has_its_sentence_and_its_attention():
    sources = ["the cat", "Ada", "a b c"]
    ids = np.array([[[4, 0], [UNKNOWN, END]], [[5, END], [6, UNKNOWN]]])
    alignments = np.zeros((2, 2, 2, 4), "float32")
    alignments[0, 1, 0, 2] = alignments[1, 1, 1, 1] = 1.0
    result = {"ids": ids, "alignments": alignments}
    found = writer(sources)
    assert found.write(result, 0, [2, 0]) == ["sieht", "die"]
    assert found.write(result, 1, [2, 0]) == ["c", ". cat"]


def test_copied_words_stay_what_they_are():
    result = one_result([7, UNKNOWN, 5], [0, 1, 1], 3)
    found = writer(["Ada Bob the"], options={"extensions": [["Ada"]]})
    assert found.write(result, 0, [0]) == ["Ada Bob die"]


def test_the_word_of_each_piece():
    # "Müßi" and "," and "ö" have no piece.
    find_words = word_finder(tokenizer())
    text = "  the Müßig, dög"
    words = ["the"] * 4 + ["Müßig"] * 3 + [","] + ["dög"] * 4
    assert find_words(text) == words
    assert len(words) == len(tokenizer().encode([text])[0])
    assert find_words("") == []


@pytest.mark.parametrize(
    "text, read, expected",
    [
        ("a?g d? .", [4, 9], "Müßig Hund ."),
        ("?? a?s?d", [4, 0, 9, 1], "Müßig Hund"),
        ("runs ?.", [7], "runs ,."),
        ("?", [10], "Hund"),
        ("a ?", [3], "a the"),
    ],
)
def test_a_word_with_unknown_pieces_is_replaced_whole(text, read, expected):
    known = {
        char: tokenizer().encode([f"a{char}a"])[0][-2]
        for char in set(text) - {"?"}
    }
    ids = [UNKNOWN if char == "?" else known[char] for char in text]
    unknown = [n for n, char in enumerate(text) if char == "?"]
    places = np.zeros(len(ids), int)
    places[unknown] = read
    result = one_result([*ids, END], [*places, 12], 13)
    how = {"dög": "Hund"}
    found = writer(["the Müßig, dög"], (tokenizer(), tokenizer()), how)
    assert found.write(result, 0, [0]) == [expected]


def test_a_memory_shorter_than_its_source_has_no_words():
    result = one_result([UNKNOWN], [0], 2)
    message = "`replace_unknowns` must be False where the encoder keeps no pos"
    with pytest.raises(ValueError, match=message):
        writer(["a b c"]).write(result, 0, [0])
