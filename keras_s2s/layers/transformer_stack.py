"""The layers of a Transformer, one upon the other."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.feed_forward import FeedForward
from keras_s2s.layers.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.multi_head_attention import SelfAttention
from keras_s2s.layers.normalization import NORMALIZATIONS
from keras_s2s.layers.normalization import make_norm
from keras_s2s.layers.rows import AllRows
from keras_s2s.layers.rows import Rows

Tensor: TypeAlias = Any


def check_embedding_dim(size: int, num_heads: int, kind: str | None) -> None:
    """Refuses a size that heads cannot share; `kind` is of the positions."""
    checks.check_positive("embedding_dim", size)
    checks.check_positive("num_heads", num_heads)
    rule = f"a multiple of `num_heads`, {num_heads}"
    if size % num_heads:
        checks.fail("embedding_dim", rule, size)
    if kind == "rotary" and size // num_heads % 2:
        rule = f"an even multiple of `num_heads`, {num_heads}, with rotary "
        checks.fail("embedding_dim", f"{rule}positions", size)


@keras.saving.register_keras_serializable(package="keras_s2s")
class TransformerLayer(keras.layers.Layer):
    """Self-attention, attention of a memory or none, and a feed-forward.

    Its parts are run by their `call`: what travels between them, functions
    and float32 biases, is nothing that Keras should cast or convert.

    Args:
        stack: `TransformerStack` whose options count.

    Call arguments:
        inputs: float `(N, D)`.
        attend_self: callable. Float `(N, D)` -> the same and whatever.
        context: dict of the memory's keys and values, or None.
        rows: Rows, the N positions of the grid (B, T).
        training: bool or None. Whether dropout acts.

    Returns:
        Float `(N, D)`, what else `attend_self` returned, and the weights
        of the memory, `(B, T, S)` or None.
    """

    def __init__(self, stack: "TransformerStack", **kwargs: Any) -> None:
        super().__init__(dtype=stack.dtype_policy, **kwargs)
        self.normalize_first = stack.normalize_first
        self.normalization = stack.normalization
        self.attends_memory = stack.attends_memory
        policy = self.dtype_policy
        heads = {
            "num_heads": stack.num_heads,
            "num_kv_heads": stack.num_kv_heads,
            "dropout": stack.attention_dropout,
            "dtype": policy,
        }
        self.self_attention = SelfAttention(
            rotary=stack.positions == "rotary", name="self_attention", **heads
        )
        if self.attends_memory:
            self.memory_attention = MultiHeadAttention(
                name="memory_attention", **heads
            )
        self.feed_forward = FeedForward(
            stack.hidden_dim,
            stack.activation,
            stack.hidden_dropout,
            dtype=policy,
            name="feed_forward",
        )
        self.dropout_layer = Dropout(stack.dropout, dtype=policy)

    def build(self, input_shape: tuple, memory_dim: int | None = None) -> None:
        size = input_shape[-1]
        norm = {"kind": self.normalization, "size": size}
        norm["dtype"] = self.dtype_policy
        self.self_norm = make_norm(name="self_norm", **norm)
        self.self_attention.build(input_shape)
        if self.attends_memory:
            self.memory_norm = make_norm(name="memory_norm", **norm)
            self.memory_attention.build((size,), (memory_dim,))
        self.feed_forward_norm = make_norm(name="feed_forward_norm", **norm)
        self.feed_forward.build(input_shape)

    def call(
        self,
        inputs: Tensor,
        attend_self: Callable,
        context: dict | None,
        rows: Rows,
        training: bool | None = None,
    ) -> tuple[Tensor, Any, Tensor | None]:
        def attend_memory(x: Tensor) -> tuple:
            return self.memory_attention.attend_rows(x, rows, context, training)

        def feed(x: Tensor) -> tuple:
            return self.feed_forward.call(x, training), None

        x, written = self._add(self.self_norm, attend_self, inputs, training)
        weights = None
        if self.attends_memory:
            x, weights = self._add(self.memory_norm, attend_memory, x, training)
        x, _ = self._add(self.feed_forward_norm, feed, x, training)
        return x, written, weights

    def _add(
        self, norm: Callable, function: Callable, x: Tensor, training: Any
    ) -> tuple[Tensor, Any]:
        """A residual connection around `function` and its normalization."""
        if self.normalize_first:
            change, other = function(norm(x))
            return x + self.dropout_layer(change, training=training), other
        change, other = function(x)
        return norm(x + self.dropout_layer(change, training=training)), other


class TransformerStack(keras.layers.Layer):
    """All layers of an encoder or of a decoder.

    Args:
        hidden_dim, num_layers, num_heads, ...: as in `TransformerEncoder`.
        attends_memory: bool. Whether there is a memory to attend, as in a
            decoder.

    Call arguments:
        inputs: float `(B, T, D)`.
        rows: Rows, the positions of the grid (B, T) to compute.
        bias: float that broadcasts to `(B, H, T, T)`.
        contexts: list of what `prepare` returned for each layer, or None.
        training: bool or None. Whether dropout acts.

    Returns:
        Float `(B, T, D)`, and the weights of the memory in the last layer,
        `(B, T, S)` or None. Where `rows` has no position they have no meaning.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        attention_dropout: float,
        hidden_dropout: float,
        num_kv_heads: int | None,
        activation: str,
        normalization: str,
        normalize_first: bool,
        positions: str | None,
        attends_memory: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("num_layers", num_layers)
        checks.check_option("normalization", normalization, NORMALIZATIONS)
        checks.check_rate("dropout", dropout)
        checks.check_rate("attention_dropout", attention_dropout)
        checks.check_rate("hidden_dropout", hidden_dropout)
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.hidden_dropout = hidden_dropout
        self.num_kv_heads = num_kv_heads
        self.activation = activation
        self.normalization = normalization
        self.normalize_first = normalize_first
        self.positions = positions
        self.attends_memory = attends_memory
        self.layers = [
            TransformerLayer(self, name=f"layer_{number}")
            for number in range(num_layers)
        ]

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that encoder and decoder hand on, for their config."""
        return {
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "hidden_dropout": self.hidden_dropout,
            "num_kv_heads": self.num_kv_heads,
            "activation": self.activation,
            "normalization": self.normalization,
            "normalize_first": self.normalize_first,
            "positions": self.positions,
        }

    def build(self, input_shape: tuple, memory_dim: int | None = None) -> None:
        size = input_shape[-1]
        for layer in self.layers:
            layer.build((None, size), memory_dim)
        self.last_norm = None
        if self.normalize_first:
            self.last_norm = make_norm(
                self.normalization,
                size,
                dtype=self.dtype_policy,
                name="last_norm",
            )

    def call(
        self,
        inputs: Tensor,
        rows: Rows,
        bias: Tensor,
        contexts: list | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        x, weights, _ = self.read(inputs, rows, bias, contexts, training)
        return x, weights

    def read(
        self,
        inputs: Tensor,
        rows: Rows,
        bias: Tensor,
        contexts: list | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor | None, list[dict]]:
        """As `call`, and each layer's own `key` and `value`."""
        x, weights, written = rows.pack(inputs), None, []
        for number, layer in enumerate(self.layers):

            def attend_self(x: Tensor, layer: Any = layer) -> tuple:
                return layer.self_attention.read(x, rows, bias, training)

            context = contexts[number] if contexts else None
            x, own, weights = layer.call(
                x, attend_self, context, rows, training
            )
            written.append(own)
        return rows.unpack(self._finish(x)), weights, written

    def prepare(self, outputs: Tensor, mask: Tensor) -> list[dict]:
        """Keys and values of a memory, for each layer."""
        return [
            layer.memory_attention.prepare(outputs, mask)
            for layer in self.layers
        ]

    def initial_cache(self, rows: Any, *sizes: Any) -> list[dict]:
        """Empty caches, as `SelfAttention` makes them, for each layer."""
        return [
            layer.self_attention.initial_cache(rows, *sizes)
            for layer in self.layers
        ]

    def step(
        self,
        inputs: Tensor,
        bias: Tensor,
        cache: list[dict],
        contexts: list[dict],
        position: Tensor,
        compiled: bool = False,
    ) -> tuple[Tensor, list[dict], Tensor | None]:
        """One position of K beams, `(B, K, D)`.

        `contexts` are of the memory, or where none is attended, of what
        stands before all beams, as in `SelfAttention.step`. Returns the
        features, the caches, and the weights of the memory in the last
        layer, `(B, K, S)` or None.
        """
        rows = AllRows(ops.shape(inputs)[:2])
        x = rows.pack(inputs)
        written, weights = [], None
        for layer, past, context in zip(self.layers, cache, contexts):
            before = None if self.attends_memory else context

            def attend_self(
                x: Tensor,
                layer: Any = layer,
                past: dict = past,
                before: dict | None = before,
            ) -> tuple:
                return layer.self_attention.step(
                    x, rows, bias, past, position, compiled, before
                )

            x, after, weights = layer.call(x, attend_self, context, rows, False)
            written.append(after)
        return rows.unpack(self._finish(x)), written, weights

    def _finish(self, x: Tensor) -> Tensor:
        return x if self.last_norm is None else self.last_norm(x)
