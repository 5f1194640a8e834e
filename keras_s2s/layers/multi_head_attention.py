"""Attention with several heads: of a memory, and of a target by itself."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.attention import Attention
from keras_s2s.layers.dense import Dense
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.heads import attend_after
from keras_s2s.layers.heads import attend_fused
from keras_s2s.layers.heads import attend_heads
from keras_s2s.layers.heads import mask_bias
from keras_s2s.layers.heads import merge_heads
from keras_s2s.layers.heads import split_heads
from keras_s2s.layers.heads import transpose_keys
from keras_s2s.layers.positions import rotate
from keras_s2s.layers.rows import AllRows
from keras_s2s.layers.rows import Rows
from keras_s2s.recurrence import FUSES_ATTENTION
from keras_s2s.recurrence import allocate
from keras_s2s.recurrence import write_slice

Tensor: TypeAlias = Any


class Heads(keras.layers.Layer):
    """What attention layers with several heads share: sizes and dropout.

    Args:
        num_heads: int > 0. H.
        num_kv_heads: int > 0 or None. How many heads keys and values have,
            G, a divisor of H. Default: H.
        dropout: float in [0, 1). Share of the weights that is set to 0.
            Default: 0.0.
    """

    def __init__(
        self,
        num_heads: int,
        num_kv_heads: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("num_heads", num_heads)
        groups = num_heads if num_kv_heads is None else num_kv_heads
        checks.check_positive("num_kv_heads", groups)
        if num_heads % groups:
            rule = f"a divisor of `num_heads`, {num_heads}"
            checks.fail("num_kv_heads", rule, num_kv_heads)
        checks.check_rate("dropout", dropout)
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.dropout = dropout
        self.groups = groups
        self.dropout_layer = Dropout(dropout, dtype=self.dtype_policy)

    def dense(self, size: int, input_dim: int, name: str) -> Dense:
        """Returns a built projection."""
        dense = Dense(size, dtype=self.dtype_policy, name=name)
        dense.build((None, input_dim))
        return dense

    def set_head_dim(self, size: int) -> None:
        """Sets the size of a head, d, of a query of `size`."""
        if size % self.num_heads:
            rule = f"a divisor of the size of the query, {size}"
            checks.fail("num_heads", rule, self.num_heads)
        self.head_dim = size // self.num_heads

    def get_config(self) -> dict[str, Any]:
        config = {
            "num_heads": self.num_heads,
            "num_kv_heads": self.num_kv_heads,
            "dropout": self.dropout,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class MultiHeadAttention(Heads, Attention):
    """Attention of a memory with several heads.

    Each head compares its own part of the query with its own part of the
    keys; what they find is put side by side and projected once more.

    Masking: weights are exactly 0 where `mask` is False.

    Args:
        num_heads: int > 0. H, a divisor of the size of the query.
        num_kv_heads: int > 0 or None. How many heads keys and values have,
            a divisor of H. Default: H.
        dropout: float in [0, 1). Share of the weights that is set to 0 in
            training. Default: 0.0.

    Call arguments:
        query: float `(B, T, Q)`.
        value: float `(B, S, D)`. The memory.
        mask: bool `(B, S)` or None. True where the memory is real.
        training: bool or None. Whether dropout acts.

    Returns:
        context: float `(B, T, Q)`.
        weights: float `(B, T, S)`, in [0, 1], the mean over the heads.

    Raises:
        ValueError: a number is not positive, or no divisor as stated.

    Source: Vaswani et al., 2017, 3.2.2, https://arxiv.org/abs/1706.03762
    """

    def call(
        self,
        query: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        if mask is None:
            mask = ops.ones(ops.shape(value)[:2], "bool")
        return self.attend(query, self.prepare(value, mask), training)

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        self.set_head_dim(query_dim)
        width = 2 * self.groups * self.head_dim
        self.query_dense = self.dense(query_dim, query_dim, "query")
        self.memory_dense = self.dense(width, value_dim, "key_value")
        self.output_dense = self.dense(query_dim, query_dim, "output")

    def context_dim(self, query_dim: int, value_dim: int) -> int:
        """Returns the size of the context: that of the query."""
        return query_dim

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
        rows, length, size = ops.shape(value)
        flat = self.memory_dense(ops.reshape(value, (rows * length, size)))
        both = ops.reshape(flat, (rows, length, flat.shape[-1]))
        both = split_heads(both, 2 * self.groups)
        key, value = ops.split(both, 2, axis=1)
        bias = mask_bias(ops.reshape(mask, (rows, 1, 1, length)), value.dtype)
        key = transpose_keys(key)
        return {"key": key, "value": value, "bias": bias}

    def attend(
        self,
        query: Tensor,
        prepared: dict[str, Tensor],
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        rows = AllRows(ops.shape(query)[:2])
        context, weights = self.attend_rows(
            rows.pack(query), rows, prepared, training
        )
        return rows.unpack(context), weights

    def attend_rows(
        self,
        query: Tensor,
        rows: Rows,
        prepared: dict[str, Tensor],
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `attend`, for `(N, Q)`, the positions that `rows` has."""
        query = rows.unpack(self.query_dense(query))
        context, weights = attend_heads(
            split_heads(query, self.num_heads),
            prepared["key"],
            prepared["value"],
            prepared["bias"],
            lambda x: self.dropout_layer(x, training=training),
        )
        context = rows.pack(merge_heads(context))
        return self.output_dense(context), ops.mean(weights, axis=1)


@keras.saving.register_keras_serializable(package="keras_s2s")
class SelfAttention(Heads):
    """Attention of a sequence by itself, whole or step by step.

    Args:
        num_heads, num_kv_heads, dropout: as in `MultiHeadAttention`.
        rotary: bool. Turns queries and keys by their positions.
            Default: False.

    Call arguments:
        inputs: float `(N, D)`.
        rows: Rows, the N positions of the grid (B, T).
        bias: float that broadcasts to `(B, H, T, T)`, added to the scores.
        training: bool or None. Whether dropout acts.

    Returns:
        Float `(N, D)`.

    Source: Vaswani et al., 2017, 3.2, https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        num_heads: int,
        num_kv_heads: int | None = None,
        dropout: float = 0.0,
        rotary: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, num_kv_heads, dropout, **kwargs)
        self.rotary = rotary

    def build(self, input_shape: tuple) -> None:
        size = input_shape[-1]
        self.set_head_dim(size)
        width = (self.num_heads + 2 * self.groups) * self.head_dim
        self.input_dense = self.dense(width, size, "query_key_value")
        self.output_dense = self.dense(size, size, "output")

    def call(
        self,
        inputs: Tensor,
        rows: Rows,
        bias: Tensor,
        training: bool | None = None,
    ) -> Tensor:
        return self.read(inputs, rows, bias, training)[0]

    def read(
        self,
        inputs: Tensor,
        rows: Rows,
        bias: Tensor,
        training: bool | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `call`, and the `key` and `value`, `(B, G, T, d)`."""
        positions = ops.arange(rows.grid[1], dtype="int32")
        query, key, value = self._project(inputs, rows, positions)
        if FUSES_ATTENTION and not (training and self.dropout):
            context = attend_fused(query, key, value, bias)
        else:
            context, _ = attend_heads(
                query,
                transpose_keys(key),
                value,
                bias,
                lambda x: self.dropout_layer(x, training=training),
            )
        outputs = self.output_dense(rows.pack(merge_heads(context)))
        return outputs, {"key": key, "value": value}

    def initial_cache(
        self,
        rows: Any,
        beam_size: int,
        max_length: int,
        compiled: bool = False,
    ) -> dict[str, Tensor]:
        """Returns keys and values `(B, G, T, K, d)`, nothing written yet."""
        shape = (rows, self.groups, max_length, beam_size, self.head_dim)
        return {
            name: allocate(shape, self.compute_dtype, compiled)
            for name in ("key", "value")
        }

    def step(
        self,
        inputs: Tensor,
        rows: AllRows,
        bias: Tensor,
        cache: dict[str, Tensor],
        position: Tensor,
        compiled: bool = False,
        before: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One position of K beams.

        Args:
            inputs: float `(B * K, D)`.
            rows: AllRows of the grid (B, K).
            bias: float `(B, 1, K, T * K)`: 0 where a beam sees what a beam
                wrote at a time, else so low that it does not.
            cache: dict, from the step before.
            position: int32 scalar.
            compiled: bool. Whether XLA compiles it. Default: False.
            before: dict or None. What all beams have before them: `key`,
                `value` and `bias` as in `attend_after`, and `length`, int32
                `(B, 1)`. Default: None, nothing.

        Returns:
            Float `(B * K, D)`, and the cache with what this step wrote.
        """
        positions = ops.expand_dims(position, 0)
        if before is not None:
            positions = ops.expand_dims(before["length"] + positions, 1)
        query, key, value = self._project(inputs, rows, positions)
        cache = {
            "key": write_slice(cache["key"], position, key, compiled),
            "value": write_slice(cache["value"], position, value, compiled),
        }
        # (B, G, T, K, d) -> (B, G, T * K, d)
        shape = (rows.grid[0], self.groups, -1, self.head_dim)
        key, value = (
            ops.reshape(cache[name], shape) for name in ("key", "value")
        )
        key = transpose_keys(key)
        if before is None:
            context, _ = attend_heads(query, key, value, bias)
        else:
            context = attend_after(query, before, key, value, bias)
        return self.output_dense(rows.pack(merge_heads(context))), cache

    def _project(
        self, inputs: Tensor, rows: Rows, positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Float `(N, D)` -> `(B, H, T, d)`, twice `(B, G, T, d)`."""
        values = rows.unpack(self.input_dense(inputs))
        values = split_heads(values, self.num_heads + 2 * self.groups)
        turned = self.num_heads + self.groups
        if self.rotary:
            values = ops.concatenate(
                [rotate(values[:, :turned], positions), values[:, turned:]],
                axis=1,
            )
        return ops.split(values, [self.num_heads, turned], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rotary": self.rotary}
