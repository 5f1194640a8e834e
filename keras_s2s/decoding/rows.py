"""The search loop for hypotheses that go on independently of each other."""

import math
from collections.abc import Callable
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.candidates import only_legal
from keras_s2s.decoding.candidates import write_step
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task

Tensor: TypeAlias = Any


def search_rows(stepper: Stepper, choose: Callable, task: Task) -> dict:
    """Extends each of K hypotheses by one chosen token until all have ended.

    Args:
        stepper: Stepper.
        choose: callable `choose(distribution, position)` of B * K rows.
            Returns token ids int32, what they add to the score of their
            hypothesis and their log-probabilities, float32, nats, each
            `(B * K, 1)`.
        task: Task.

    Returns:
        What `Search.search` returns, unranked, N = K, and `finished`, bool
        `(B, K)`: whether there is an end token.
    """

    def goes_on(carry):
        more = ops.less(carry["position"], task.max_length)
        return ops.logical_and(more, ops.any(carry["open"]))

    def extend(carry):
        return extend_rows(carry, stepper, choose, task)

    last = ops.while_loop(goes_on, extend, first_carry(stepper, task))
    possible = ops.greater(last["scores"], -math.inf)
    there = ops.logical_and(
        ops.expand_dims(possible, -1),
        ops.less(
            ops.arange(task.max_length, dtype="int32"),
            ops.expand_dims(last["lengths"], -1),
        ),
    )
    result = {
        "ids": ops.where(there, last["ids"], task.pad_id),
        "lengths": ops.where(possible, last["lengths"], 0),
        "scores": last["scores"],
        "token_scores": ops.where(there, last["token_scores"], 0.0),
        "finished": ops.logical_and(possible, ops.logical_not(last["open"])),
    }
    if task.record_alignments:
        there = ops.expand_dims(there, -1)
        result["alignments"] = ops.where(there, last["alignments"], 0.0)
    return result


def first_carry(stepper: Stepper, task: Task) -> dict:
    """Returns what the loop starts with."""
    carry = {
        "position": ops.convert_to_tensor(0, "int32"),
        "tokens": task.full(task.bos_id, "int32"),
        "open": task.full(True, "bool"),
        "scores": task.full(0.0, "float32"),
        "lengths": task.full(0, "int32"),
        "ids": task.full(task.pad_id, "int32", task.max_length),
        "token_scores": task.full(0.0, "float32", task.max_length),
        "leaves": stepper.leaves,
    }
    if task.record_alignments:
        axes = (task.max_length, stepper.alignment_length)
        carry["alignments"] = task.full(0.0, "float32", *axes)
    return carry


def extend_rows(
    carry: dict, stepper: Stepper, choose: Callable, task: Task
) -> dict:
    """Returns the carry with one more token on each open hypothesis."""
    position = carry["position"]
    is_open = carry["open"]
    distribution, leaves, alignment = stepper(
        carry["tokens"], carry["leaves"], position
    )
    shape = (task.batch_size, task.beam_size)
    tokens, added, token_scores = (
        ops.reshape(part, shape) for part in choose(distribution, position)
    )
    scores = carry["scores"] + only_legal(added)
    scores = ops.where(is_open, scores, carry["scores"])
    still_open = ops.logical_and(is_open, ops.not_equal(tokens, task.eos_id))
    extended = {
        "position": position + 1,
        "tokens": tokens,
        "open": ops.logical_and(still_open, ops.greater(scores, -math.inf)),
        "scores": scores,
        "lengths": carry["lengths"] + ops.cast(is_open, "int32"),
        "ids": write_step(carry["ids"], position, tokens),
        "token_scores": write_step(
            carry["token_scores"], position, token_scores
        ),
        "leaves": leaves,
    }
    if task.record_alignments:
        extended["alignments"] = write_step(
            carry["alignments"], position, alignment
        )
    return extended
