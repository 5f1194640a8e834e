"""Scaled dot-product attention over several heads."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.masking import MASKED_SCORE

Tensor: TypeAlias = Any

# The lowest sum with a score that float16 holds; its exponential is 0.
LOWEST_BIAS = -3e4


def mask_bias(mask: Tensor, dtype: str) -> Tensor:
    """Bool -> float of the same shape: what masks scores by a sum.

    A sum is a fraction of the time of a choice.
    """
    dtype = keras.backend.result_type(dtype, "float32")
    return (1.0 - ops.cast(mask, dtype)) * MASKED_SCORE


def causal_bias(length: Tensor, dtype: str) -> Tensor:
    """Returns float `(1, 1, T, T)`: position t sees 0 to t."""
    steps = ops.arange(length, dtype="int32")
    bias = mask_bias(ops.expand_dims(steps, 1) >= steps, dtype)
    return ops.reshape(bias, (1, 1, length, length))


def split_heads(values: Tensor, num_heads: int) -> Tensor:
    """Float `(B, T, H * d)` -> `(B, H, T, d)`."""
    rows, length, size = ops.shape(values)
    values = ops.reshape(values, (rows, length, num_heads, size // num_heads))
    return ops.transpose(values, (0, 2, 1, 3))


def transpose_keys(values: Tensor) -> Tensor:
    """Float `(B, G, S, d)` -> `(B, G, d, S)`."""
    return ops.transpose(values, (0, 1, 3, 2))


def merge_heads(values: Tensor) -> Tensor:
    """Float `(B, H, T, d)` -> `(B, T, H * d)`."""
    rows, heads, length, size = ops.shape(values)
    values = ops.transpose(values, (0, 2, 1, 3))
    return ops.reshape(values, (rows, length, heads * size))


def attend_heads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    drop: Callable | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns, for each head, the weighted sum of its values, and the weights.

    Where there are fewer key heads G than heads H, each serves H / G
    neighbouring ones, as rows of one product: it is never repeated.

    Args:
        query: float `(B, H, T, d)`.
        key: float `(B, G, d, S)`, transposed: a memory's is once for all
            steps, which take less than half the time for it.
        value: float `(B, G, S, d)`.
        bias: float that broadcasts to `(B, H, T, S)`, added to the scores.
        drop: callable or None. What drops weights out.

    Returns:
        Float `(B, H, T, d)` and `(B, H, T, S)`.

    Source: Vaswani et al., 2017, eq. 1, https://arxiv.org/abs/1706.03762;
    Ainslie et al., 2023 (grouped), https://arxiv.org/abs/2305.13245
    """
    weights = _softmax(_score(_scale(query), key), bias)
    dropped = weights if drop is None else drop(weights)
    return _sum(dropped, value), weights


def attend_after(
    query: Tensor,
    before: dict[str, Tensor],
    key: Tensor,
    value: Tensor,
    bias: Tensor,
) -> Tensor:
    """Returns the context of `attend_heads`, of a text in two parts.

    One softmax over both, which are not put side by side: what stands before
    is the same for all steps, and is not copied in any.

    Args:
        query, key, value, bias: as there, of the second part.
        before: dict of `key`, `value` and `bias` of the first part.
    """
    query = _scale(query)
    first = before["bias"] + ops.zeros_like(bias[..., :1])
    weights = _softmax(
        ops.concatenate(
            [_score(query, before["key"]), _score(query, key)], axis=-1
        ),
        ops.concatenate([first, bias], axis=-1),
    )
    length = ops.shape(before["value"])[2]
    return _sum(weights[..., :length], before["value"]) + _sum(
        weights[..., length:], value
    )


def attend_fused(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor
) -> Tensor:
    """Returns the context of `attend_heads`, by the backend's own kernel.

    Args:
        query: float `(B, H, T, d)`.
        key, value: float `(B, G, S, d)`.
        bias: float that broadcasts to `(B, H, T, S)`, added to the scores.
    """
    # Half precision would make -inf of it, and NaN of a row of only padding.
    bias = ops.cast(ops.maximum(bias, LOWEST_BIAS), query.dtype)
    query, key, value = (
        ops.transpose(part, (0, 2, 1, 3)) for part in (query, key, value)
    )
    context = ops.dot_product_attention(query, key, value, bias)
    return ops.transpose(context, (0, 2, 1, 3))


def _scale(query: Tensor) -> Tensor:
    size = query.shape[-1]
    # By a vector: TensorFlow moves a scalar into a fused product of oneDNN,
    # whose results inside a loop are empty (TensorFlow 2.21).
    return query * ops.full((size,), size**-0.5, query.dtype)


def _score(query: Tensor, key: Tensor) -> Tensor:
    """Float `(B, H, T, d)`, `(B, G, d, S)` -> `(B, H, T, S)`."""
    rows, heads, length, _ = ops.shape(query)
    groups = key.shape[1]
    scores = ops.matmul(_group(query, groups), key)
    if heads == groups:
        return scores
    return ops.reshape(scores, (rows, heads, length, ops.shape(key)[3]))


def _sum(weights: Tensor, value: Tensor) -> Tensor:
    """Float `(B, H, T, S)`, `(B, G, S, d)` -> `(B, H, T, d)`."""
    rows, heads, length, _ = ops.shape(weights)
    context = ops.matmul(_group(weights, value.shape[1]), value)
    return ops.reshape(context, (rows, heads, length, value.shape[3]))


def _group(values: Tensor, groups: int) -> Tensor:
    """Float `(B, H, T, C)` -> `(B, G, H / G * T, C)`."""
    rows, heads, length, size = ops.shape(values)
    if heads == groups:
        return values
    return ops.reshape(values, (rows, groups, heads // groups * length, size))


def _softmax(scores: Tensor, bias: Tensor) -> Tensor:
    dtype = keras.backend.standardize_dtype(scores.dtype)
    # Keras warns of a softmax over one position.
    if scores.shape[-1] == 1:
        return ops.ones_like(scores)
    scores = ops.cast(scores, bias.dtype) + bias
    return ops.cast(ops.softmax(scores, axis=-1), dtype)
