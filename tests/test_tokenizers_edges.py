"""What a tokenizer cannot be made of, or cannot take, is refused by name."""

import re

import numpy as np
import pytest
import sentencepiece

from keras_s2s.tokenizers import SentencePieceTokenizer
from tests.test_tokenizers import TEXTS
from tests.test_tokenizers import write_files


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, vocabulary_size=40)


def test_texts_and_files_do_not_mix(tmp_path):
    path = write_files(tmp_path)[0]
    rule = r"`inputs\[1\]` must be an existing file, as the first is"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train([str(path), TEXTS[0]], 40)
    rule = r"`inputs\[1\]` must be a text, as the first is"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train([TEXTS[0], path], 40)


def test_a_missing_file_is_named(tmp_path):
    rule = r"`path` must be an existing file.*absent"
    with pytest.raises(FileNotFoundError, match=rule):
        SentencePieceTokenizer.train(str(tmp_path / "absent"), 40)
    rule = r"`inputs\[0\]` must be an existing file"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train([tmp_path / "absent"], 40)


def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError, match=r"`inputs\[1\]` must be a str or a pa"):
        SentencePieceTokenizer.train(["a", 3])


@pytest.mark.parametrize("texts", [[], [""], ["  "], ["", "\t"], ["x" * 5000]])
def test_nothing_to_learn_from_is_refused(texts):
    rule = "`inputs` must be texts with something to learn from. Received: inp"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train(texts, vocabulary_size=50)


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_the_largest_size_that_fits_is_named_and_fits(model_type):
    rule = r"`vocabulary_size` must be <= \d+, all that.*=8000"
    with pytest.raises(ValueError, match=rule) as error:
        SentencePieceTokenizer.train(TEXTS, model_type=model_type)
    largest = int(re.search(r"<= (\d+)", str(error.value))[1])
    trained = SentencePieceTokenizer.train(TEXTS, largest, model_type)
    assert trained.vocabulary_size == largest


def test_the_smallest_size_that_covers_the_characters_is_named():
    # 256 bytes, 4 special pieces, and a, b, c and the space.
    rule = "`vocabulary_size` must be >= 264.*Received: vocabulary_size=100"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train(["a b c"] * 9, 100, byte_fallback=True)


@pytest.mark.parametrize("size", [0, -1, 4])
def test_a_size_without_room_is_refused(size):
    rule = f"`vocabulary_size` must be an integer >= 5. .*={size}"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train(TEXTS, size)


def test_options_out_of_range_are_refused():
    cases = {
        "model_type": ("wordpiece", ValueError, "one of"),
        "character_coverage": (0.5, ValueError, r"a number in \[0.98, 1.0\]"),
        "vocabulary_size": (8.0, TypeError, "an integer"),
        "user_defined_symbols": ("<x>", TypeError, "a list of str"),
        "pad_id": (5, ValueError, "left out.*It is always 0"),
        "vocab_size": (50, ValueError, "left out.*Pass vocabulary_size"),
    }
    for name, (value, error, rule) in cases.items():
        options = {"vocabulary_size": 40, name: value}
        with pytest.raises(error, match=f"`{name}` must be {rule}"):
            SentencePieceTokenizer.train(TEXTS, **options)


@pytest.mark.parametrize(
    "options", [{"nonsense": 3}, {"normalization": "nonsense"}]
)
def test_what_sentencepiece_refuses_is_told(options):
    rule = "`options` must be what SentencePiece accepts.*nonsense"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer.train(TEXTS, 40, **options)


def test_a_single_str_is_no_list(tokenizer):
    rule = "`texts` must be a list of str. Received: texts='a'. Pass .text. for"
    with pytest.raises(TypeError, match=rule):
        tokenizer.encode("a")


def test_texts_that_are_no_str_are_named(tokenizer):
    with pytest.raises(TypeError, match=r"`texts\[1\]` must be a str"):
        tokenizer.encode(["a", None])


def test_a_lone_surrogate_is_no_text(tokenizer):
    with pytest.raises(ValueError, match=r"`texts\[1\]` must be Unicode text"):
        tokenizer.encode(["a", "\ud800"])


@pytest.mark.parametrize("bad", [40, -1])
def test_ids_outside_the_vocabulary_are_refused(tokenizer, bad):
    rule = rf"`ids\[1\]` must hold ids in \[0, 40\).*an id of {bad}\."
    with pytest.raises(ValueError, match=rule):
        tokenizer.decode([[4], [5, bad]])


@pytest.mark.parametrize(
    "ids", [[1, 2], ["ab"], [[1.0]], [[[1]]], [[True]], [["1"]]]
)
def test_rows_that_are_no_id_lists_are_refused(tokenizer, ids):
    rule = r"`ids\[0\]` must be a list of integer ids"
    with pytest.raises(TypeError, match=rule):
        tokenizer.decode(ids)


@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3)])
def test_arrays_that_are_no_rows_of_ids_are_refused(tokenizer, shape):
    rule = r"`ids` must be a list of id lists or an array \(B, T\)"
    with pytest.raises(TypeError, match=rule):
        tokenizer.decode(np.ones(shape, "int32"))


def test_a_missing_model_is_named(tmp_path):
    rule = "`model` must be an existing file. Received: model='.*absent.model'"
    with pytest.raises(FileNotFoundError, match=rule):
        SentencePieceTokenizer(str(tmp_path / "absent.model"))


@pytest.mark.parametrize("model", [b"", b"nonsense", bytes(50)])
def test_bytes_that_are_no_model_are_refused(tmp_path, model):
    rule = f"`model` must be a SentencePiece model.*{len(model)} bytes"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer(model)


def test_half_a_model_is_refused(tmp_path, tokenizer):
    (tmp_path / "x.model").write_bytes(tokenizer.model[:100])
    rule = "`model` must be a SentencePiece model.*x.model"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer(tmp_path / "x.model")


def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="`model` must be the path or the byt"):
        SentencePieceTokenizer(3)


def test_a_model_without_pad_is_refused_with_the_cure(tmp_path):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_prefix=str(tmp_path / "x"),
        vocab_size=40,
        minloglevel=2,
    )
    rule = "`model` must be one with pad, .*'pad_id': -1.* --pad_id=0 --unk_id"
    with pytest.raises(ValueError, match=rule):
        SentencePieceTokenizer(tmp_path / "x.model")


def test_an_unfilled_tokenizer_says_so():
    with pytest.raises(ValueError, match="`model` must be loaded before use"):
        SentencePieceTokenizer().encode(["a"])
