"""Attention of a window of the memory."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.scored_attention import ScoredAttention
from keras_s2s.recurrence import linear
from keras_s2s.recurrence import softmax

Tensor: TypeAlias = Any

ALIGNMENTS = ("monotonic", "predictive")


@keras.saving.register_keras_serializable(package="keras_s2s")
class LocalAttention(ScoredAttention):
    """Attends the 2 D + 1 positions around one, whatever their scores.

    The window stands at a position p_t of the source, counted from 0. With
    "monotonic" alignment (local-m), p_t = t, and stays at the last position
    when the target is longer than the source. With "predictive" alignment
    (local-p), p_t = S sigmoid(v . tanh(W query)), with S the length of the
    source without its padding, and weights are scaled by a normal
    distribution around p_t with a standard deviation of D / 2.

    Masking: weights are exactly 0 where `mask` is False, and padding takes
    no part in counting positions.

    Args:
        window: int > 0, in tokens. D, how far it reaches to either side.
            Default: 10.
        alignment: str. "monotonic" or "predictive". Default: "predictive".
        score, units: as in `ScoredAttention`. Default: "general".

    Call arguments, Returns: as in `Attention`; with "predictive" alignment
    weights sum to less than 1. With "monotonic" alignment queries are
    attended in their order.

    Example:

    >>> import keras_s2s as s2s
    >>> attention = s2s.layers.LocalAttention(window=5)
    >>> decoder = s2s.layers.RNNDecoder(30, 8, 16, attention=attention)

    Source: Luong et al., 2015, section 3.2, https://arxiv.org/abs/1508.04025
    """

    def __init__(
        self,
        window: int = 10,
        alignment: str = "predictive",
        score: Any = "general",
        units: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(score, units, **kwargs)
        checks.check_positive("window", window)
        checks.check_option("alignment", alignment, ALIGNMENTS)
        self.window = window
        self.alignment = alignment
        self.is_stateful = alignment == "monotonic"

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        super().build_weights(query_dim, value_dim)
        if self.alignment == "predictive":
            self.position_kernel = self.add_weight(
                shape=(query_dim, query_dim), name="position_kernel"
            )
            self.position_vector = self.add_weight(
                shape=(query_dim, 1), name="position_vector"
            )

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        real = ops.cast(mask, "int32")
        return {
            **super().prepare(value, mask),
            "positions": ops.cumsum(real, axis=1) - 1,
            "length": ops.sum(real, axis=1, keepdims=True),
        }

    def attend(
        self, query: Tensor, prepared: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        hidden = ops.tanh(linear(query, self.position_kernel))
        share = ops.cast(linear(hidden, self.position_vector), self.exact_dtype)
        # (B, T, 1) * (B, 1, 1)
        length = ops.expand_dims(prepared["length"], 1)
        center = ops.sigmoid(share) * ops.cast(length, share.dtype)
        return self._attend_around(center, query, prepared)

    def initial_state(
        self, value: Tensor, mask: Tensor, beam_size: int
    ) -> dict[str, Tensor]:
        if not self.is_stateful:
            return {}
        shape = (ops.shape(mask)[0], beam_size, 1)
        return {"time": ops.zeros(shape, self.exact_dtype)}

    def attend_step(
        self,
        query: Tensor,
        prepared: dict[str, Tensor],
        state: dict[str, Tensor],
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        if not self.is_stateful:
            return super().attend_step(query, prepared, state)
        time = state["time"]
        last = ops.expand_dims(prepared["length"] - 1, 1)
        center = ops.minimum(time, ops.cast(last, time.dtype))
        context, weights = self._attend_around(center, query, prepared)
        return context, weights, {"time": time + 1}

    def _attend_around(
        self, center: Tensor, query: Tensor, prepared: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Positions `(B, T, 1)` -> context and weights."""
        positions = ops.expand_dims(prepared["positions"], 1)
        distance = ops.cast(positions, center.dtype) - center
        mask = ops.logical_and(
            ops.expand_dims(prepared["mask"], 1),
            ops.abs(distance) <= self.window,
        )
        scores = self.exact_scores(self.scorer, query, prepared)
        weights = masking.masked_softmax(scores, mask, softmax)
        if self.alignment == "predictive":
            deviation = self.window / 2
            weights = weights * ops.exp(-0.5 * ops.square(distance / deviation))
        weights = ops.cast(weights, query.dtype)
        return linear(weights, prepared["value"]), weights

    def get_config(self) -> dict[str, Any]:
        config = {"window": self.window, "alignment": self.alignment}
        return {**super().get_config(), **config}
