"""A text tokenized once, on disk: read where it is needed, never whole."""

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import zlib
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import BinaryIO

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.batching import Corpus
from keras_s2s.tokenizers import Tokenizer

# What this module writes: another is refused.
FORMAT = "keras_s2s tokenized text 1"
CHUNK = 50_000  # lines
BLOCK = 1 << 24  # bytes that are read at once to be checked
INDEX, IDS, STARTS = "index.json", "ids.bin", "starts.bin"


class TokenizedText:
    """The ids of a text that `tokenize_file` wrote, as a list on disk.

    `SequencePairs` takes it in the place of a list of lists of ids; what is
    in memory are the batches, and some 100 bytes a pair of their order.

    Args:
        folder: str or path. What `tokenize_file` wrote.
        verify: bool. Whether to read all of it once and compare checksums.
            Default: True.

    Raises:
        FileNotFoundError: there is no such folder, or no index in it.
        ValueError: it is of another format, not finished, truncated, or was
            altered.
    """

    def __init__(self, folder: str | os.PathLike, verify: bool = True) -> None:
        self.folder = Path(folder)
        index = _read_index(self.folder)
        if not index["is_complete"]:
            cure = "`tokenize_file` with the same arguments goes on."
            self._refuse(f"finished. It has {index['num_lines']} lines", cure)
        for name in (IDS, STARTS):
            size = os.path.getsize(self.folder / name)
            expected = index["bytes"][name]
            if size != expected:
                self._refuse(f"whole: {name} has {size} bytes of {expected}")
        if verify:
            for name in (IDS, STARTS):
                if _checksum(self.folder / name) != index["checksums"][name]:
                    self._refuse(f"as it was written: {name} was altered")
        dtype = np.dtype(index["dtype"])
        self._ids = np.memmap(self.folder / IDS, dtype, "r")
        # One more than there are lines: where the last ends.
        self._starts = np.memmap(self.folder / STARTS, "<i8", "r")

    def _refuse(self, rule: str, cure: str = "") -> None:
        checks.fail("folder", rule, str(self.folder), cure)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """Returns the ids of one line, int32 `(S,)`."""
        if not -len(self) <= index < len(self):
            rule = f"in [-{len(self)}, {len(self)})"
            checks.fail("index", rule, index, "", IndexError)
        index %= len(self)
        start, end = self._starts[index : index + 2]
        return self._ids[start:end].astype("int32")

    def corpus(self, name: str, forbidden: Sequence[int]) -> Corpus:
        """Returns all of it, memory-mapped; refuses what it must not hold.

        Args:
            name: str. What errors call it.
            forbidden: list of int. Ids that may not occur.
        """
        for start in range(0, len(self._ids), BLOCK):
            block = self._ids[start : start + BLOCK]
            wrong = np.isin(block, forbidden)
            if wrong.any():
                place = start + wrong.argmax()
                row = np.searchsorted(self._starts, place, side="right") - 1
                special = " and ".join(map(str, sorted(set(forbidden))))
                checks.fail(
                    f"{name}[{row}]",
                    f"of ids without the special {special}",
                    self[row].tolist(),
                    f"This is line {row + 1}.",
                )
        return Corpus(self._ids, self._starts)


def tokenize_file(
    path: str | os.PathLike,
    tokenizer: Tokenizer,
    folder: str | os.PathLike,
    add_eos: bool = False,
    verbose: int = 1,
) -> TokenizedText:
    """Tokenizes a text file, a sentence a line, into files on disk.

    It holds some ten thousand lines at a time, and uses all processors where
    the tokenizer does, as SentencePiece. Stopped at any moment, by a full disk
    or a kill, the same call goes on with the line that it had come to; when
    all is there, it only opens it. The same text is one of the same name and
    size.

    Args:
        path: str or path. UTF-8 text, plain or gzip; no line empty.
        tokenizer: a tokenizer of `tokenizers`.
        folder: str or path. Where to write; made if it is not there.
        add_eos: bool. Whether to end each line with an end token: as
            `SequencePairs` wants sources, not targets. Default: False.
        verbose: int. 1: a progress bar; 0: none. Default: 1.

    Returns:
        A `TokenizedText`.

    Raises:
        FileNotFoundError: there is no file `path`.
        ValueError: a line is empty, or no UTF-8; a gzip file is damaged; the
            folder holds another text, or one by another tokenizer.
        OSError: the disk is full; nothing that was written is lost.

    Example:
        ```python
        english = s2s.data.tokenize_file("train.en", tokenizer, "en", True)
        german = s2s.data.tokenize_file("train.de", tokenizer, "de")
        data = s2s.data.SequencePairs(english, german, batch_tokens=4096)
        ```
    """
    path, folder = Path(path), Path(folder)
    if not path.is_file():
        rule = "an existing file"
        checks.fail("path", rule, str(path), error=FileNotFoundError)
    index = _begin(path, tokenizer, folder, add_eos)
    if not index["is_complete"]:
        with (
            _open_at(folder / IDS, index["bytes"][IDS]) as ids,
            _open_at(folder / STARTS, index["bytes"][STARTS]) as starts,
        ):
            files = {IDS: ids, STARTS: starts}
            _append_lines(path, tokenizer, index, files, verbose)
    return TokenizedText(folder, verify=False)


def _begin(
    path: Path, tokenizer: Tokenizer, folder: Path, add_eos: bool
) -> dict[str, Any]:
    """Returns the index of what is there already, or of nothing."""
    made_of = {
        "text": path.name,
        "text_bytes": path.stat().st_size,
        "tokenizer": hashlib.sha256(tokenizer.model).hexdigest(),
        "add_eos": add_eos,
    }
    if (folder / INDEX).exists():
        index = _read_index(folder)
        if index["made_of"] != made_of:
            differs = [k for k in made_of if index["made_of"][k] != made_of[k]]
            rule = "new, or of the same text and tokenizer"
            cure = f"It differs in {differs}."
            checks.fail("folder", rule, str(folder), cure)
        return index
    folder.mkdir(parents=True, exist_ok=True)
    is_small = tokenizer.vocabulary_size <= 1 << 16
    return {
        "format": FORMAT,
        "made_of": made_of,
        "dtype": "<u2" if is_small else "<i4",
        "num_lines": 0,
        "num_ids": 0,
        "bytes": {IDS: 0, STARTS: 0},
        "checksums": {IDS: 0, STARTS: 0},
        "is_complete": False,
    }


def _append_lines(
    path: Path,
    tokenizer: Tokenizer,
    index: dict[str, Any],
    files: dict[str, BinaryIO],
    verbose: int,
) -> None:
    """Tokenizes what is not there yet, chunk by chunk."""
    folder = Path(files[IDS].name).parent
    with (
        open(path, "rb") as raw,
        contextlib.closing(_decode_lines(raw, path)) as lines,
    ):
        for _ in itertools.islice(lines, index["num_lines"]):
            pass
        bar = None
        if verbose:
            bar = keras.utils.Progbar(
                index["made_of"]["text_bytes"], unit_name="byte"
            )
        while chunk := list(itertools.islice(lines, CHUNK)):
            _append(chunk, tokenizer, index, files)
            _write_index(folder, index)
            if bar is not None:
                bar.update(raw.tell(), finalize=False)
        if not index["num_lines"]:
            checks.fail("path", "of at least one line", str(path))
        index["is_complete"] = True
        _write_index(folder, index)
        if bar is not None:
            bar.update(raw.tell(), finalize=True)


def _append(
    lines: list[str],
    tokenizer: Tokenizer,
    index: dict[str, Any],
    files: dict[str, BinaryIO],
) -> None:
    """Writes the ids of some lines, and says so in the index."""
    add_eos = index["made_of"]["add_eos"]
    rows = tokenizer.encode(lines, add_eos=add_eos)
    for number, row in enumerate(rows):
        if len(row) <= add_eos:
            line = index["num_lines"] + number + 1
            cure = f"This is line {line} of {index['made_of']['text']}."
            checks.fail("line", "a text, not empty", lines[number], cure)
    ids = np.fromiter(itertools.chain.from_iterable(rows), "int64")
    starts = index["num_ids"] + np.cumsum([len(row) for row in rows])
    if not index["num_lines"]:
        starts = np.concatenate([[0], starts])
    for name, values, dtype in [
        (IDS, ids, index["dtype"]),
        (STARTS, starts, "<i8"),
    ]:
        data = values.astype(dtype).tobytes()
        files[name].write(data)
        files[name].flush()
        os.fsync(files[name].fileno())
        index["bytes"][name] += len(data)
        index["checksums"][name] = zlib.crc32(data, index["checksums"][name])
    index["num_lines"] += len(rows)
    index["num_ids"] += len(ids)


def _decode_lines(raw: BinaryIO, path: Path) -> Iterator[str]:
    """Yields lines as `read_lines` returns them, a few at a time."""
    is_gzip = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    stream = gzip.open(raw) if is_gzip else raw
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n")
    number = 0
    try:
        for line in text:
            number += 1
            yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        cure = f"After line {number}: {error.reason}."
        checks.fail("path", "a file of UTF-8 text", str(path), cure)
    except (OSError, EOFError, zlib.error) as error:
        cure = f"It is damaged after line {number}: {error}."
        checks.fail("path", "a whole file", str(path), cure)
    finally:
        text.detach()


def _open_at(path: Path, size: int) -> BinaryIO:
    """Opens a file to go on behind what an index knows of it."""
    found = os.path.getsize(path) if path.exists() else 0
    if found < size:
        rule = f"whole: {path.name} has {found} bytes of {size}"
        checks.fail("folder", rule, str(path.parent))
    file = open(path, "r+b" if found else "wb")
    # What a kill left behind the last whole chunk.
    file.truncate(size)
    file.seek(size)
    return file


def _read_index(folder: Path) -> dict[str, Any]:
    if not (folder / INDEX).is_file():
        rule = f"a folder that `tokenize_file` wrote, with {INDEX}"
        checks.fail("folder", rule, str(folder), error=FileNotFoundError)
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        found = index["format"]
    except (ValueError, KeyError, TypeError):
        found = "something else"
    if found != FORMAT:
        rule = f"of the format {FORMAT!r}"
        checks.fail("folder", rule, str(folder), f"It is {found!r}.")
    return index


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    """Replaces the index, so that a kill leaves the old or the new one."""
    new = folder / f"new-{INDEX}"
    new.write_text(json.dumps(index, indent=1), encoding="utf-8")
    os.replace(new, folder / INDEX)


def _checksum(path: Path) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum
