"""Attention that makes weights of its own from the scores of another."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.attention import Attention
from keras_s2s.layers.attention import make_attention

Tensor: TypeAlias = Any


class ScoredAttention(Attention):
    """What attentions share that may take their scores from any other.

    Args:
        score: "additive", "normalized", "dot", "general" (or
            "multiplicative"), "scaled", or an `Attention` layer with
            `scores`. How a query is compared with the memory.
        units: int > 0 or None. Hidden size of an additive score by name.
            Default: the size of the query.

    Raises:
        ValueError: `score` is unknown, or an attention without `scores`.
    """

    def __init__(
        self, score: Any, units: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if units is not None:
            checks.check_positive("units", units)
        self.score = read_score("score", score)
        self.units = units

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        self.scorer = self.make_scorer(self.score, query_dim, value_dim)
        self.linear_entries = self.scorer.linear_entries

    def make_scorer(
        self, score: Any, query_dim: int, value_dim: int
    ) -> Attention:
        """Returns the built layer that a score means."""
        units = self.units or query_dim
        scorer = make_attention(score, units, dtype=self.dtype_policy)
        if not scorer.built:
            scorer.build((query_dim,), (value_dim,))
        return scorer

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return self.scorer.prepare(value, mask)

    def exact_scores(
        self, scorer: Attention, query: Tensor, prepared: dict[str, Tensor]
    ) -> Tensor:
        """Scores `(B, T, S)` in float32 at least."""
        return ops.cast(scorer.scores(query, prepared), self.exact_dtype)

    def get_config(self) -> dict[str, Any]:
        config = {"score": write_score(self.score), "units": self.units}
        return {**super().get_config(), **config}


def read_score(name: str, score: Any) -> Any:
    """Returns a score, be it as it is or out of a config.

    Raises:
        ValueError: it is no name of one, nor a layer with `scores`.
    """
    if isinstance(score, dict):
        score = keras.saving.deserialize_keras_object(score)
    if isinstance(score, Attention):
        if type(score).scores is Attention.scores:
            checks.fail(name, "an attention with `scores`", score)
        return score
    names = ("additive", "normalized", "multiplicative")
    checks.check_option(name, score, (*names, "dot", "general", "scaled"))
    return score


def write_score(score: Any) -> Any:
    """Undoes `read_score`, for a config."""
    if isinstance(score, keras.layers.Layer):
        return keras.saving.serialize_keras_object(score)
    return score
