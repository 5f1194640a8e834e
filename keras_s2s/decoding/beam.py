"""Beam search with a pool of finished hypotheses and an exact stop."""

import math
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.expansion import first_carry
from keras_s2s.decoding.expansion import merge_pool
from keras_s2s.decoding.expansion import propose
from keras_s2s.decoding.greedy import choose_best
from keras_s2s.decoding.penalties import LENGTH_PENALTIES
from keras_s2s.decoding.penalties import length_penalty_table
from keras_s2s.decoding.penalties import reachable_penalty_table
from keras_s2s.decoding.rows import search_rows
from keras_s2s.decoding.search import Search
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task
from keras_s2s.decoding.trace import rank_ends
from keras_s2s.decoding.trace import trace_back

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class BeamSearch(Search):
    """Keeps the K best open hypotheses, and the K best finished ones apart.

    At each step the best 2K of the K x V continuations are candidates. An
    end token among the first K of them finishes its hypothesis, which enters
    the pool and never changes again; only a better one pushes it out. The
    best K of the other candidates stay open. A sentence is done as soon as
    no open hypothesis can enter the full pool any more: its log-probability
    only falls, so the best it can still reach is that over the largest
    penalty of the lengths ahead. The result is that of searching to
    `max_length`.

    A finished hypothesis is ranked by its log-probability over its length
    penalty, with L its length in generated tokens: 1 for `"none"`,
    ((5 + L) / 6) ** alpha for `"gnmt"`, L ** alpha for `"power"`. Hypotheses
    still open at `max_length` come without an end token, behind every
    finished one, scored likewise. `token_scores` sum to the log-probability,
    without a penalty. Equal scores keep the order of beams and ids.

    With `beam_size=1` it is greedy search: the first end token ends a
    sentence, though its runner-up might have ended better.

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
    (length penalty); Huang et al., 2017, section 3,
    https://aclanthology.org/D17-1227 (when to stop)
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
    ):
        super().__init__(constraints)
        checks.check_positive("beam_size", beam_size)
        checks.check_option("length_penalty", length_penalty, LENGTH_PENALTIES)
        checks.check_number(
            "alpha", alpha, open_minimum=True, open_maximum=True
        )
        checks.check_instance("count_eos", count_eos, bool, "True or False")
        checks.check_instance(
            "early_stopping", early_stopping, bool, "True or False"
        )
        checks.check_positive("num_hypotheses", num_hypotheses)
        if num_hypotheses > beam_size:
            rule = f"at most `beam_size`, {beam_size}"
            checks.fail("num_hypotheses", rule, num_hypotheses)
        self.beam_size = beam_size
        self.length_penalty = length_penalty
        self.alpha = alpha
        self.count_eos = count_eos
        self.early_stopping = early_stopping
        self.num_hypotheses = num_hypotheses

    def run(self, stepper: Stepper, task: Task) -> dict[str, Tensor]:
        """Returns what `search` returns, its arguments being checked."""
        penalties = length_penalty_table(
            self.length_penalty, self.alpha, task.max_length, self.count_eos
        )
        # No end token to leave out: an open hypothesis counts all its tokens.
        open_penalty = length_penalty_table(
            self.length_penalty, self.alpha, task.max_length
        )[-1]
        if self.beam_size == 1:
            return run_greedy(stepper, task, penalties, open_penalty)
        last = self._loop(stepper, task, penalties)
        ends = rank_ends(last, open_penalty, self.num_hypotheses, task)
        return trace_back(last, ends, task)

    def _loop(self, stepper: Stepper, task: Task, penalties: Any) -> dict:
        reachable = ops.convert_to_tensor(reachable_penalty_table(penalties))
        penalties = ops.convert_to_tensor(penalties)

        def goes_on(carry):
            is_open = ops.greater(carry["open_scores"], -math.inf)
            more = ops.less(carry["position"], task.max_length)
            return ops.logical_and(more, ops.any(is_open))

        def extend(carry):
            candidates, extended = propose(carry, stepper, task)
            length = extended["position"]
            penalty = ops.take(penalties, length, axis=0)
            extended |= merge_pool(carry, candidates, penalty, task)
            # The last step leaves no length ahead, and no use for a bound.
            ahead = ops.minimum(length, task.max_length - 1)
            extended["open_scores"] = self._close_done(
                extended, ops.take(reachable, ahead, axis=0)
            )
            return extended

        return ops.while_loop(goes_on, extend, first_carry(stepper, task))

    def _close_done(self, carry: dict, largest_penalty: Tensor) -> Tensor:
        """Returns the open scores, all -inf in a sentence that is done."""
        open_scores = carry["open_scores"]
        worst = carry["pool_scores"][:, -1:]
        done = ops.greater(worst, -math.inf)
        if not self.early_stopping:
            reach = open_scores[:, :1] / largest_penalty
            done = ops.logical_and(done, ops.less_equal(reach, worst))
        return ops.where(done, -math.inf, open_scores)

    def rank(
        self, log_probs: np.ndarray, lengths: np.ndarray, finished: np.ndarray
    ) -> np.ndarray:
        """Returns `log_probs` over the penalties of their lengths."""
        longest = int(np.max(lengths, initial=0))
        own, of_open = (
            length_penalty_table(
                self.length_penalty, self.alpha, longest, count_eos
            )[lengths]
            for count_eos in (self.count_eos, True)
        )
        return log_probs / np.where(finished, own, of_open)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {
            "beam_size": self.beam_size,
            "length_penalty": self.length_penalty,
            "alpha": self.alpha,
            "count_eos": self.count_eos,
            "early_stopping": self.early_stopping,
            "num_hypotheses": self.num_hypotheses,
        }
        return {**config, **super().get_config()}


def run_greedy(
    stepper: Stepper, task: Task, penalties: Any, open_penalty: Any
) -> dict[str, Tensor]:
    """Returns greedy search's result, its scores over their penalties."""
    result = search_rows(stepper, choose_best, task)
    finished = result.pop("finished")
    own = ops.take(penalties, result["lengths"], axis=0)
    result["scores"] = result["scores"] / ops.where(finished, own, open_penalty)
    return result
