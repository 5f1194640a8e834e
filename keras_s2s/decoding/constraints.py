"""Constraints: what a search must not generate, or should less often."""

import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.candidates import gather_beams
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.constraint import Hypotheses

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


@keras.saving.register_keras_serializable(package="keras_s2s")
class ForbiddenPhrases(Constraint):
    """Phrases, or single tokens, that no hypothesis may hold.

    Args:
        phrases: list of lists of int >= 0. The ids of each phrase; one id
            forbids that token.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.ForbiddenPhrases([[7], [12, 5]])]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)
    """

    def __init__(self, phrases: Sequence[Sequence[int]]):
        checks.check_instance("phrases", phrases, Sequence, "a list of lists")
        self.phrases = []
        for index, phrase in enumerate(phrases):
            name = f"phrases[{index}]"
            checks.check_instance(name, phrase, Sequence, "a list of ids")
            if not phrase:
                checks.fail(name, "a list of ids, not empty", phrase)
            for token in phrase:
                checks.check_integer(name, token, 0)
            self.phrases.append([int(token) for token in phrase])
        if not self.phrases:
            checks.fail("phrases", "a list of lists, not empty", phrases)

    def check(self, vocabulary_size: int, eos_id: int, max_length: int) -> None:
        """Refuses ids outside the vocabulary."""
        for index, phrase in enumerate(self.phrases):
            checks.check_ids(f"phrases[{index}]", phrase, vocabulary_size)

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for what would end a phrase."""
        before = max(len(phrase) for phrase in self.phrases) - 1
        last = hypotheses.last(before)
        shape = (*ops.shape(last)[:2], len(self.phrases))
        ends = np.array([phrase[-1] for phrase in self.phrases], "int32")
        begun = ops.ones(shape, "bool")
        # Right-aligned: a short phrase does not ask what came long before.
        for place in range(before):
            wanted = [
                phrase[place - before - 1]
                if len(phrase) > before - place
                else None
                for phrase in self.phrases
            ]
            asks = np.array([token is not None for token in wanted])
            tokens = np.array([token or 0 for token in wanted], "int32")
            same = ops.equal(last[:, :, place : place + 1], tokens)
            begun = ops.logical_and(begun, ops.logical_or(same, ~asks))
        return forbid(log_probs, ops.broadcast_to(ends, shape), begun)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"phrases": self.phrases}


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
