"""Stochastic beam search: whole sequences drawn without replacement."""

import math
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.candidates import best_first
from keras_s2s.decoding.candidates import best_of_classes
from keras_s2s.decoding.candidates import log_normalizer
from keras_s2s.decoding.candidates import only_legal
from keras_s2s.decoding.candidates import top_candidates
from keras_s2s.decoding.candidates import write_step
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.random_search import RandomSearch
from keras_s2s.decoding.random_search import spread
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task
from keras_s2s.decoding.trace import trace_back
from keras_s2s.recurrence import gather_beams
from keras_s2s.recurrence import take

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class StochasticBeamSearch(RandomSearch):
    """Draws K hypotheses of a sentence that all differ, in one beam search.

    They are what drawing one whole hypothesis after another would give if
    each that came were put aside: the first comes with its probability, each
    further one with its share of what is left. (A hypothesis is a sequence
    of tokens up to the end token, or of `max_length` without one.) Each
    hypothesis has its log-probability, at `temperature` and renormalized
    within the constraints, plus Gumbel noise; the K largest are the draw.
    The beam finds them without looking at the others, as a prefix has the
    noise of the best that goes on from it. A finished hypothesis stays in
    the beam with its value.

    The score of a hypothesis is its log-probability under the model itself,
    with temperature 1 and without constraints, as for `RandomSampling`; what
    is drawn says nothing about order. Hypotheses come best first, those
    with an end token before those without.

    With a seed every sentence meets the same noise: a result depends on its
    own sentence alone, on no batch, and two equal sentences have the same
    draw.

    Args:
        beam_size: int > 0. K, how many hypotheses are drawn. Default: 4.
        temperature: float > 0. Below 1 sharper, above 1 flatter than the
            model. Default: 1.0.
        num_hypotheses: int in [1, K] or None. N: how many of the K come
            back, the best. Default: all K.
        seed: int >= 0 or None. With a seed every call draws the same; with
            None each draws afresh, and `seed_generator` holds the state (a
            `keras.random.SeedGenerator`; on JAX what jit-compiles must treat
            it as state). Default: None.
        constraints: list of `Constraint`, or None. What may be drawn, before
            `temperature`. Default: None, anything.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> logits = np.log([[0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    >>> def step(token_ids, state, context, position):
    ...     return ops.take(logits, token_ids, axis=0), state
    >>> result = StochasticBeamSearch(beam_size=3, seed=0).search(
    ...     step, {}, batch_size=1, max_length=5, bos_id=2, eos_id=0, pad_id=0
    ... )

    Source: Kool et al., 2019, algorithm 1 and appendix B.3,
    https://arxiv.org/abs/1903.06059
    """

    def __init__(
        self,
        beam_size: int = 4,
        temperature: float = 1.0,
        num_hypotheses: int | None = None,
        seed: int | None = None,
        constraints: Sequence[Constraint] | None = None,
    ):
        super().__init__(temperature, seed, constraints)
        checks.check_positive("beam_size", beam_size)
        if num_hypotheses is None:
            num_hypotheses = beam_size
        checks.check_positive("num_hypotheses", num_hypotheses)
        if num_hypotheses > beam_size:
            rule = f"at most `beam_size`, {beam_size}"
            checks.fail("num_hypotheses", rule, num_hypotheses)
        self.beam_size = beam_size
        self.num_hypotheses = num_hypotheses

    def run(self, stepper: Stepper, task: Task) -> dict[str, Tensor]:
        """Returns what `search` returns, its arguments being checked."""
        keys = self.draw_keys(task)

        def goes_on(carry):
            more = ops.less(carry["position"], task.max_length)
            return ops.logical_and(more, ops.any(carry["open"]))

        def extend(carry):
            position = carry["position"]
            distribution, leaves, alignment = stepper(
                carry["tokens"], carry["leaves"], position
            )
            noise = spread(
                take(keys, position),
                task.beam_size,
                distribution.logits.shape[-1],
            )
            candidates = self._find_candidates(carry, distribution, noise, task)
            extended, beams = keep_best(carry, candidates, task)
            extended["leaves"] = stepper.reorder(leaves, beams)
            if task.record_alignments:
                extended["alignments"] = write_step(
                    carry["alignments"], position, alignment
                )
            return extended

        last = ops.while_loop(goes_on, extend, first_carry(stepper, task))
        ends = find_ends(last, self.num_hypotheses, task)
        return trace_back(last, ends, task)

    def _find_candidates(
        self, carry: dict, distribution: Distribution, noise: Tensor, task: Task
    ) -> dict[str, Tensor]:
        """Returns the K best continuations of each beam, or all there are.

        Of a finished one this is itself. All `(B, K * C)`: `perturbed`,
        `log_probs` and `records`, token id * K + beam, of the hypotheses,
        and the last tokens' `token_scores`.
        """
        logits = distribution.logits
        count = min(task.beam_size, logits.shape[-1])
        drawn_from = logits / self.temperature
        shape = (task.batch_size, task.beam_size, logits.shape[-1])
        noisy = ops.reshape(drawn_from, shape) - ops.log(-ops.log(noise))
        # What is largest with fresh noise is so with the noise of its prefix.
        kept, ids = top_candidates(ops.reshape(noisy, (-1, shape[-1])), count)
        highest = ops.max(logits, axis=-1, keepdims=True)
        total = log_normalizer(drawn_from, highest / self.temperature)
        values = gather_beams(logits, ids)
        _, token_scores = distribution.score(values, ids, highest)
        fresh, added, token_scores, ids = (
            ops.reshape(part, (task.batch_size, task.beam_size, count))
            for part in (
                kept - total,
                gather_beams(drawn_from, ids) - total,
                token_scores,
                ids,
            )
        )
        kept = perturb(carry["perturbed"], carry["log_probs"], fresh)
        is_open, before, log_probs = (
            ops.expand_dims(carry[name], -1)
            for name in ("open", "perturbed", "log_probs")
        )
        itself = ops.where(ops.equal(ops.arange(count), 0), before, -math.inf)
        beams = ops.expand_dims(ops.arange(task.beam_size, dtype="int32"), -1)
        candidates = {
            "perturbed": ops.where(is_open, kept, itself),
            "log_probs": log_probs + ops.where(is_open, added, 0.0),
            "token_scores": ops.where(is_open, token_scores, 0.0),
            "records": ids * task.beam_size + beams,
        }
        flat = (task.batch_size, task.beam_size * count)
        return {
            name: ops.reshape(part, flat) for name, part in candidates.items()
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {
            "beam_size": self.beam_size,
            "num_hypotheses": self.num_hypotheses,
        }
        return {**config, **super().get_config()}


def perturb(perturbed: Tensor, log_probs: Tensor, fresh: Tensor) -> Tensor:
    """Returns the perturbed log-probabilities of what goes on from prefixes.

    Gumbel noise on each, given that the largest of a prefix is its own.

    Args:
        perturbed: float `(B, K)`. Of each prefix; -inf where there is none.
        log_probs: float `(B, K)`. Of each prefix, without noise.
        fresh: float `(B, K, C)`, nats. Of next tokens, the largest first:
            log-probabilities given the prefix, with noise of their own.

    Returns:
        Float `(B, K, C)`; -inf for what is not legal.
    """
    # The prefix's own log-probability would go into both, and cancel.
    room = ops.expand_dims(perturbed - log_probs, -1)
    gap = room - fresh + log_of_rest(fresh - fresh[:, :, :1])
    softplus = ops.log1p(ops.exp(-ops.abs(gap)))
    largest = ops.expand_dims(perturbed, -1)
    return only_legal(largest - ops.maximum(gap, 0.0) - softplus)


def log_of_rest(values: Tensor) -> Tensor:
    """Returns log(1 - exp(values)) for values <= 0, exact at both ends."""
    return ops.where(
        ops.greater(values, -math.log(2)),
        ops.log(-ops.expm1(values)),
        ops.log1p(-ops.exp(values)),
    )


def first_carry(stepper: Stepper, task: Task) -> dict:
    """Returns what the loop starts with: one beam, of probability 1."""
    is_first = ops.equal(ops.arange(task.beam_size, dtype="int32"), 0)
    nothing = task.full(-math.inf, "float32")
    carry = {
        "position": ops.convert_to_tensor(0, "int32"),
        "tokens": task.full(task.bos_id, "int32"),
        "open": task.full(True, "bool"),
        "perturbed": ops.where(is_first, 0.0, nothing),
        "log_probs": task.full(0.0, "float32"),
        "scores": task.full(0.0, "float32"),
        "lengths": task.full(0, "int32"),
        "ends": task.full(0, "int32"),
        "end_scores": task.full(0.0, "float32"),
        "records": task.full(0, "int32", task.max_length),
        "token_scores": task.full(0.0, "float32", task.max_length),
        "leaves": stepper.leaves,
    }
    if task.record_alignments:
        axes = (task.max_length, stepper.alignment_length)
        carry["alignments"] = task.full(0.0, "float32", *axes)
    return carry


def keep_best(
    carry: dict, candidates: dict[str, Tensor], task: Task
) -> tuple[dict, Tensor]:
    """Returns the next carry, and which beam each of its K continues."""
    position = carry["position"]
    best = best_first(candidates["perturbed"], task.beam_size)
    chosen, perturbed, log_probs, added = (
        gather_beams(candidates[name], best)
        for name in ("records", "perturbed", "log_probs", "token_scores")
    )
    tokens, beams = chosen // task.beam_size, chosen % task.beam_size
    was_open, scores, lengths, ends, end_scores = (
        gather_beams(carry[name], beams)
        for name in ("open", "scores", "lengths", "ends", "end_scores")
    )
    exists = ops.greater(perturbed, -math.inf)
    is_open = ops.logical_and(was_open, ops.not_equal(tokens, task.eos_id))
    return {
        "position": position + 1,
        "tokens": tokens,
        "open": ops.logical_and(is_open, exists),
        "perturbed": perturbed,
        "log_probs": log_probs,
        "scores": scores + added,
        "lengths": lengths + ops.cast(was_open, "int32"),
        "ends": ops.where(was_open, chosen, ends),
        "end_scores": ops.where(was_open, added, end_scores),
        "records": write_step(carry["records"], position, chosen),
        "token_scores": write_step(carry["token_scores"], position, added),
    }, beams


def find_ends(last: dict, num_hypotheses: int, task: Task) -> dict[str, Tensor]:
    """Returns where the best N hypotheses end, as `trace_back` asks for."""
    exists = ops.greater(last["perturbed"], -math.inf)
    scores = ops.where(exists, last["scores"], -math.inf)
    finished = ops.logical_and(exists, ops.logical_not(last["open"]))
    finished = ops.cast(finished, "float32")
    best = best_of_classes(finished, scores, num_hypotheses)
    ends = {
        "scores": scores,
        "lengths": ops.where(exists, last["lengths"], 0),
        "ids": last["ends"] // task.beam_size,
        "token_scores": last["end_scores"],
        "beams": last["ends"] % task.beam_size,
    }
    return {name: gather_beams(part, best) for name, part in ends.items()}
