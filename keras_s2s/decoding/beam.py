"""Beam search with a pool of finished hypotheses and an exact stop."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.candidates import write_step
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.expansion import add_alignment
from keras_s2s.decoding.expansion import first_carry
from keras_s2s.decoding.expansion import merge_pool
from keras_s2s.decoding.expansion import propose
from keras_s2s.decoding.greedy import choose_best
from keras_s2s.decoding.groups import count_tokens
from keras_s2s.decoding.groups import discourage
from keras_s2s.decoding.groups import join_groups
from keras_s2s.decoding.groups import take_group
from keras_s2s.decoding.penalties import LENGTH_PENALTIES
from keras_s2s.decoding.ranking import Ranking
from keras_s2s.decoding.rows import search_rows
from keras_s2s.decoding.search import Search
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task
from keras_s2s.decoding.trace import rank_ends
from keras_s2s.decoding.trace import read_beams
from keras_s2s.decoding.trace import trace_back
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class BeamSearch(Search):
    """Keeps the K best open hypotheses, and the K best finished ones apart.

    At each step the best 2K of the K x V continuations are candidates. An
    end token among the first K of them finishes its hypothesis, which enters
    the pool and never changes again; only a better one pushes it out. The
    best K of the other candidates stay open. A sentence is done as soon as
    no open hypothesis can enter the full pool any more: its log-probability
    only falls, so the best it can still reach is what that would score with
    one of the lengths ahead and all covered. The result is that of searching
    to `max_length`.

    A finished hypothesis is ranked by its log-probability over its length
    penalty, with L its length in generated tokens: 1 for `"none"`,
    ((5 + L) / 6) ** alpha for `"gnmt"`, L ** alpha for `"power"`. To that may
    be added `word_reward` times L, and `coverage_penalty` times the sum, over
    the positions of the memory, of log(min(a, 1)), where a is the attention
    that a position got in all steps: less if part of a source was left out.
    Hypotheses still open at `max_length` come without an end token, behind
    every finished one, scored likewise. `token_scores` sum to the
    log-probability alone. Equal scores keep the order of beams and ids.

    With `beam_size=1` it is greedy search: the first end token ends a
    sentence, though its runner-up might have ended better.

    With `num_groups`, G, the beams are in groups of K / G, each a search of
    its own that finds other hypotheses than the groups before it: in what
    ranks, a token costs `diversity` for each open hypothesis of these that
    was extended by it at the same step. The first group is a plain search;
    one that is done costs the others nothing more.

    Args:
        beam_size: int > 0. K. Default: 4.
        length_penalty: `"none"`, `"gnmt"` or `"power"`. Default: `"none"`.
        alpha: float. Exponent of the length penalty; above 0 it favours
            long hypotheses, below 0 short ones. Default: 0.6.
        count_eos: bool. Whether L counts the end token. Default: True.
        early_stopping: bool. Whether a sentence is done once K hypotheses
            have finished, though a better one may be open. Default: False.
        num_hypotheses: int in [1, K]. N, how many hypotheses come back for a
            sentence. Default: 1.
        constraints: list of `Constraint`, or None. What may be generated;
            with one that weighs, such as `RepetitionPenalty`, the sum of
            weighted log-probabilities takes the place of the log-probability
            in what ranks. Default: None, anything.
        num_groups: int > 0, a divisor of K. G. Default: 1.
        diversity: float >= 0, nats. What a token costs for each beam of an
            earlier group that got it at the same step. Default: 0.5.
        word_reward: float, nats. Added to the score for each token that L
            counts; below 0 it favours short hypotheses. Default: 0.0.
        coverage_penalty: float >= 0. Weight of what was left out; above 0
            only for decoders with an `alignment` in their state. A position
            that got less than 1e-7 counts as that. Default: 0.0.
        offset: float > 0, tokens. What `"gnmt"` adds to L: its penalty is
            ((offset + L) / (offset + 1)) ** alpha. Default: 5.0.
        return_beams: bool. Whether the result has the tree of the search as
            well: `beam_ids`, int32 `(B, K, T)`, the tokens of the hypotheses
            that were open after each step; `beam_parents`, int32
            `(B, K, T)`, which of the beams before each was extended; and
            `beam_scores`, float32 `(B, K, T)`, nats, what ranked them, -inf
            where nothing was open. For K > 1 only, and
            `plots.plot_beam`. Default: False.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> logits = np.log([[0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    >>> def step(token_ids, state, context, position):
    ...     return ops.take(logits, token_ids, axis=0), state
    >>> result = BeamSearch(beam_size=2, num_hypotheses=2).search(
    ...     step, {}, batch_size=1, max_length=5, bos_id=2, eos_id=0, pad_id=0
    ... )

    Source: Wu et al., 2016, section 7, https://arxiv.org/abs/1609.08144
    (length and coverage penalty); Huang et al., 2017, section 3,
    https://aclanthology.org/D17-1227 (when to stop, word reward);
    Vijayakumar et al., 2018, https://arxiv.org/abs/1610.02424 (groups,
    Hamming diversity)
    """

    def __init__(
        self,
        beam_size: int = 4,
        length_penalty: str = "none",
        alpha: float = 0.6,
        count_eos: bool = True,
        early_stopping: bool = False,
        num_hypotheses: int = 1,
        constraints: Sequence[Constraint] | None = None,
        num_groups: int = 1,
        diversity: float = 0.5,
        word_reward: float = 0.0,
        coverage_penalty: float = 0.0,
        offset: float = 5.0,
        return_beams: bool = False,
    ):
        super().__init__(constraints)
        checks.check_positive("beam_size", beam_size)
        checks.check_option("length_penalty", length_penalty, LENGTH_PENALTIES)
        for name, value in (("alpha", alpha), ("word_reward", word_reward)):
            checks.check_number(
                name, value, open_minimum=True, open_maximum=True
            )
        checks.check_number(
            "offset", offset, 0.0, open_minimum=True, open_maximum=True
        )
        checks.check_instance("count_eos", count_eos, bool, "True or False")
        checks.check_instance(
            "early_stopping", early_stopping, bool, "True or False"
        )
        checks.check_positive("num_hypotheses", num_hypotheses)
        if num_hypotheses > beam_size:
            rule = f"at most `beam_size`, {beam_size}"
            checks.fail("num_hypotheses", rule, num_hypotheses)
        checks.check_positive("num_groups", num_groups)
        if beam_size % num_groups:
            rule = f"a divisor of `beam_size`, {beam_size}"
            checks.fail("num_groups", rule, num_groups)
        for name, value in (
            ("diversity", diversity),
            ("coverage_penalty", coverage_penalty),
        ):
            checks.check_number(name, value, 0.0, open_maximum=True)
        checks.check_instance(
            "return_beams", return_beams, bool, "True or False"
        )
        if return_beams and beam_size == 1:
            checks.fail("return_beams", "False where `beam_size` is 1", True)
        self.beam_size = beam_size
        self.length_penalty = length_penalty
        self.alpha = alpha
        self.count_eos = count_eos
        self.early_stopping = early_stopping
        self.num_hypotheses = num_hypotheses
        self.num_groups = num_groups
        self.diversity = diversity
        self.word_reward = word_reward
        self.coverage_penalty = coverage_penalty
        self.offset = offset
        self.return_beams = return_beams

    @property
    def reads_alignments(self) -> bool:
        """Whether alignments are part of the scores."""
        return self.coverage_penalty > 0.0

    def run(self, stepper: Stepper, task: Task) -> dict[str, Tensor]:
        """Returns what `search` returns, its arguments being checked."""
        ranking = self._make_ranking(task.max_length, task.memory_mask)
        if self.beam_size == 1:
            return run_greedy(stepper, task, ranking)
        last = self._loop(stepper, task, ranking)
        return self._read(last, ranking, task)

    def _make_ranking(self, max_length: int, mask: Any = None) -> Ranking:
        return Ranking(
            self.length_penalty,
            self.alpha,
            self.offset,
            self.count_eos,
            self.word_reward,
            self.coverage_penalty,
            max_length,
            mask,
        )

    def _split(self, task: Task) -> list[Task]:
        """Returns what each group is asked for."""
        size = self.beam_size // self.num_groups
        return [dataclasses.replace(task, beam_size=size)] * self.num_groups

    def _loop(self, stepper: Stepper, task: Task, ranking: Ranking) -> dict:
        def goes_on(carry):
            is_open = [
                ops.any(ops.greater(group["open_scores"], -math.inf))
                for group in carry["groups"]
            ]
            more = ops.less(carry["position"], task.max_length)
            return ops.logical_and(more, ops.any(ops.stack(is_open)))

        def extend(carry):
            position = carry["position"]
            distribution, leaves, alignment = stepper(
                carry["tokens"], carry["leaves"], position
            )
            attention = covered = None
            if task.reads_alignments:
                attention = add_alignment(carry["attention"], alignment)
                covered = ranking.cover(attention)
            extended = self._extend_groups(
                carry, distribution, covered, ranking, task
            )
            beams = extended.pop("beams")
            extended["leaves"] = stepper.reorder(leaves, beams)
            if task.reads_alignments:
                extended["attention"] = gather_beams(attention, beams)
            if task.record_alignments:
                extended["alignments"] = write_step(
                    carry["alignments"], position, alignment
                )
            return extended

        parts = self._split(task)
        first = first_carry(stepper, task, parts)
        if self.return_beams:
            for group, part in zip(first["groups"], parts):
                nothing = part.full(-math.inf, "float32", task.max_length)
                group["beam_scores"] = nothing
        return ops.while_loop(goes_on, extend, first)

    def _extend_groups(
        self,
        carry: dict,
        distribution: Distribution,
        covered: Tensor | None,
        ranking: Ranking,
        task: Task,
    ) -> dict:
        """Returns the next carry, without what is of the step, and `beams`,
        int32 `(B, K)`: which beam each of the next continues."""
        position, size = carry["position"], distribution.logits.shape[-1]
        groups, tokens, beams, taken = [], [], [], 0.0
        parts = self._split(task)
        for number, (group, part) in enumerate(zip(carry["groups"], parts)):
            own = take_group(distribution, number, task, part)
            if number > 0:
                own = discourage(own, taken * self.diversity, part)
            candidates, extended, chosen = propose(group, own, position, part)
            first = number * part.beam_size
            its_own = None
            if covered is not None:
                parents = candidates["records"] % part.beam_size + first
                its_own = gather_beams(covered, parents)
            scores = ranking.score(
                candidates["scores"], position + 1, covered=its_own
            )
            extended |= merge_pool(group, candidates, scores, position, part)
            if self.return_beams:
                extended["beam_scores"] = write_step(
                    group["beam_scores"], position, extended["open_scores"]
                )
            extended["open_scores"] = self._close_done(
                extended, position + 1, ranking
            )
            groups.append(extended)
            tokens.append(chosen // part.beam_size)
            beams.append(chosen % part.beam_size + first)
            if number < self.num_groups - 1:
                is_open = ops.greater(extended["open_scores"], -math.inf)
                taken = taken + count_tokens(tokens[-1], is_open, size)
        return {
            "position": position + 1,
            "tokens": ops.concatenate(tokens, axis=1),
            "groups": groups,
            "beams": ops.concatenate(beams, axis=1),
        }

    def _close_done(
        self, group: dict, length: Tensor, ranking: Ranking
    ) -> Tensor:
        """Returns the open scores, all -inf in a sentence that is done."""
        open_scores = group["open_scores"]
        worst = group["pool_scores"][:, -1:]
        done = ops.greater(worst, -math.inf)
        if not self.early_stopping:
            reach = ranking.reach(open_scores[:, :1], length)
            done = ops.logical_and(done, ops.less_equal(reach, worst))
        return ops.where(done, -math.inf, open_scores)

    def _read(
        self, last: dict, ranking: Ranking, task: Task
    ) -> dict[str, Tensor]:
        """Returns the best hypotheses of what the loop ended with."""
        results, finished = [], []
        for number, part in enumerate(self._split(task)):
            size = part.beam_size
            group = {**last["groups"][number], "position": last["position"]}
            own = slice(number * size, (number + 1) * size)
            if task.record_alignments:
                group["alignments"] = last["alignments"][:, own]
            covered = None
            if task.reads_alignments:
                covered = ranking.cover(last["attention"][:, own])
            open_scores = ranking.score(
                group["open_scores"], task.max_length, False, covered
            )
            count = min(self.num_hypotheses, size)
            ends = rank_ends(group, open_scores, count, part)
            results.append(trace_back(group, ends, part))
            finished.append(ops.equal(ends["ids"], task.eos_id))
        result = join_groups(results, finished, self.num_hypotheses)
        if self.return_beams:
            result |= read_beams(last["groups"], self._split(task))
        return result

    def rank(
        self,
        log_probs: np.ndarray,
        lengths: np.ndarray,
        finished: np.ndarray,
        attention: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns what a search scores hypotheses with, of any length."""
        ranking = self._make_ranking(int(np.max(lengths, initial=0)), mask)
        covered = None if attention is None else ranking.cover(attention)
        own, of_open = (
            ops.convert_to_numpy(
                ranking.score(log_probs, lengths, has_end, covered)
            )
            for has_end in (True, False)
        )
        return np.where(finished, own, of_open)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {
            "beam_size": self.beam_size,
            "length_penalty": self.length_penalty,
            "alpha": self.alpha,
            "count_eos": self.count_eos,
            "early_stopping": self.early_stopping,
            "num_hypotheses": self.num_hypotheses,
            "num_groups": self.num_groups,
            "diversity": self.diversity,
            "word_reward": self.word_reward,
            "coverage_penalty": self.coverage_penalty,
            "offset": self.offset,
            "return_beams": self.return_beams,
        }
        return {**config, **super().get_config()}


def run_greedy(
    stepper: Stepper, task: Task, ranking: Ranking
) -> dict[str, Tensor]:
    """Returns greedy search's result, scored as beam search scores."""
    recording = dataclasses.replace(
        task, record_alignments=task.needs_alignments
    )
    result = search_rows(stepper, choose_best, recording)
    covered = None
    if task.reads_alignments:
        covered = ranking.cover(ops.sum(result["alignments"], axis=2))
    if not task.record_alignments:
        result.pop("alignments", None)
    log_probs, lengths = result["scores"], result["lengths"]
    result["scores"] = ops.where(
        result.pop("finished"),
        ranking.score(log_probs, lengths, True, covered),
        ranking.score(log_probs, lengths, False, covered),
    )
    return result
