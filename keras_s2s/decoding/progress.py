"""How far hypotheses are with the phrases that they have to hold."""

import dataclasses
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.phrases import Phrases

Tensor: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far K hypotheses are with C phrases of at most L tokens.

    What a hypothesis ends with is counted as begun, the longest such
    beginning of a phrase: `a a` of `a a b` after `a a a`.

    Attributes:
        ids: int32 `(B, C, L)`, or with 1 for B. -1 behind each phrase.
        lengths: int32 `(B, C)`, or with 1 for B. Tokens.
        unmet: bool `(B, K, C)`. Whether the hypothesis lacks the phrase.
        begun: bool `(B, K, C, L)`. Whether it lacks the phrase, and ends
            with as many tokens of it as stand before this one.
    """

    ids: Tensor
    lengths: Tensor
    unmet: Tensor
    begun: Tensor

    def take_beams(self, start: int, stop: int) -> "Progress":
        """Returns that of the hypotheses from `start` to `stop`."""
        unmet, begun = self.unmet[:, start:stop], self.begun[:, start:stop]
        return Progress(self.ids, self.lengths, unmet, begun)

    def next_tokens(self) -> Tensor:
        """Returns int32 `(B, K, C)`: what goes on with each phrase.

        -1 where the hypothesis holds it.
        """
        steps = ops.arange(ops.shape(self.ids)[2], dtype="int32")
        counts = ops.max(ops.where(self.begun, steps, -1), -1, keepdims=True)
        tokens = ops.where(
            ops.equal(steps, counts), ops.expand_dims(self.ids, 1), -1
        )
        return ops.max(tokens, axis=-1)

    def count_anew(self) -> Tensor:
        """Returns int32 `(B, K)`: the tokens of all unmet phrases."""
        lengths = ops.expand_dims(self.lengths, 1)
        return ops.sum(ops.where(self.unmet, lengths, 0), axis=-1)

    def count_missing(self, tokens: Tensor) -> Tensor:
        """Returns int32 `(B, K, X)`: what is missing after one more token.

        The tokens of all phrases that are unmet then, one after the other,
        less those of the one that is begun furthest. So many tokens suffice;
        where phrases overlap, fewer may.

        Args:
            tokens: int32 `(B, K, X)`. One more token.
        """
        tokens = ops.expand_dims(ops.expand_dims(tokens, -1), -1)
        ids = ops.expand_dims(ops.expand_dims(self.ids, 1), 1)
        lengths = ops.expand_dims(ops.expand_dims(self.lengths, 1), 1)
        goes_on = ops.logical_and(
            ops.expand_dims(self.begun, 2), ops.equal(ids, tokens)
        )  # (B, K, X, C, L)
        counts = ops.arange(1, ops.shape(self.ids)[2] + 1, dtype="int32")
        reached = ops.max(ops.where(goes_on, counts, 0), axis=-1)
        unmet = ops.logical_and(
            ops.expand_dims(self.unmet, 2), ops.less(reached, lengths)
        )
        anew = ops.sum(ops.where(unmet, lengths, 0), axis=-1)
        return anew - ops.max(ops.where(unmet, reached, 0), axis=-1)


def measure(phrases: Phrases, hypotheses: Hypotheses) -> Progress:
    """Returns how far hypotheses are, a function of their tokens alone."""
    unmet = ops.logical_not(find_held(phrases, hypotheses))
    begun = ops.logical_and(
        find_begun(phrases, hypotheses), ops.expand_dims(unmet, -1)
    )
    return Progress(phrases.ids, phrases.lengths, unmet, begun)


def find_held(phrases: Phrases, hypotheses: Hypotheses) -> Tensor:
    """Returns bool `(B, K, C)`: which phrases stand in each hypothesis."""
    places = ops.arange(hypotheses.max_length, dtype="int32")
    steps = ops.arange(ops.shape(phrases.ids)[2], dtype="int32")
    places = ops.expand_dims(places, -1) + steps  # (T, L)
    inside = ops.less(places, hypotheses.position)
    windows = ops.take(
        hypotheses.ids, ops.minimum(places, hypotheses.max_length - 1), axis=2
    )
    windows = ops.expand_dims(ops.where(inside, windows, -1), 2)
    ids = ops.expand_dims(ops.expand_dims(phrases.ids, 1), 3)
    same = ops.logical_or(ops.equal(windows, ids), ops.less(ids, 0))
    return ops.any(ops.all(same, axis=-1), axis=-1)


def find_begun(phrases: Phrases, hypotheses: Hypotheses) -> Tensor:
    """Returns bool `(B, K, C, L)`: whether a hypothesis ends with the tokens
    of a phrase that stand before this one."""
    size = ops.shape(phrases.ids)[2]
    steps = ops.arange(size, dtype="int32")
    counts = ops.expand_dims(steps, -1)
    not_asked = ops.greater_equal(steps, counts)  # (L, L)
    places = ops.where(not_asked, 0, size - counts + steps)
    tails = ops.take(hypotheses.last(size), places, axis=2)
    ids = ops.expand_dims(ops.expand_dims(phrases.ids, 1), 3)
    same = ops.equal(ops.expand_dims(tails, 2), ids)  # (B, K, C, L, L)
    begun = ops.all(ops.logical_or(same, not_asked), axis=-1)
    is_token = ops.greater_equal(ops.expand_dims(phrases.ids, 1), 0)
    return ops.logical_and(begun, is_token)
