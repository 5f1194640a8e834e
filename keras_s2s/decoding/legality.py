"""Which tokens may follow: log-probabilities changed where they must be."""

import math
from collections.abc import Callable
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


def change(
    log_probs: Tensor, ids: Tensor, counts: Tensor, function: Callable
) -> Tensor:
    """Returns `log_probs`, changed at the tokens among `ids` that count.

    Only there: to go over a whole vocabulary takes longer.

    Args:
        log_probs: float `(B, K, V)`.
        ids: int32 `(B, K, C)`. One that comes twice is changed once.
        counts: bool `(B, K, C)`.
        function: callable, log-probabilities to what takes their place.
    """
    batch_size, beam_size, num_ids = ops.shape(ids)
    size = log_probs.shape[-1]
    rows = batch_size * beam_size
    ids, counts = (ops.reshape(one, (rows, num_ids)) for one in (ids, counts))
    flat = ops.reshape(log_probs, (rows, size))
    # What does not count gives way to what does, or, if nothing does, to a
    # token that keeps its value: no place is written with two values.
    ids = ops.where(counts, ids, -1)
    last = ops.max(ids, axis=-1, keepdims=True)
    ids = ops.maximum(ops.where(counts, ids, last), 0)
    before = gather_beams(flat, ids)
    after = ops.where(ops.greater_equal(last, 0), function(before), before)
    numbers = ops.repeat(ops.arange(rows, dtype="int32"), num_ids)
    places = ops.stack([numbers, ops.reshape(ids, (-1,))], axis=-1)
    changed = ops.scatter_update(flat, places, ops.reshape(after, (-1,)))
    return ops.reshape(changed, (batch_size, beam_size, size))


def forbid(log_probs: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
    """Returns `log_probs`, -inf for the tokens among `ids` that count."""

    def nothing(before: Tensor) -> Tensor:
        return ops.full_like(before, -math.inf)

    return change(log_probs, ids, counts, nothing)


def allow_only(log_probs: Tensor, ids: Tensor, unless: Tensor) -> Tensor:
    """Returns `log_probs`, -inf for all tokens but `ids`.

    Args:
        log_probs: float `(B, K, V)`.
        ids: int32 `(B, K, C)`, or with 1 for B or K. -1 stands for none.
        unless: bool, as `ids` without C. Where any token may follow.
    """
    size = log_probs.shape[-1]
    batch_size, beam_size, num_ids = ops.shape(ids)
    rows = batch_size * beam_size
    ids = ops.reshape(ids, (rows, num_ids))
    unless = ops.reshape(unless, (rows, 1))
    # What is none gives way to another; without any, it marks nothing.
    last = ops.max(ids, axis=-1, keepdims=True)
    ids = ops.maximum(ops.where(ops.less(ids, 0), last, ids), 0)
    marks = ops.logical_or(ops.greater_equal(last, 0), unless)
    marks = ops.broadcast_to(marks, (rows, num_ids))
    numbers = ops.repeat(ops.arange(rows, dtype="int32"), num_ids)
    places = ops.stack([numbers, ops.reshape(ids, (-1,))], axis=-1)
    legal = ops.scatter_update(
        ops.broadcast_to(unless, (rows, size)),
        places,
        ops.reshape(marks, (-1,)),
    )
    legal = ops.reshape(legal, (batch_size, beam_size, size))
    return ops.where(legal, log_probs, -math.inf)
