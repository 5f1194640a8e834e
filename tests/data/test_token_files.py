"""Texts tokenized once: on disk as in memory, whatever happened on the way."""

import gzip
import json

import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.data import SequencePairs
from keras_s2s.data import TextPairs
from keras_s2s.data import TokenizedText
from keras_s2s.data import token_files
from keras_s2s.data import tokenize_file

LINES = ["a dog runs", "a cat", "the dog sits\u2028here", "cats", "a a a"]


@pytest.fixture(scope="module")
def tokenizer():
    train = s2s.tokenizers.SentencePieceTokenizer.train
    return train(LINES, vocabulary_size=40, hard_vocab_limit=False)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(token_files, "CHUNK", 2)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "text"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def write(path, tokenizer, **options):
    return tokenize_file(
        path, tokenizer, path.parent / "ids", **{"verbose": 0, **options}
    )


def as_lists(text):
    return [text[row].tolist() for row in range(len(text))]


def test_ids_are_those_of_the_tokenizer(path, tokenizer, capsys):
    text = write(path, tokenizer, add_eos=True, verbose=1)
    expected = tokenizer.encode(LINES, add_eos=True)
    assert as_lists(text) == expected
    assert text[-1].tolist() == expected[-1] and text[0].dtype == "int32"
    assert as_lists(TokenizedText(path.parent / "ids")) == expected
    size = path.stat().st_size
    assert f"{size}/{size}" in capsys.readouterr().out
    with pytest.raises(IndexError, match=r"`index` must be in \[-5, 5\)"):
        text[5]


def test_gzip_crlf_and_a_byte_order_mark(tmp_path, tokenizer):
    data = ("\ufeff" + "\r\n".join(LINES)).encode()
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(data))
    assert as_lists(write(path, tokenizer)) == tokenizer.encode(LINES)


def test_words_are_tokenized(path):
    tokenizer = s2s.tokenizers.WordTokenizer.train(LINES)
    text = write(path, tokenizer)
    assert as_lists(text) == tokenizer.encode(LINES)
    other = s2s.tokenizers.WordTokenizer.train(LINES[:1])
    with pytest.raises(ValueError, match=r"It differs in \['tokenizer'\]"):
        write(path, other)


def test_pairs_read_it_as_they_read_lists(path, tokenizer):
    source = write(path, tokenizer, add_eos=True)
    target = tokenize_file(path, tokenizer, path.parent / "target", verbose=0)
    found = SequencePairs(source, target, batch_size=2)
    expected = TextPairs(LINES, LINES, tokenizer, tokenizer, batch_size=2)
    assert len(found) == len(expected)
    assert found.max_source_id == expected.max_source_id
    for one, other in zip(found, expected):
        for part in ("source_ids", "target_ids"):
            np.testing.assert_array_equal(one[0][part], other[0][part])
            assert one[0][part].dtype == "int32"
        np.testing.assert_array_equal(one[1], other[1])
    rule = r"`target_ids\[0\]` must be of ids without the special 0 and 2 and 3"
    with pytest.raises(ValueError, match=rule):
        SequencePairs(source, source)


@pytest.mark.parametrize("num_chunks", [0, 1, 2])
def test_a_stopped_run_goes_on_where_it_was(
    num_chunks, path, tokenizer, monkeypatch
):
    append, left = token_files._append, iter(range(num_chunks))

    def fail_late(lines, tokenizer, index, files):
        """A disk that is full in the middle of what it writes."""
        if next(left, None) is None:
            files[token_files.IDS].write(b"part")
            raise OSError(28, "No space left on device")
        append(lines, tokenizer, index, files)

    with monkeypatch.context() as context:
        context.setattr(token_files, "_append", fail_late)
        with pytest.raises(OSError, match="No space left"):
            write(path, tokenizer)
    if num_chunks:
        lines = 2 * num_chunks
        rule = rf"`folder` must be finished. It has {lines} lines. .* goes on"
        with pytest.raises(ValueError, match=rule):
            TokenizedText(path.parent / "ids")
    encoded, encode = [], type(tokenizer).encode

    def spy(self, texts, **options):
        encoded.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(type(tokenizer), "encode", spy)
    text = write(path, tokenizer)
    assert encoded == LINES[2 * num_chunks :]
    assert as_lists(text) == encode(tokenizer, LINES)
    assert as_lists(TokenizedText(path.parent / "ids")) == as_lists(text)


@pytest.mark.parametrize("name", ["ids.bin", "starts.bin"])
def test_truncated_and_altered_files_are_refused(name, path, tokenizer):
    write(path, tokenizer)
    folder = path.parent / "ids"
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    rule = f"`folder` must be as it was written: {name} was altered"
    with pytest.raises(ValueError, match=rule):
        TokenizedText(folder)
    TokenizedText(folder, verify=False)
    (folder / name).write_bytes(data[:-1])
    rule = f"`folder` must be whole: {name} has {len(data) - 1} bytes of"
    with pytest.raises(ValueError, match=rule):
        TokenizedText(folder)


def test_other_folders_are_refused(path, tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must be a folder th"):
        TokenizedText(tmp_path)
    write(path, tokenizer)
    for change in ({"add_eos": True}, {}):
        with pytest.raises(ValueError, match="`folder` must be new, or of the"):
            write(path, tokenizer, **change)
        path.write_text("another text\n")
    index = path.parent / "ids" / "index.json"
    for content in ("{}", "no json", json.dumps({"format": "other 2"})):
        index.write_text(content)
        with pytest.raises(ValueError, match="`folder` must be of the format"):
            TokenizedText(index.parent)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "`path` must be of at least one line"),
        (b"a\n\nb\n", "`line` must be a text, not empty.* This is line 2 of"),
        (b"a\nb\n\xff\n", "`path` must be a file of UTF-8 text.*After line"),
        (gzip.compress(b"a dog\n" * 9)[:-9], "`path` must be a whole file"),
    ],
    ids=["nothing", "an empty line", "no UTF-8", "damaged"],
)
def test_bad_texts_are_refused(data, rule, tmp_path, tokenizer):
    path = tmp_path / "text"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rule):
        write(path, tokenizer)


def test_a_missing_text_is_refused(tmp_path, tokenizer):
    with pytest.raises(FileNotFoundError, match="`path` must be an existing f"):
        write(tmp_path / "none", tokenizer)
