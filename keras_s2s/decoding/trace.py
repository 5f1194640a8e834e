"""From the records of a beam search back to whole hypotheses."""

import math
from typing import Any
from typing import TypeAlias

import numpy as np
from keras import ops

from keras_s2s.decoding.candidates import best_of_classes
from keras_s2s.decoding.search import Task
from keras_s2s.recurrence import gather_beams
from keras_s2s.recurrence import take

Tensor: TypeAlias = Any


def rank_ends(
    last: dict, open_scores: Tensor, num_hypotheses: int, task: Task
) -> dict[str, Tensor]:
    """Returns where the best N hypotheses end: finished first, then open.

    Args:
        last: dict. What the loop of a beam search ended with. There are open
            hypotheses only if it took all `max_length` steps.
        open_scores: float `(B, K)`. What ranks those, -inf where none is.
        num_hypotheses: int. N.
        task: Task.

    Returns:
        A dict of `(B, N)` tensors: `scores`; `lengths`, 0 where there is no
        hypothesis; and of the last token, its `ids`, its `token_scores` and
        `beams`, the beam that it continued.
    """
    size = task.beam_size
    pool_ends = last["pool_ends"]
    records = last["records"][:, :, -1]
    full_length = ops.full_like(records, task.max_length)
    both = {
        "scores": [last["pool_scores"], open_scores],
        "lengths": [pool_ends // size + 1, full_length],
        "ids": [ops.full_like(records, task.eos_id), records // size],
        "token_scores": [
            last["pool_token_scores"],
            last["token_scores"][:, :, -1],
        ],
        "beams": [pool_ends % size, records % size],
    }
    both = {name: ops.concatenate(pair, 1) for name, pair in both.items()}
    # 2: finished, 1: open, 0: no hypothesis.
    classes = np.repeat(np.array([[2.0, 1.0]], "float32"), size, axis=1)
    exists = ops.greater(both["scores"], -math.inf)
    classes = ops.multiply(ops.cast(exists, "float32"), classes)
    best = best_of_classes(classes, both["scores"], num_hypotheses)
    ends = {name: gather_beams(part, best) for name, part in both.items()}
    exists = ops.greater(ends["scores"], -math.inf)
    ends["lengths"] = ops.where(exists, ends["lengths"], 0)
    return ends


def trace_back(last: dict, ends: dict, task: Task) -> dict[str, Tensor]:
    """Returns what `Search.search` returns.

    Args:
        last: dict. What the loop of a beam search ended with.
        ends: dict. What `rank_ends` returned.
        task: Task.
    """
    beams = trace_beams(last, ends, task)
    steps = ops.arange(task.max_length, dtype="int32")
    lengths = ops.expand_dims(ends["lengths"], -1)
    is_there = ops.less(steps, lengths)
    is_last = ops.equal(steps, lengths - 1)
    # A token stands in the beam that the next step continued.
    standing = ops.concatenate([beams[:, :, 1:], beams[:, :, :1]], axis=-1)
    result = {}
    for name, values, padding in [
        ("ids", last["records"] // task.beam_size, task.pad_id),
        ("token_scores", last["token_scores"], 0.0),
    ]:
        inner = pick_steps(values, standing)
        inner = ops.where(is_last, ops.expand_dims(ends[name], -1), inner)
        result[name] = ops.where(is_there, inner, padding)
    result["lengths"] = ends["lengths"]
    result["scores"] = ends["scores"]
    if task.record_alignments:
        alignments = pick_steps(last["alignments"], beams)
        is_there = ops.expand_dims(is_there, -1)
        result["alignments"] = ops.where(is_there, alignments, 0.0)
    return result


def trace_beams(last: dict, ends: dict, task: Task) -> Tensor:
    """Follows the back-pointers from the end of each hypothesis.

    Returns:
        Int32 `(B, N, T)`: the beam that each token continued. Behind the
        last token it has no meaning.
    """
    steps = ops.arange(task.max_length, dtype="int32")
    parents = ops.transpose(last["records"] % task.beam_size, (2, 0, 1))
    num_hypotheses = ends["beams"].shape[1]
    path = (task.batch_size, num_hypotheses, task.max_length)

    def goes_back(position, beams, path):
        return ops.greater_equal(position, 0)

    def follow(position, beams, path):
        came_from = gather_beams(take(parents, position), beams)
        is_inner = ops.less(position, ends["lengths"] - 1)
        beams = ops.where(is_inner, came_from, ends["beams"])
        here = ops.equal(steps, position)
        path = ops.where(here, ops.expand_dims(beams, -1), path)
        return position - 1, beams, path

    start = (last["position"] - 1, ends["beams"], ops.zeros(path, "int32"))
    return ops.while_loop(goes_back, follow, start)[2]


def read_beams(groups: list[dict], parts: list[Task]) -> dict[str, Tensor]:
    """Returns what was open after each step, of all groups of beams."""
    ids, parents, first = [], [], 0
    for group, part in zip(groups, parts):
        ids.append(group["records"] // part.beam_size)
        parents.append(group["records"] % part.beam_size + first)
        first += part.beam_size
    scores = [group["beam_scores"] for group in groups]
    return {
        "beam_ids": ops.concatenate(ids, axis=1),
        "beam_parents": ops.concatenate(parents, axis=1),
        "beam_scores": ops.concatenate(scores, axis=1),
    }


def pick_steps(values: Tensor, beams: Tensor) -> Tensor:
    """Picks `values` `(B, K, T, ...)` at `beams` `(B, N, T)`, step by step."""
    batch_size, size, num_steps, *rest = ops.shape(values)
    num_hypotheses = beams.shape[1]
    places = beams * num_steps + ops.arange(num_steps, dtype="int32")
    picked = gather_beams(
        ops.reshape(values, (batch_size, size * num_steps, *rest)),
        ops.reshape(places, (batch_size, num_hypotheses * num_steps)),
    )
    shape = (batch_size, num_hypotheses, num_steps, *rest)
    return ops.reshape(picked, shape)
