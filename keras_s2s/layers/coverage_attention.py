"""Attention that knows where it has looked before."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.attention import AdditiveAttention
from keras_s2s.layers.attention import weigh

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class CoverageAttention(AdditiveAttention):
    """Additive attention that sees the sum of its weights so far.

    Scores are `v . tanh(W query + U value + w coverage + b)`, where the
    coverage of a position is the sum of its weights in all steps before. The
    coverage loss of a step, the sum over the source of the smaller of weight
    and coverage, is what it costs to look again where it looked before.

    Masking: weights are exactly 0 where `mask` is False, and padding of the
    target has no part in the loss.

    Args:
        units: int > 0. Size of the network's hidden layer.
        normalize: bool. As in `AdditiveAttention`. Default: False.
        coverage_loss_weight: float >= 0. In training, a decoder adds this
            times the mean coverage loss of its real tokens to its loss.
            Default: 0.0.

    Call arguments, Returns: as in `Attention`; queries are attended in their
    order.

    Example:

    >>> import keras_s2s as s2s
    >>> attention = s2s.layers.CoverageAttention(16, coverage_loss_weight=1.0)
    >>> decoder = s2s.layers.RNNDecoder(30, 8, 16, attention=attention)

    Source: See et al., 2017, eq. 10 to 13, https://arxiv.org/abs/1704.04368
    """

    is_stateful = True

    def __init__(
        self,
        units: int,
        normalize: bool = False,
        coverage_loss_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, normalize, **kwargs)
        checks.check_number("coverage_loss_weight", coverage_loss_weight, 0.0)
        self.coverage_loss_weight = coverage_loss_weight
        self.has_bias = True
        self.has_loss = coverage_loss_weight > 0

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        super().build_weights(query_dim, value_dim)
        self.coverage_vector = self.add_weight(
            shape=(self.units,),
            initializer=keras.initializers.VarianceScaling(
                1.0, "fan_in", "uniform"
            ),
            name="coverage_vector",
        )

    def initial_state(
        self, value: Tensor, mask: Tensor, beam_size: int
    ) -> dict[str, Tensor]:
        # A sum over many steps.
        shape = (ops.shape(mask)[0], beam_size, ops.shape(mask)[1])
        return {"coverage": ops.zeros(shape, self.exact_dtype)}

    def attend_step(
        self,
        query: Tensor,
        prepared: dict[str, Tensor],
        state: dict[str, Tensor],
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        coverage = state["coverage"]
        vector = ops.cast(self.coverage_vector, coverage.dtype)
        feature = ops.expand_dims(coverage, -1) * vector
        scores = self.scores(query, prepared, feature)
        context, weights = weigh(scores, prepared)
        coverage = coverage + ops.cast(weights, coverage.dtype)
        return context, weights, {"coverage": coverage}

    def weights_loss(self, weights: Tensor, mask: Tensor) -> Tensor:
        """The mean coverage loss of the real tokens, times its weight."""
        losses = coverage_losses(weights)
        real = ops.cast(mask, losses.dtype)
        mean = ops.divide_no_nan(ops.sum(losses * real), ops.sum(real))
        return self.coverage_loss_weight * mean

    def get_config(self) -> dict[str, Any]:
        config = {"coverage_loss_weight": self.coverage_loss_weight}
        return {**super().get_config(), **config}


def coverage_losses(weights: Tensor) -> Tensor:
    """Weights `(B, T, S)` -> the coverage loss of each step, `(B, T)`.

    Source: See et al., 2017, eq. 12, https://arxiv.org/abs/1704.04368
    """
    dtype = keras.backend.standardize_dtype(weights.dtype)
    weights = ops.cast(weights, keras.backend.result_type(dtype, "float32"))
    sums = ops.cumsum(weights, axis=1)
    coverage = ops.pad(sums[:, :-1], ((0, 0), (1, 0), (0, 0)))
    return ops.sum(ops.minimum(weights, coverage), axis=-1)
