"""Attention of queries over a memory."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.recurrence import linear
from keras_s2s.recurrence import scan
from keras_s2s.recurrence import softmax

Tensor: TypeAlias = Any


class Attention(keras.layers.Layer):
    """What every attention layer is made of, and what users subclass.

    `prepare` does once for a memory all that no query changes; `attend`
    does the rest. A subclass writes `prepare`, `build_weights` and either
    `attend` or only `scores`, which a softmax makes into weights.

    Where a step reads what the steps before it left, `is_stateful` is True,
    and a subclass writes `initial_state` and `attend_step` instead of
    `attend`: queries are then attended in their order, one after the other.

    Masking: weights are exactly 0 where `mask` is False.

    Call arguments:
        query: float `(B, T, Q)`.
        value: float `(B, S, D)`. The memory.
        mask: bool `(B, S)` or None. True where the memory is real.
        training: bool or None. Whether noise is drawn, where there is any.

    Returns:
        context: float `(B, T, D)`. The weighted sum of the memory.
        weights: float `(B, T, S)`, in [0, 1], summing to 1 over S.
    """

    # The entries of what `prepare` returns that `attend` uses in no other
    # way than as the weights of `linear`: their gradients are deferred. With
    # `value` among them and the `attend` of here, a decoder may multiply it by
    # a matrix, once, in place of each context: see `sums_value`.
    linear_entries: tuple[str, ...] = ()
    is_stateful: bool = False
    # Whether training adds `weights_loss` to the loss of a decoder.
    has_loss: bool = False

    def build(self, query_shape: tuple, value_shape: tuple) -> None:
        self.build_weights(query_shape[-1], value_shape[-1])

    def call(
        self,
        query: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        if mask is None:
            mask = ops.ones(ops.shape(value)[:2], "bool")
        prepared = self.prepare(value, mask)
        if not self.is_stateful:
            return self.attend(query, prepared)
        state = self.initial_state(value, mask, 1)
        noise = self.draw_noise(query, mask, training)
        return self._attend_in_order(query, prepared, state, noise)

    @property
    def sums_value(self) -> bool:
        """Whether a context is nothing but the sum of the prepared
        `value`, by weights that sum to 1 and do not depend on it."""
        kept = (Attention.attend, Attention.attend_step)
        return "value" in self.linear_entries and kept == (
            type(self).attend,
            type(self).attend_step,
        )

    @property
    def exact_dtype(self) -> str:
        """The compute dtype, float32 at least."""
        return keras.backend.result_type(self.compute_dtype, "float32")

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        """Makes the weights from the sizes of queries and memory."""

    def context_dim(self, query_dim: int, value_dim: int) -> int:
        """Returns the size of the context. Default: that of the memory."""
        return value_dim

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Float `(B, S, D)`, bool `(B, S)` -> dict of tensors `(B, ...)`."""
        raise NotImplementedError

    def scores(self, query: Tensor, prepared: dict[str, Tensor]) -> Tensor:
        """Float `(B, T, Q)` -> what a softmax makes weights of, `(B, T, S)`."""
        raise NotImplementedError

    def attend(
        self, query: Tensor, prepared: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Float `(B, T, Q)` -> context `(B, T, D)`, weights `(B, T, S)`."""
        return weigh(self.scores(query, prepared), prepared)

    def initial_state(
        self, value: Tensor, mask: Tensor, beam_size: int
    ) -> dict[str, Tensor]:
        """Returns what the first step reads: dict of float `(B, K, ...)`."""
        return {}

    def attend_step(
        self,
        query: Tensor,
        prepared: dict[str, Tensor],
        state: dict[str, Tensor],
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """One step of K hypotheses.

        Args:
            query: float `(B, K, Q)`.
            prepared: dict, from `prepare`.
            state: dict, from the step before.
            noise: float `(B, K, S)`, this step's part of `draw_noise`.

        Returns:
            Context `(B, K, D)`, weights `(B, K, S)` and the next state.
        """
        return *self.attend(query, prepared), state

    def draw_noise(
        self, like: Tensor, mask: Tensor, training: bool | None
    ) -> Tensor | None:
        """Returns the noise of all steps, or None: always outside training.

        It is drawn before their loop, which runs each step twice.

        Args:
            like: float `(..., D)`. A value for each query.
            mask: bool `(B, S)`. The memory's.
            training: bool or None.

        Returns:
            Float `(..., S)` or None.
        """
        return None

    def weights_loss(self, weights: Tensor, mask: Tensor) -> Tensor:
        """A loss of the weights of a whole target, where `has_loss`.

        Args:
            weights: float `(B, T, S)`, 0 on padding.
            mask: bool `(B, T)`. True where the target is real.

        Returns:
            Float scalar.
        """
        raise NotImplementedError

    def scan_options(self, prepared: dict, layers: Any = ()) -> dict[str, Any]:
        """What a scan is told of this layer and of others in its step."""
        return {
            "constants": prepared,
            "deferred": [prepared[key] for key in self.linear_entries],
            "variables": [
                v for layer in [self, *layers] for v in layer.variables
            ],
        }

    def _attend_in_order(
        self, query: Tensor, prepared: dict, state: dict, noise: Any
    ) -> tuple[Tensor, Tensor]:
        inputs = {"query": query}
        if noise is not None:
            inputs["noise"] = noise
        # (B, T, Q) -> (T, B, 1, Q)
        inputs = keras.tree.map_structure(
            lambda x: ops.expand_dims(ops.swapaxes(x, 0, 1), 2), inputs
        )

        def step(state: dict, inputs: dict, prepared: dict) -> tuple:
            *outputs, state = self.attend_step(
                inputs["query"], prepared, state, inputs.get("noise")
            )
            return state, outputs

        options = self.scan_options(prepared)
        outputs, _ = scan(step, state, inputs, **options)
        context, weights = (
            ops.swapaxes(ops.squeeze(values, 2), 0, 1) for values in outputs
        )
        return context, weights


def weigh(scores: Tensor, prepared: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Scores `(B, T, S)` -> context `(B, T, D)`, weights `(B, T, S)`."""
    mask = ops.expand_dims(prepared["mask"], 1)
    weights = masking.masked_softmax(scores, mask, softmax)
    weights = ops.cast(weights, prepared["value"].dtype)
    return linear(weights, prepared["value"]), weights


@keras.saving.register_keras_serializable(package="keras_s2s")
class AdditiveAttention(Attention):
    """Scores by a small network: `v . tanh(W query + U value)`.

    With `normalize`, `g v / |v| . tanh(W query + U value + b)`.

    Args:
        units: int > 0. Size of the network's hidden layer.
        normalize: bool. Weight-normalises `v`, and adds a bias.
            Default: False.
        use_bias: bool. Adds a bias without `normalize`, too: legacy_seq2seq
            has one. Default: False.

    Call arguments, Returns: as in `Attention`.

    Source: Bahdanau et al., 2015, A.1.2, https://arxiv.org/abs/1409.0473;
    normalised: Salimans and Kingma, 2016, https://arxiv.org/abs/1602.07868
    """

    linear_entries = ("value",)

    def __init__(
        self,
        units: int,
        normalize: bool = False,
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("units", units)
        self.units = units
        self.normalize = normalize
        self.use_bias = use_bias
        self.has_bias = normalize or use_bias

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
        if self.has_bias:
            self.bias = self.add_weight(
                shape=(self.units,), initializer="zeros", name="bias"
            )

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        keys = linear(value, self.value_kernel)
        if self.has_bias:
            keys = ops.add(keys, ops.cast(self.bias, keys.dtype))
        # On processors halves take twice as long to add and to put through a
        # tanh, and six times as long on the way back.
        keys = ops.cast(keys, self.exact_dtype)
        return {"keys": keys, "value": value, "mask": mask}

    def scores(
        self,
        query: Tensor,
        prepared: dict[str, Tensor],
        feature: Tensor | None = None,
    ) -> Tensor:
        """As in `Attention`, in float32 at least; `feature` `(B, T, S, A)`
        joins query and keys."""
        query = ops.expand_dims(linear(query, self.query_kernel), 2)
        # (B, T, 1, A) + (B, 1, S, A)
        keys = ops.expand_dims(prepared["keys"], 1)
        hidden = ops.cast(query, keys.dtype) + keys
        if feature is not None:
            hidden = hidden + feature
        hidden = ops.tanh(hidden)
        vector = ops.cast(self.score_vector, hidden.dtype)
        if self.normalize:
            scale = ops.cast(self.scale, hidden.dtype)
            vector = vector * (scale * ops.rsqrt(ops.sum(vector * vector)))
        scores = linear(hidden, ops.expand_dims(vector, 1))
        return ops.squeeze(scores, -1)

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "normalize": self.normalize,
            "use_bias": self.use_bias,
        }
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

    def scores(self, query: Tensor, prepared: dict[str, Tensor]) -> Tensor:
        return linear(query, prepared["keys"])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": self.score}


def make_attention(name: Any, units: int, **kwargs: Any) -> Attention | None:
    """Makes an attention layer from its name; a layer or None stays."""
    if name is None or isinstance(name, Attention):
        return name
    options = ("additive", "normalized", "multiplicative")
    options = (*options, "dot", "general", "scaled")
    checks.check_option("attention", name, (None, *options))
    if name in ("additive", "normalized"):
        return AdditiveAttention(units, name == "normalized", **kwargs)
    scores = {"multiplicative": "general"}
    return MultiplicativeAttention(scores.get(name, name), **kwargs)
