"""Groups of beams that are to differ from each other."""

from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.candidates import best_of_classes
from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.distribution import normalize
from keras_s2s.decoding.search import Task
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


def take_group(
    distribution: Distribution, number: int, task: Task, part: Task
) -> Distribution:
    """Returns what may follow the beams of one group of K' of K beams."""
    if part.beam_size == task.beam_size:
        return distribution
    own = [
        values if values is None else _take(values, number, task, part)
        for values in (distribution.logits, distribution.log_probs)
    ]
    progress = distribution.progress
    if progress is not None:
        start = number * part.beam_size
        progress = progress.take_beams(start, start + part.beam_size)
    return Distribution(*own, progress)


def _take(values: Tensor, number: int, task: Task, part: Task) -> Tensor:
    size, width = part.beam_size, values.shape[-1]
    values = ops.reshape(values, (task.batch_size, task.beam_size, width))
    own = values[:, number * size : (number + 1) * size]
    return ops.reshape(own, (task.batch_size * size, width))


def discourage(
    distribution: Distribution, taken: Tensor, part: Task
) -> Distribution:
    """Ranks tokens lower, whose log-probabilities stay.

    Args:
        distribution: of `B * K'` rows.
        taken: float `(B, V)`, nats >= 0. How much lower each token.
        part: Task of K' beams.
    """
    log_probs = distribution.log_probs
    ranked = distribution.logits
    if log_probs is None:
        ranked = log_probs = normalize(ranked)
    size = ranked.shape[-1]
    shape = (part.batch_size, part.beam_size, size)
    ranked = ops.reshape(ranked, shape) - ops.expand_dims(taken, 1)
    ranked = ops.reshape(ranked, (-1, size))
    return Distribution(ranked, log_probs, distribution.progress)


def count_tokens(tokens: Tensor, are_open: Tensor, size: int) -> Tensor:
    """Returns float32 `(B, V)`: how many open beams got each token.

    Args:
        tokens: int32 `(B, K)`, in [0, V).
        are_open: bool `(B, K)`.
        size: int. V.
    """
    marks = ops.one_hot(tokens, size, dtype="float32")
    open_marks = ops.cast(ops.expand_dims(are_open, -1), "float32")
    return ops.sum(marks * open_marks, axis=1)


def join_groups(
    results: list[dict], finished: list[Tensor], num_hypotheses: int
) -> dict[str, Tensor]:
    """Returns the best N hypotheses of all groups: finished first, then open.

    Args:
        results: what `trace_back` returned, for each group.
        finished: bool `(B, N)` of each: whether there is an end token.
        num_hypotheses: int. N of the result.
    """
    if len(results) == 1:
        return results[0]
    joined = {
        name: ops.concatenate([one[name] for one in results], axis=1)
        for name in results[0]
    }
    # 2: finished, 1: open, 0: no hypothesis.
    classes = ops.cast(ops.concatenate(finished, axis=1), "float32")
    classes = classes + ops.cast(ops.greater(joined["lengths"], 0), "float32")
    order = best_of_classes(classes, joined["scores"], num_hypotheses)
    return {name: gather_beams(part, order) for name, part in joined.items()}
