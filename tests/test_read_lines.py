"""A file is read line by line, as it is."""

import gzip

import pytest

from keras_s2s.tokenizers import read_lines
from tests.test_tokenizers import TEXTS


def test_lines_end_at_newlines_only(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeffa\r\n\nb\u2028c\x0bd\x85e\rf\n".encode())
    assert read_lines(path) == ["a", "", "b\u2028c\x0bd\x85e\rf"]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"\na", ["", "a"]),
    ],
)
def test_lines_are_counted_as_wc_does(tmp_path, data, lines):
    (tmp_path / "text").write_bytes(data)
    assert read_lines(str(tmp_path / "text")) == lines


def test_gzip_is_told_by_its_content(tmp_path):
    (tmp_path / "text").write_bytes(gzip.compress("ä\nö\n".encode()))
    assert read_lines(tmp_path / "text") == ["ä", "ö"]


def test_bytes_that_are_no_utf8_are_named_with_their_line(tmp_path):
    (tmp_path / "text").write_bytes(b"a\n\xc3\xa4\nb\xff\nc\n")
    rule = "`path` must be a file of UTF-8 text.*text.*Line 3: invalid start"
    with pytest.raises(ValueError, match=rule):
        read_lines(tmp_path / "text")


@pytest.mark.parametrize("damage", [lambda x: x[:20], lambda x: x[:12]])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    packed = gzip.compress("\n".join(TEXTS).encode())
    (tmp_path / "text").write_bytes(damage(packed))
    rule = "`path` must be a whole gzip file.*text.*damaged"
    with pytest.raises(ValueError, match=rule):
        read_lines(tmp_path / "text")


def test_a_missing_text_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be an existing"):
        read_lines(tmp_path / "absent")
