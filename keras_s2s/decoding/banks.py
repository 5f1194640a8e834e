"""Dynamic beam allocation: beams for those that miss more and for others."""

import math
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.candidates import best_first
from keras_s2s.decoding.progress import Progress
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


def add_advancing(
    kept: Tensor, ids: Tensor, logits: Tensor, progress: Progress
) -> tuple[Tensor, Tensor]:
    """Adds what goes on with a phrase to the best tokens of each row.

    Args:
        kept: float32 `(R, X)`. The `logits` of `ids`.
        ids: int32 `(R, X)`.
        logits: float32 `(R, V)`.
        progress: Progress of `(B, K)` hypotheses, R in all.

    Returns:
        As `kept` and `ids`, `(R, X + C)`. What is there already, or nothing,
        has -inf.
    """
    tokens = progress.next_tokens()
    rows, _ = ops.shape(ids)
    count = ops.shape(tokens)[2]
    tokens = ops.reshape(tokens, (rows, count))
    places = ops.arange(count, dtype="int32")
    earlier = ops.less(places, ops.expand_dims(places, -1))
    own = ops.expand_dims(tokens, -1)
    twice = ops.logical_and(ops.equal(own, tokens[:, None]), earlier)
    there = ops.any(ops.equal(own, ids[:, None]), axis=-1)
    there = ops.logical_or(there, ops.any(twice, axis=-1))
    there = ops.logical_or(there, ops.less(tokens, 0))
    tokens = ops.maximum(tokens, 0)
    values = ops.where(there, -math.inf, gather_beams(logits, tokens))
    return (
        ops.concatenate([kept, values], axis=1),
        ops.concatenate([ids, tokens], axis=1),
    )


def take_turns(
    scores: Tensor, missing: Tensor, count: int, max_length: int
) -> Tensor:
    """Returns places of candidates, `(B, count)`, one of each bank in turn.

    A bank is what misses as many tokens. The best of each comes first, that
    which misses fewest before the others, then the second best of each.

    Args:
        scores: float32 `(B, X)`. -inf for what is no candidate.
        missing: int32 `(B, X)`, in [0, max_length).
        count: int <= X.
        max_length: int > 0.
    """
    rows, width = ops.shape(scores)
    order = best_first(scores, width)
    missing = gather_beams(missing, order)
    is_legal = ops.greater(gather_beams(scores, order), -math.inf)
    marks = ops.one_hot(missing, max_length, dtype="float32")
    turns = ops.sum(ops.cumsum(marks, axis=1) * marks, axis=-1)
    keys = turns * max_length + ops.cast(missing, "float32")
    keys = ops.where(is_legal, keys, math.inf)
    best = best_first(ops.negative(keys), count)
    places = gather_beams(order, best)
    return ops.reshape(places, (rows, count))


def first_open(open_scores: Tensor, count: int) -> Tensor:
    """Returns places `(B, count)`: the first that are open, best first.

    Args:
        open_scores: float32 `(B, X)`. -inf for what is not open.
        count: int <= X.
    """
    is_open = ops.cast(ops.greater(open_scores, -math.inf), "float32")
    first = best_first(is_open, count)
    best = best_first(gather_beams(open_scores, first), count)
    return gather_beams(first, best)
