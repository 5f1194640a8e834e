"""Tensor pieces that the searches share: candidates and re-ordering."""

import math
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.maxima import block_width
from keras_s2s.maxima import split_rows
from keras_s2s.recurrence import gather_beams
from keras_s2s.recurrence import sum_exponentials

Tensor: TypeAlias = Any

# Below this many elements a row is sorted as fast in one go.
SMALLEST_SPLIT_ROW = 1024


def top_candidates(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the `count` best of each row, as `ops.top_k`, but faster.

    A row is cut into blocks. An element among the `count` best of its row
    lies in one of the `count` blocks with the best maxima, so only those are
    searched: a maximum costs a fraction of a partial sort.

    Args:
        logits: float `(R, V)`.
        count: int in [1, V].

    Returns:
        values: float `(R, count)`, best first.
        ids: int32 `(R, count)`. Of equal values, the lower id comes first
            (on torch, in whatever order `torch.topk` gives).
    """
    rows, size = ops.shape(logits)
    width = block_width(size, count)
    num_blocks = -(-size // width)
    if size < SMALLEST_SPLIT_ROW or num_blocks <= 2 * count:
        values, ids = ops.top_k(logits, count)
        return values, ops.cast(ids, "int32")
    blocks = split_rows(logits, width, -math.inf)
    _, chosen = ops.top_k(ops.max(blocks, axis=-1), count)
    # In the order of their ids, so that equal values keep theirs.
    chosen = ops.cast(ops.sort(chosen, axis=-1), "int32")
    kept = gather_beams(blocks, chosen)
    values, places = ops.top_k(ops.reshape(kept, (rows, count * width)), count)
    places = ops.cast(places, "int32")
    return values, gather_beams(chosen, places // width) * width + (
        places % width
    )


def log_normalizer(logits: Tensor, best: Tensor) -> Tensor:
    """Returns log(sum(exp(logits))) over the last axis, 0 if all are -inf.

    Args:
        logits: float `(R, V)`.
        best: float `(R, C)`. Some of each row, the largest among them.

    Returns:
        Float `(R, 1)`, nats. Finite also for a row without a legal token,
        so that subtracting it never gives NaN.
    """
    # XLA repeats a slice of a sort for every element of a row, but no maximum.
    highest = ops.max(best, axis=-1, keepdims=True)
    normalizer = highest + ops.log(sum_exponentials(logits, highest))
    return ops.where(ops.equal(highest, -math.inf), 0.0, normalizer)


def only_legal(scores: Tensor) -> Tensor:
    """Returns `scores` with NaN replaced by -inf, the score of nothing."""
    return ops.where(ops.greater(scores, -math.inf), scores, -math.inf)


def best_first(scores: Tensor, count: int) -> Tensor:
    """Returns int32 `(B, count)`: places of the best of each row.

    Equal scores keep their order, on every backend.
    """
    order = ops.argsort(ops.negative(scores), axis=-1)
    return ops.cast(order[:, :count], "int32")


def best_of_classes(classes: Tensor, scores: Tensor, count: int) -> Tensor:
    """As `best_first`, but whatever its score, a higher class comes first.

    Args:
        classes, scores: float `(B, C)`.
        count: int in [1, C].
    """
    order = best_first(scores, scores.shape[1])
    best = best_first(gather_beams(classes, order), count)
    return gather_beams(order, best)


def write_step(buffer: Tensor, position: Tensor, value: Tensor) -> Tensor:
    """Puts `value` `(B, K, ...)` at `position` of `buffer` `(B, K, T, ...)`."""
    num_steps = ops.shape(buffer)[2]
    shape = (num_steps, *[1] * (len(buffer.shape) - 3))
    here = ops.equal(ops.arange(num_steps, dtype="int32"), position)
    here = ops.reshape(here, shape)
    return ops.where(here, ops.expand_dims(value, 2), buffer)
