"""What ranks the hypotheses of a beam search, and what can still be reached."""

import math
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.candidates import only_legal
from keras_s2s.decoding.penalties import count_lengths
from keras_s2s.decoding.penalties import length_penalty_table
from keras_s2s.decoding.penalties import reachable_penalty_table
from keras_s2s.recurrence import take

Tensor: TypeAlias = Any

# What a position counts as that got less: its logarithm stays a number.
LEAST_ATTENTION = 1e-7


def log_coverage(attention: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns how far each source was attended to, in nats, at most 0.

    The sum over its positions of log(min(attention, 1)): 0 once each has got
    an attention of 1.

    Args:
        attention: float `(B, ..., S)`. Sums of the alignments of all steps.
        mask: bool `(B, S)`, or None. Which positions are real.

    Returns:
        Float `(B, ...)`; -inf where there is a NaN.

    Source: Wu et al., 2016, equation 14, https://arxiv.org/abs/1609.08144
    """
    logs = ops.log(ops.clip(attention, LEAST_ATTENTION, 1.0))
    if mask is not None:
        for _ in range(len(logs.shape) - 2):
            mask = ops.expand_dims(mask, 1)
        logs = ops.where(mask, logs, 0.0)
    return only_legal(ops.sum(logs, axis=-1))


class Ranking:
    """Makes scores of log-probabilities, of hypotheses of up to T tokens.

    A score is the log-probability over the length penalty, and the rewards
    and the weighted coverage on top. Open hypotheses count all their tokens:
    they have no end token to leave out.

    Args:
        length_penalty, alpha, offset, count_eos, word_reward,
            coverage_penalty: as in `BeamSearch`.
        max_length: int > 0. T.
        mask: bool `(B, S)`, or None. What is there to be covered.
    """

    def __init__(
        self,
        length_penalty: str,
        alpha: float,
        offset: float,
        count_eos: bool,
        word_reward: float,
        coverage_penalty: float,
        max_length: int,
        mask: Tensor | None = None,
    ):
        self.coverage_penalty = coverage_penalty
        self.max_length = max_length
        self.mask = mask
        # Of finished hypotheses and of open ones.
        counts = {True: count_eos, False: True}
        divisors = {
            finished: length_penalty_table(
                length_penalty, alpha, max_length, count, offset
            )
            for finished, count in counts.items()
        }
        reachable = reachable_penalty_table(divisors[True])
        self.reachable = ops.convert_to_tensor(reachable)
        self.divisors = {
            finished: ops.convert_to_tensor(table)
            for finished, table in divisors.items()
        }
        self.rewards = None
        if word_reward != 0.0:
            self.rewards = {
                finished: ops.convert_to_tensor(
                    word_reward * count_lengths(max_length, count), "float32"
                )
                for finished, count in counts.items()
            }

    def cover(self, attention: Tensor) -> Tensor:
        """Sums of alignments `(B, ..., S)` -> what they add to scores."""
        return self.coverage_penalty * log_coverage(attention, self.mask)

    def score(
        self,
        log_probs: Tensor,
        lengths: Tensor,
        finished: bool = True,
        covered: Tensor | None = None,
    ) -> Tensor:
        """Returns what ranks hypotheses, all of them finished or all open.

        Args:
            log_probs: float32 `(B, ...)`, nats. They may be weighted.
            lengths: int32, of a shape that fits. Tokens, the end included.
            finished: bool. Whether they have an end token. Default: True.
            covered: float32, of a shape that fits. What `cover` returned.
        """
        divisors = self.divisors[finished]
        scores = log_probs / take(divisors, lengths)
        if self.rewards is not None:
            rewards = self.rewards[finished]
            scores = scores + take(rewards, lengths)
        if covered is not None:
            scores = scores + covered
        return scores

    def reach(self, log_probs: Tensor, length: Tensor) -> Tensor:
        """Returns the best score that open hypotheses can still finish with.

        A log-probability only falls, and coverage adds 0 at most: so it is
        the best of what the log-probability would score with each length
        ahead. After the last step that is T.

        Args:
            log_probs: float32 `(B, 1)`.
            length: int32 scalar tensor in [1, T]. How many tokens they have.

        Returns:
            Float32 `(B, 1)`.
        """
        length = ops.minimum(length, self.max_length - 1)
        if self.rewards is None:
            return log_probs / take(self.reachable, length)
        scores = log_probs / self.divisors[True] + self.rewards[True]
        lengths = ops.arange(self.max_length + 1, dtype="int32")
        scores = ops.where(ops.greater(lengths, length), scores, -math.inf)
        return ops.max(scores, axis=1, keepdims=True)
