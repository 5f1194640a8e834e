"""Constraints: what a search must not generate, or should less often."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.legality import change
from keras_s2s.decoding.legality import forbid

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class NoRepeatNgrams(Constraint):
    """No n tokens in a row come twice in a hypothesis.

    Args:
        size: int > 0. n; with 1 no token comes twice.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.NoRepeatNgrams(3)]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)

    Source: Paulus et al., 2017, section 2.5, https://arxiv.org/abs/1705.04304
    """

    def __init__(self, size: int):
        checks.check_positive("size", size)
        self.size = size

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for what would end an old n-gram."""
        before = self.size - 1
        num_starts = hypotheses.max_length - before
        if num_starts <= 0:
            return log_probs
        ids, last = hypotheses.ids, hypotheses.last(before)
        # Whether the n-gram that starts here has been generated whole.
        repeated = hypotheses.is_generated()[before:]
        for place in range(before):
            window = ids[:, :, place : place + num_starts]
            same = ops.equal(window, last[:, :, place : place + 1])
            repeated = ops.logical_and(repeated, same)
        ends = ids[:, :, before:]
        return forbid(
            log_probs, ends, ops.broadcast_to(repeated, ops.shape(ends))
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"size": self.size}


@keras.saving.register_keras_serializable(package="keras_s2s")
class RepetitionPenalty(Constraint):
    """Makes tokens less likely that a hypothesis has already.

    Their log-probabilities are multiplied by `penalty`, without normalizing
    again, and rank so; `token_scores` stay the model's.

    Args:
        penalty: float > 0. Above 1 a token is rarer once it came, below 1
            more frequent.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.RepetitionPenalty(1.3)]
    >>> search = s2s.decoding.GreedySearch(constraints=constraints)

    Source: Keskar et al., 2019, section 4.1, https://arxiv.org/abs/1909.05858
    (which divides logits)
    """

    def __init__(self, penalty: float):
        checks.check_number(
            "penalty", penalty, 0.0, open_minimum=True, open_maximum=True
        )
        self.penalty = penalty

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, multiplied for what there is already."""
        ids = hypotheses.ids
        there = ops.broadcast_to(hypotheses.is_generated(), ops.shape(ids))
        return change(log_probs, ids, there, lambda own: own * self.penalty)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"penalty": self.penalty}
