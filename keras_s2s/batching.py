"""Which sequences make a batch, and of what shape: NumPy and lengths only."""

import itertools
import numbers
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_s2s import checks


class Corpus(NamedTuple):
    """Sequences of ids, one behind the other."""

    ids: np.ndarray  # int32, all ids
    starts: np.ndarray  # int64, where each starts, and where the last ends

    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def max_id(self) -> int:
        return int(self.ids.max(initial=0))

    def gather(
        self, rows: np.ndarray, length: int, pad_id: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns int32 (B, length), padded, and the lengths (B,)."""
        starts = self.starts[rows]
        lengths = self.starts[rows + 1] - starts
        positions = np.arange(length)
        inside = positions < lengths[:, None]
        places = np.where(inside, starts[:, None] + positions, 0)
        return np.where(inside, self.ids[places], np.int32(pad_id)), lengths


def make_corpus(
    name: str,
    sequences: Sequence[Sequence[int] | None],
    forbidden: Sequence[int],
    may_lack: bool = False,
) -> Corpus:
    """Lays sequences of ids out flat, and refuses what is none.

    Args:
        name: str. What errors call `sequences`.
        sequences: list of lists of int >= 0, or of int arrays. None empty.
        forbidden: list of int. Ids that may not occur.
        may_lack: bool. Whether None is a missing sequence, of length 0.
            Default: False.
    """

    def refuse(row: int, rule: str, error: type[Exception] = ValueError):
        cure = f"This is line {row + 1}."
        checks.fail(f"{name}[{row}]", rule, sequences[row], cure, error)

    for row, sequence in enumerate(sequences):
        if may_lack and sequence is None:
            continue
        if not hasattr(sequence, "__len__") or np.ndim(sequence[:1]) != 1:
            refuse(row, "a list of integer ids", TypeError)
        if not len(sequence):
            refuse(row, "a list of at least one id")
    if may_lack:
        nothing = np.zeros(0, "int32")
        sequences = [nothing if ids is None else ids for ids in sequences]
    starts = np.cumsum([0, *map(len, sequences)], dtype="int64")
    if isinstance(sequences[0], np.ndarray):
        ids = np.concatenate(sequences)
    else:
        ids = np.array(list(itertools.chain.from_iterable(sequences)))
    if ids.dtype.kind not in "iu":
        for row, sequence in enumerate(sequences):
            if np.asarray(sequence).dtype.kind not in "iu":
                refuse(row, "a list of integer ids", TypeError)
    wrong = (ids < 0) | (ids > np.iinfo("int32").max) | np.isin(ids, forbidden)
    if wrong.any():
        row = int(np.searchsorted(starts, wrong.argmax(), side="right")) - 1
        special = " and ".join(str(id_) for id_ in sorted(set(forbidden)))
        refuse(row, f"of ids >= 0 without the special {special}")
    return Corpus(ids.astype("int32"), starts)


def pad_rows(
    rows: Sequence[Any], pad_value: float = 0, multiple: int = 1
) -> np.ndarray:
    """Pads sequences on the right to the length of the longest.

    Args:
        rows: sequence of B sequences, of ids `(S,)` or of vectors `(S, C)`.
        pad_value: number. An int, such as the `pad_id`, says that all are
            ids; a float, such as NaN, that they are numbers. Default: 0.
        multiple: int > 0. S is a multiple of it. Default: 1.

    Returns:
        Int32 or float32, `(B, S)` or `(B, S, C)`. S is at least 1.

    Raises:
        ValueError: a row has another shape, but for its length.

    Example:

    >>> pad_rows([[5, 6, 3], [7, 3]]).tolist()
    [[5, 6, 3], [7, 3, 0]]
    >>> pad_rows([[[0.5, 1.0]], [[1.0, 2.0], [2.0, 3.0]]], np.nan).shape
    (2, 2, 2)
    """
    dtype = "int32" if isinstance(pad_value, numbers.Integral) else "float32"
    rows = [np.asarray(row, dtype) for row in rows]
    length = max((len(row) for row in rows), default=0)
    length = -(-max(length, 1) // multiple) * multiple
    rest = next((row.shape[1:] for row in rows if len(row)), ())
    padded = np.full((len(rows), length, *rest), pad_value, dtype)
    for number, row in enumerate(rows):
        if not len(row):
            continue
        if row.shape[1:] != rest:
            rule = f"of shape {('S', *rest)}, as those before it"
            checks.fail(f"rows[{number}]", rule, row.shape)
        padded[number, : len(row)] = row
    return padded


def make_buckets(lengths: Iterable[int] | None, longest: int) -> np.ndarray:
    """Returns the lengths to pad to, ascending, at least up to `longest`.

    Args:
        lengths: iterable of int > 0, or None: 1 to 8 and then four to each
            doubling, so that padding adds at most a quarter.
        longest: int > 0. The longest sequence, in tokens.
    """
    if lengths is None:
        buckets, step = [0], 1
        while buckets[-1] < longest:
            buckets.append(buckets[-1] + step)
            if buckets[-1] == 8 * step:
                step *= 2
        return np.array(buckets[1:])
    buckets = sorted(lengths)
    for length in buckets:
        checks.check_positive("bucket_lengths", length)
    if not buckets or buckets[-1] < longest:
        rule = f"up to the longest sequence, {longest}"
        cure = "Or drop pairs by max_source_length and max_target_length."
        checks.fail("bucket_lengths", rule, buckets, cure)
    return np.array(buckets)


def rank_cells(
    lengths: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorts the different pairs of padded lengths into one path.

    The source goes up and down in turn while the target goes up, so that
    neighbours on the path are close in both.

    Args:
        lengths: int `(P, 2)`. The padded source and target lengths.
    Returns:
        The different ones on the path `(C, 2)`, the place on the path of
        each pair `(P,)`, and how many pairs are in each place `(C,)`.
    """
    source, target = lengths.T
    step = np.unique(target, return_inverse=True)[1]
    width = source.max() + 1
    turned = np.where(step % 2, width - source, source)
    _, first, places, counts = np.unique(
        step * (width + 1) + turned,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    # Small integers are sorted in linear time.
    places = places.astype(np.min_scalar_type(len(first)))
    return lengths[first], places, counts


def cut_by_pairs(num_pairs: int, batch_size: int) -> list[int]:
    """Returns the sizes of batches of `batch_size`, but for the last one."""
    full, rest = divmod(num_pairs, batch_size)
    return [batch_size] * full + [rest] * (rest > 0)


def cut_by_tokens(
    lengths: np.ndarray, counts: np.ndarray, batch_tokens: int
) -> list[int]:
    """Returns the sizes of batches of at most `batch_tokens` positions.

    Args:
        lengths: int `(C,)`. The larger padded length in each place.
        counts: int `(C,)`. How many pairs are in each place.
        batch_tokens: int. Bounds pairs x largest length in a batch.
    """
    if batch_tokens < lengths.max():
        rule = f"at least the longest padded length, {lengths.max()}"
        checks.fail("batch_tokens", rule, batch_tokens)
    sizes, longest = [0], 0
    for length, count in zip(lengths.tolist(), counts.tolist()):
        while count:
            longest = max(longest, length)
            taken = min(batch_tokens // longest - sizes[-1], count)
            if taken <= 0:
                sizes.append(0)
                longest = 0
            else:
                sizes[-1] += taken
                count -= taken
    return sizes


def split_for_shards(sizes: list[int], num_shards: int) -> list[int]:
    """Halves the largest batches until their number can be shared out."""
    sizes = list(sizes)
    while len(sizes) % num_shards:
        largest = int(np.argmax(sizes))
        size = sizes[largest]
        if size == 1:
            rule = f"a divisor of the number of pairs, {len(sizes)}"
            cure = "No batch is left to halve: all have one pair."
            checks.fail("num_shards", rule, num_shards, cure)
        sizes[largest : largest + 1] = [size - size // 2, size // 2]
    return sizes


def vary_first(batches: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Puts two batches in front that differ in each length that varies.

    Keras tells from the first two batches which axes of a `PyDataset` vary,
    and under TensorFlow refuses any other length later on.

    Args:
        batches: int `(M,)`. The batches in order.
        lengths: int `(M, 2)`. Their padded source and target lengths.
    """
    varies = np.any(lengths != lengths[0], axis=0)
    if not varies.any():
        return batches
    for first in np.sort(np.unique(lengths, axis=0, return_index=True)[1]):
        differs = lengths != lengths[first]
        differs = np.all(differs, axis=1, where=varies)
        if differs.any():
            break
    front = [first, differs.argmax()]
    return np.concatenate([batches[front], np.delete(batches, front)])


def check_counts(
    source_name: str, source: Any, target_name: str, target: Any
) -> None:
    """Refuses two sides that are empty or not equally long."""
    for name, side in {source_name: source, target_name: target}.items():
        if isinstance(side, str) or not hasattr(side, "__len__"):
            checks.fail(name, "a list", side, error=TypeError)
    if len(source) != len(target):
        line = min(len(source), len(target)) + 1
        rule = f"len({source_name}), {len(source)}"
        cure = f"Line {line} has no partner."
        checks.fail(f"len({target_name})", rule, len(target), cure)
    if not len(source):
        checks.fail(f"len({source_name})", "at least 1", 0)
