"""How pairs are cut into batches of few shapes."""

from typing import NamedTuple

import numpy as np

from keras_s2s import batching


class Plan(NamedTuple):
    """Pairs sorted by padded length and cut into batches.

    Attributes:
        ranks: int `(P,)`. The place of each pair in the order; pairs of one
            padded length share a place.
        ends: int `(M + 1,)`. Where in the order batches end.
        shapes: int `(M, 3)`. (B, S, T) of each batch.
        num_tokens: int `(2,)`. Source and target tokens in all.
    """

    ranks: np.ndarray
    ends: np.ndarray
    shapes: np.ndarray
    num_tokens: np.ndarray


def make_plan(
    lengths: np.ndarray,
    longest: tuple[int | None, int | None],
    buckets: np.ndarray,
    batch_size: int,
    batch_tokens: int | None,
    num_shards: int,
    num_batches: int | None = None,
) -> Plan:
    """Returns the plan of pairs of some lengths.

    Args:
        lengths: int `(P, 2)`. Source and target tokens of each pair.
        longest: two ints, or None. Bounds the padded lengths.
        buckets: int `(C,)`. The lengths to pad to, ascending.
        batch_size: int > 0. Pairs in a batch.
        batch_tokens: int > 0 or None. Positions in a batch, instead.
        num_shards: int > 0. The number of batches is a multiple of it.
        num_batches: int > 0 or None. How many there must be, which may take
            a few more tokens in a batch. Default: None, as few as possible.
    """
    padded = buckets[np.searchsorted(buckets, lengths)]
    for axis, limit in enumerate(longest):
        limit = limit or padded[:, axis].max()
        padded[:, axis] = np.minimum(padded[:, axis], limit)
    cells, ranks, counts = batching.rank_cells(padded)
    if batch_tokens is None:
        sizes = batching.cut_by_pairs(len(padded), batch_size)
    else:
        largest = cells.max(axis=1)
        sizes = batching.cut_by_tokens(largest, counts, batch_tokens)
        while num_batches is not None and len(sizes) > num_batches:
            batch_tokens += max(batch_tokens // 100, 1)
            sizes = batching.cut_by_tokens(largest, counts, batch_tokens)
    sizes = batching.split_for_shards(sizes, num_batches or num_shards)
    ends = np.cumsum([0, *sizes])
    shapes = np.maximum.reduceat(
        np.repeat(cells, counts, axis=0), ends[:-1], axis=0
    )
    shapes = np.column_stack([sizes, shapes])
    return Plan(ranks, ends, shapes, lengths.sum(axis=0))
