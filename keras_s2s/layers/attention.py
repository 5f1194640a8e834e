"""Attention of queries over a memory."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.recurrence import linear

Tensor: TypeAlias = Any


class Attention(keras.layers.Layer):
    """What every attention layer is made of, and what users subclass.

    `prepare` does once for a memory all that no query changes; `attend`
    does the rest. A subclass writes `prepare`, `attend` and `build_weights`.

    Masking: weights are exactly 0 where `mask` is False.

    Call arguments:
        query: float `(B, T, Q)`.
        value: float `(B, S, D)`. The memory.
        mask: bool `(B, S)` or None. True where the memory is real.

    Returns:
        context: float `(B, T, D)`. The weighted sum of the memory.
        weights: float `(B, T, S)`, in [0, 1], summing to 1 over S.
    """

    # The entries of what `prepare` returns that `attend` uses in no other
    # way than as the weights of `linear`: their gradients are deferred.
    linear_entries: tuple[str, ...] = ()

    def build(self, query_shape: tuple, value_shape: tuple) -> None:
        self.build_weights(query_shape[-1], value_shape[-1])

    def call(
        self, query: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if mask is None:
            mask = ops.ones(ops.shape(value)[:2], "bool")
        return self.attend(query, self.prepare(value, mask))

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        """Makes the weights from the sizes of queries and memory."""

    def context_dim(self, query_dim: int, value_dim: int) -> int:
        """Returns the size of the context. Default: that of the memory."""
        return value_dim

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Float `(B, S, D)`, bool `(B, S)` -> dict of tensors `(B, ...)`."""
        raise NotImplementedError

    def attend(
        self, query: Tensor, prepared: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Float `(B, T, Q)` -> context `(B, T, D)`, weights `(B, T, S)`."""
        raise NotImplementedError


def weigh(scores: Tensor, prepared: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Scores `(B, T, S)` -> context `(B, T, D)`, weights `(B, T, S)`."""
    mask = ops.expand_dims(prepared["mask"], 1)
    weights = masking.masked_softmax(scores, mask)
    return linear(weights, prepared["value"]), weights


@keras.saving.register_keras_serializable(package="keras_s2s")
class AdditiveAttention(Attention):
    """Scores by a small network: `v . tanh(W query + U value)`.

    With `normalize`, `g v / |v| . tanh(W query + U value + b)`.

    Args:
        units: int > 0. Size of the network's hidden layer.
        normalize: bool. Weight-normalises `v`, and adds a bias.
            Default: False.

    Call arguments, Returns: as in `Attention`.

    Source: Bahdanau et al., 2015, A.1.2, https://arxiv.org/abs/1409.0473;
    normalised: Salimans and Kingma, 2016, https://arxiv.org/abs/1602.07868
    """

    linear_entries = ("value",)

    def __init__(
        self, units: int, normalize: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("units", units)
        self.units = units
        self.normalize = normalize

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        self.query_kernel = self.add_weight(
            shape=(query_dim, self.units), name="query_kernel"
        )
        self.value_kernel = self.add_weight(
            shape=(value_dim, self.units), name="value_kernel"
        )
        self.score_vector = self.add_weight(
            shape=(self.units,),
            initializer=keras.initializers.VarianceScaling(
                1.0, "fan_in", "uniform"
            ),
            name="score_vector",
        )
        if self.normalize:
            self.scale = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(self.units**-0.5),
                name="scale",
            )
            self.bias = self.add_weight(
                shape=(self.units,), initializer="zeros", name="bias"
            )

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        keys = linear(value, self.value_kernel)
        if self.normalize:
            keys = keys + ops.cast(self.bias, keys.dtype)
        return {"keys": keys, "value": value, "mask": mask}

    def attend(
        self, query: Tensor, prepared: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        query = ops.expand_dims(linear(query, self.query_kernel), 2)
        # (B, T, 1, A) + (B, 1, S, A)
        hidden = ops.tanh(query + ops.expand_dims(prepared["keys"], 1))
        vector = ops.cast(self.score_vector, hidden.dtype)
        if self.normalize:
            scale = ops.cast(self.scale, hidden.dtype)
            vector = vector * (scale * ops.rsqrt(ops.sum(vector * vector)))
        scores = linear(hidden, ops.expand_dims(vector, 1))
        return weigh(ops.squeeze(scores, -1), prepared)

    def get_config(self) -> dict[str, Any]:
        config = {"units": self.units, "normalize": self.normalize}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class MultiplicativeAttention(Attention):
    """Scores by a product of query and memory.

    "dot": `query . value`, of one size; "general": `query . W value`;
    "scaled": `g query . W value` with a learned g that starts at
    1 / sqrt(Q), so that the scores of random vectors start with variance 1.

    Args:
        score: str. "dot", "general" or "scaled". Default: "general".

    Call arguments, Returns: as in `Attention`.

    Raises:
        ValueError: `score` is "dot" and the sizes differ.

    Source: Luong et al., 2015, section 3.1, https://arxiv.org/abs/1508.04025
    """

    linear_entries = ("keys", "value")

    def __init__(self, score: str = "general", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.check_option("score", score, ("dot", "general", "scaled"))
        self.score = score

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        if self.score == "dot":
            if query_dim != value_dim:
                checks.fail(
                    "score",
                    f"'general' or 'scaled' where the query (size {query_dim})"
                    f" and the memory (size {value_dim}) differ",
                    self.score,
                )
            return
        self.value_kernel = self.add_weight(
            shape=(value_dim, query_dim), name="value_kernel"
        )
        if self.score == "scaled":
            self.scale = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(query_dim**-0.5),
                name="scale",
            )

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        keys = value
        if self.score != "dot":
            keys = linear(value, self.value_kernel)
        if self.score == "scaled":
            keys = keys * ops.cast(self.scale, keys.dtype)
        # (B, S, Q) -> (B, Q, S), once instead of at each step.
        keys = ops.transpose(keys, (0, 2, 1))
        return {"keys": keys, "value": value, "mask": mask}

    def attend(
        self, query: Tensor, prepared: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return weigh(linear(query, prepared["keys"]), prepared)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": self.score}


def make_attention(name: Any, units: int, **kwargs: Any) -> Attention | None:
    """Makes an attention layer from its name; a layer or None stays."""
    if name is None or isinstance(name, Attention):
        return name
    scores = {"multiplicative": "general"}
    options = ("additive", "multiplicative", "dot", "general", "scaled")
    checks.check_option("attention", name, (None, *options))
    if name == "additive":
        return AdditiveAttention(units, **kwargs)
    return MultiplicativeAttention(scores.get(name, name), **kwargs)
