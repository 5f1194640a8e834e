"""Attention that only moves forward."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.scored_attention import ScoredAttention
from keras_s2s.layers.scored_attention import read_score
from keras_s2s.layers.scored_attention import write_score
from keras_s2s.recurrence import linear

Tensor: TypeAlias = Any

MODES = ("recursive", "parallel", "hard")

# What "parallel" divides by at least.
SMALLEST = 1e-10


@keras.saving.register_keras_serializable(package="keras_s2s")
class MonotonicAttention(ScoredAttention):
    """Goes on from where the step before stopped, and never back.

    From there, a step stops at each position with the probability
    p = sigmoid(score + r), or goes on to the next one. Weights are the
    probabilities to stop at each. What goes on beyond the source stops
    nowhere: weights may sum to less than 1, and go to 0 where the target is
    longer than the source can serve.

    Masking: no step stops where `mask` is False.

    Args:
        score, units: as in `ScoredAttention`. Default: "normalized", of
            which r is a part in the paper.
        mode: str. "recursive", the probabilities themselves, in a time that
            grows with the square of the source's length; "parallel", in one
            that grows with the length, for less precision: what has gone on
            with less than 1e-10 is lost; "hard", a step stops where p > 0.5,
            which has no gradient. Default: "recursive".
        inference_mode: str or None. The mode outside training; "hard" where
            the model is to be read word by word. Default: `mode`.
        sigmoid_noise: float >= 0. The standard deviation of normal noise
            added to scores in training, which makes p near 0 or 1.
            Default: 1.0.
        score_bias_init: float. The first value of r; below 0, a new model
            looks further ahead. Default: -1.0.

    Call arguments, Returns: as in `Attention`, with weights summing to 1 at
    most; queries are attended in their order.

    Raises:
        ValueError: an option is not among those named, or a number negative.

    Example:

    >>> import keras_s2s as s2s
    >>> attention = s2s.layers.MonotonicAttention(inference_mode="hard")
    >>> decoder = s2s.layers.RNNDecoder(30, 8, 16, attention=attention)

    Source: Raffel et al., 2017, eq. 8 to 16 and Algorithm 1,
    https://arxiv.org/abs/1704.00784
    """

    is_stateful = True

    def __init__(
        self,
        score: Any = "normalized",
        units: int | None = None,
        mode: str = "recursive",
        inference_mode: str | None = None,
        sigmoid_noise: float = 1.0,
        score_bias_init: float = -1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(score, units, **kwargs)
        checks.check_option("mode", mode, MODES)
        checks.check_option("inference_mode", inference_mode, (None, *MODES))
        checks.check_number("sigmoid_noise", sigmoid_noise, 0.0)
        checks.check_number("score_bias_init", score_bias_init)
        self.mode = mode
        self.inference_mode = inference_mode
        self.sigmoid_noise = sigmoid_noise
        self.score_bias_init = score_bias_init
        self.seed_generator = keras.random.SeedGenerator()

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        super().build_weights(query_dim, value_dim)
        self.score_bias = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.score_bias_init),
            name="score_bias",
        )

    def initial_state(
        self, value: Tensor, mask: Tensor, beam_size: int
    ) -> dict[str, Tensor]:
        rows, length = ops.shape(mask)
        first = ops.cast(ops.equal(ops.arange(length), 0), self.exact_dtype)
        zeros = ops.zeros((rows, beam_size, length), self.exact_dtype)
        return {"stops": zeros + first}

    def draw_noise(
        self, like: Tensor, mask: Tensor, training: bool | None
    ) -> Tensor | None:
        if not training:
            return None
        return keras.random.normal(
            (*ops.shape(like)[:-1], ops.shape(mask)[1]),
            stddev=self.sigmoid_noise,
            dtype=self.exact_dtype,
            seed=self.seed_generator,
        )

    def attend_step(
        self,
        query: Tensor,
        prepared: dict[str, Tensor],
        state: dict[str, Tensor],
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        scores = self.exact_scores(self.scorer, query, prepared)
        scores = scores + ops.cast(self.score_bias, scores.dtype)
        mode = self.mode
        if noise is None:
            mode = self.inference_mode or mode
        else:
            scores = scores + noise
        mask = ops.expand_dims(prepared["mask"], 1)
        scores = ops.where(mask, scores, masking.MASKED_SCORE)
        stops = stop(scores, state["stops"], mode)
        weights = self.weigh_stops(stops, query, prepared)
        weights = ops.cast(weights, query.dtype)
        context = linear(weights, prepared["value"])
        return context, weights, {"stops": stops}

    def weigh_stops(
        self, stops: Tensor, query: Tensor, prepared: dict[str, Tensor]
    ) -> Tensor:
        """Probabilities to stop at each position -> weights."""
        return stops

    def get_config(self) -> dict[str, Any]:
        config = {
            "mode": self.mode,
            "inference_mode": self.inference_mode,
            "sigmoid_noise": self.sigmoid_noise,
            "score_bias_init": self.score_bias_init,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class MonotonicChunkwiseAttention(MonotonicAttention):
    """Monotonic attention that looks back a little from where it stops.

    A softmax weighs the `chunk_size` positions that end where a step stops,
    by scores of their own (MoChA).

    Masking: as in `MonotonicAttention`.

    Args:
        chunk_size: int > 0, in tokens. Default: 2.
        chunk_score: as `score`, for the softmax. Default: "additive".
        score, units, mode, inference_mode, sigmoid_noise, score_bias_init:
            as in `MonotonicAttention`.

    Call arguments, Returns: as in `MonotonicAttention`.

    Example:

    >>> import keras_s2s as s2s
    >>> attention = s2s.layers.MonotonicChunkwiseAttention(chunk_size=4)
    >>> decoder = s2s.layers.RNNDecoder(30, 8, 16, attention=attention)

    Source: Chiu and Raffel, 2018, eq. 12 to 20,
    https://arxiv.org/abs/1712.05382
    """

    def __init__(
        self, chunk_size: int = 2, chunk_score: Any = "additive", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("chunk_size", chunk_size)
        self.chunk_size = chunk_size
        self.chunk_score = read_score("chunk_score", chunk_score)

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        super().build_weights(query_dim, value_dim)
        self.chunk_scorer = self.make_scorer(
            self.chunk_score, query_dim, value_dim
        )

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        chunk = self.chunk_scorer.prepare(value, mask)
        return {**super().prepare(value, mask), "chunk": chunk}

    def weigh_stops(
        self, stops: Tensor, query: Tensor, prepared: dict[str, Tensor]
    ) -> Tensor:
        scores = self.exact_scores(self.chunk_scorer, query, prepared["chunk"])
        places = ops.arange(ops.shape(scores)[-1])
        behind = ops.expand_dims(places, 1) - places
        within = ops.logical_and(behind >= 0, behind < self.chunk_size)
        # (S, S) and (B, 1, 1, S): a row for each position to stop at.
        mask = ops.expand_dims(prepared["mask"], (1, 2))
        mask = ops.logical_and(mask, within)
        shares = masking.masked_softmax(ops.expand_dims(scores, 2), mask)
        return ops.squeeze(ops.matmul(ops.expand_dims(stops, 2), shares), 2)

    def get_config(self) -> dict[str, Any]:
        config = {
            "chunk_size": self.chunk_size,
            "chunk_score": write_score(self.chunk_score),
        }
        return {**super().get_config(), **config}


def stop(scores: Tensor, before: Tensor, mode: str) -> Tensor:
    """Returns where a step stops that starts where another has stopped.

    Args:
        scores: float `(B, K, S)`. Log-odds to stop at each position.
        before: float `(B, K, S)`. The probabilities that the step before
            stopped at each.
        mode: str. As in `MonotonicAttention`.

    Returns:
        Float `(B, K, S)`, the probabilities of this step.

    Source: Raffel et al., 2017, eq. 8 (recursive), 10 (parallel) and
    Algorithm 1 (hard), https://arxiv.org/abs/1704.00784
    """
    if mode == "hard":
        chosen = ops.cast(scores > 0, before.dtype) * ops.cumsum(before, -1)
        is_first = _sum_before(chosen) < 0.5
        return chosen * ops.cast(is_first, chosen.dtype)
    # log(1 - p) is never that of 0, however near 1 p is.
    passed = _sum_before(-ops.softplus(scores))
    if mode == "parallel":
        share = ops.exp(passed)
        arrived = share * ops.cumsum(
            before / ops.clip(share, SMALLEST, 1.0), -1
        )
    else:
        # The products of 1 - p from each position to each behind it.
        gaps = ops.expand_dims(passed, -2) - ops.expand_dims(passed, -1)
        places = ops.arange(ops.shape(scores)[-1])
        is_ahead = ops.expand_dims(places, 1) <= places
        # Where it is not, a gap is above 0, and its power might be infinite.
        gaps = ops.where(is_ahead, gaps, masking.MASKED_SCORE)
        arrived = ops.squeeze(
            ops.matmul(ops.expand_dims(before, -2), ops.exp(gaps)), -2
        )
    return ops.sigmoid(scores) * arrived


def _sum_before(values: Tensor) -> Tensor:
    """The sum of all values before each, along the last axis."""
    sums = ops.cumsum(values, -1)[..., :-1]
    return ops.pad(sums, [(0, 0)] * (len(values.shape) - 1) + [(1, 0)])
