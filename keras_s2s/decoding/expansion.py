"""One step of beam search: candidates, the open beams and the pool."""

import math
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.banks import add_advancing
from keras_s2s.decoding.banks import first_open
from keras_s2s.decoding.banks import take_turns
from keras_s2s.decoding.candidates import best_first
from keras_s2s.decoding.candidates import only_legal
from keras_s2s.decoding.candidates import top_candidates
from keras_s2s.decoding.candidates import write_step
from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


def first_carry(stepper: Stepper, task: Task, parts: list[Task]) -> dict:
    """Returns what the loop starts with: one live beam a group."""
    carry = {
        "position": ops.convert_to_tensor(0, "int32"),
        "tokens": task.full(task.bos_id, "int32"),
        "groups": [first_group(part) for part in parts],
        "leaves": stepper.leaves,
    }
    if task.record_alignments:
        axes = (task.max_length, stepper.alignment_length)
        carry["alignments"] = task.full(0.0, "float32", *axes)
    if task.reads_alignments:
        length = stepper.alignment_length
        carry["attention"] = task.full(0.0, "float32", length)
    return carry


def add_alignment(attention: Tensor, alignment: Tensor) -> Tensor:
    """Adds `(B, K, S)` to `(B, K, S)`, whose shape is that of a loop."""
    return ops.reshape(attention + alignment, ops.shape(attention))


def first_group(task: Task) -> dict:
    """Returns what a group of beams starts with."""
    nothing = task.full(-math.inf, "float32")
    is_first = ops.equal(ops.arange(task.beam_size, dtype="int32"), 0)
    return {
        "open_scores": ops.where(is_first, 0.0, nothing),
        "pool_scores": nothing,
        "pool_ends": task.full(0, "int32"),
        "pool_token_scores": task.full(0.0, "float32"),
        "records": task.full(0, "int32", task.max_length),
        "token_scores": task.full(0.0, "float32", task.max_length),
    }


def propose(
    group: dict, distribution: Distribution, position: Tensor, task: Task
) -> tuple[dict, dict, Tensor]:
    """Extends a group of K beams by what may follow each of them.

    Returns:
        candidates: dict of `(B, C)` tensors, best first, C = 2K or all there
            are: `scores`, log-probabilities that may be weighted, the last
            token's `token_scores`, `records`, token id * K + the beam it
            continues, and `ended`.
        extended: the group that follows, without its pool.
        chosen: int32 `(B, K)`. The `records` of its beams.
    """
    candidates = find_candidates(distribution, group["open_scores"], task)
    ended = ops.equal(candidates["records"] // task.beam_size, task.eos_id)
    open_scores = ops.where(ended, -math.inf, candidates["scores"])
    choose = best_first if distribution.progress is None else first_open
    best = choose(open_scores, task.beam_size)
    chosen = gather_beams(candidates["records"], best)
    extended = {
        "open_scores": gather_beams(open_scores, best),
        "records": write_step(group["records"], position, chosen),
        "token_scores": write_step(
            group["token_scores"],
            position,
            gather_beams(candidates["token_scores"], best),
        ),
    }
    return candidates | {"ended": ended}, extended, chosen


def find_candidates(
    distribution: Distribution, open_scores: Tensor, task: Task
) -> dict:
    """Returns the best 2K continuations of the K open hypotheses.

    Where they have to hold something, those of each bank in turn.
    """
    # One beam gives at most 2K of the best 2K.
    count = min(2 * task.beam_size, distribution.logits.shape[-1])
    total = min(2 * task.beam_size, task.beam_size * count)
    kept, ids = top_candidates(distribution.logits, count)
    progress = distribution.progress
    if progress is not None:
        kept, ids = add_advancing(kept, ids, distribution.logits, progress)
        count = ops.shape(ids)[1]
    shape = (task.batch_size, task.beam_size, count)
    added, token_scores = distribution.score(kept, ids)
    added = ops.reshape(added, shape)
    scores = only_legal(ops.expand_dims(open_scores, -1) + added)
    beams = ops.expand_dims(ops.arange(task.beam_size, dtype="int32"), -1)
    records = ops.reshape(ids, shape) * task.beam_size + beams
    flat = (task.batch_size, task.beam_size * count)
    scores = ops.reshape(scores, flat)
    if progress is None:
        best = best_first(scores, total)
    else:
        missing = progress.count_missing(ops.reshape(ids, shape))
        missing = ops.reshape(missing, flat)
        best = take_turns(scores, missing, total, task.max_length)
    return {
        "scores": gather_beams(scores, best),
        "token_scores": gather_beams(ops.reshape(token_scores, flat), best),
        "records": gather_beams(ops.reshape(records, flat), best),
    }


def merge_pool(
    group: dict,
    candidates: dict,
    scores: Tensor,
    position: Tensor,
    task: Task,
) -> dict:
    """Returns the best K of the pool and of the newly finished hypotheses.

    Those in the pool come first, so that of equals the older one stays.
    `scores`, `(B, C)`, are what ranks the candidates once they have ended.
    """
    size = task.beam_size
    scores = ops.where(candidates["ended"], scores, -math.inf)
    ends = candidates["records"] % size + position * size
    scores = ops.concatenate([group["pool_scores"], scores[:, :size]], 1)
    ends = ops.concatenate([group["pool_ends"], ends[:, :size]], 1)
    token_scores = ops.concatenate(
        [group["pool_token_scores"], candidates["token_scores"][:, :size]], 1
    )
    best = best_first(scores, size)
    return {
        "pool_scores": gather_beams(scores, best),
        "pool_ends": gather_beams(ends, best),
        "pool_token_scores": gather_beams(token_scores, best),
    }
