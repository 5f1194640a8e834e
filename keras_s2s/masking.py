"""Masks (bool, True = real token) and masked means."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.checks import fail

Tensor: TypeAlias = Any

# Replaces the scores of padded positions before a softmax, in float32.
MASKED_SCORE = -1e9


def padding_mask(ids: Tensor, pad_id: int = 0) -> Tensor:
    """Returns bool, shaped like `ids`: True where there is a real token."""
    return ops.not_equal(ids, pad_id)


def known_ids(ids: Tensor, vocabulary_size: int, unk_id: int) -> Tensor:
    """Returns int32, shaped like `ids`: `unk_id` for all from V on."""
    ids = ops.cast(ids, "int32")
    return ops.where(ids < vocabulary_size, ids, unk_id)


def value_mask(vectors: Tensor) -> Tensor:
    """Returns bool, shaped like `vectors`: False where a value is NaN."""
    return ops.logical_not(ops.isnan(vectors))


def last_values(vectors: Tensor) -> Tensor:
    """Float `(B, S, C)` -> `(B, 1, C)`: the last that is no NaN, else 0."""
    mask = value_mask(vectors)
    steps = ops.arange(1, ops.shape(vectors)[1] + 1, dtype="int32")
    steps = ops.where(mask, ops.expand_dims(steps, 1), 0)
    last = ops.max(steps, axis=1, keepdims=True, initial=1)
    is_last = ops.logical_and(mask, ops.equal(steps, last))
    return ops.sum(ops.where(is_last, vectors, 0.0), axis=1, keepdims=True)


def before_padding(mask: Tensor) -> Tensor:
    """Bool `(B, T)` -> the same, True up to the last real token of each row.

    What looks like padding before it is none: it was generated, or serves as
    bos, so the first position is always True.
    """
    steps = ops.arange(1, ops.shape(mask)[1] + 1, dtype="int32")
    real = ops.where(mask, steps, 0)
    return steps <= ops.max(real, axis=1, keepdims=True, initial=1)


def masked_mean(values: Tensor, mask: Tensor, axis: Any = None) -> Tensor:
    """Returns the mean of `values` where `mask` is True, else 0.

    Args:
        values: float tensor.
        mask: bool tensor that broadcasts to `values`.
        axis: int, tuple or None. The axes to average over. Default: all.
    """
    weights = ops.broadcast_to(ops.cast(mask, values.dtype), ops.shape(values))
    total = ops.sum(values * weights, axis=axis)
    return ops.divide_no_nan(total, ops.sum(weights, axis=axis))


def masked_softmax(
    scores: Tensor, mask: Tensor, softmax: Callable | None = None
) -> Tensor:
    """Returns the softmax over the last axis, exactly 0 on padding.

    Computed in float32 at least, whatever the dtype of `scores`. A row
    without any real position gets uniform weights, never NaN. In the step of
    a scan `softmax` is that of `recurrence`.
    """
    dtype = keras.backend.standardize_dtype(scores.dtype)
    # Keras warns of a softmax over one position.
    if scores.shape[-1] == 1:
        return ops.ones_like(scores)
    scores = ops.cast(scores, keras.backend.result_type(dtype, "float32"))
    if softmax is None:
        weights = ops.softmax(ops.where(mask, scores, MASKED_SCORE))
    else:
        weights = softmax(scores, mask, MASKED_SCORE)
    return ops.cast(weights, dtype)


def token_weights(
    labels: Tensor, sample_weight: Tensor = None, ignore_id: int | None = 0
) -> Tensor:
    """Returns float32 `(B, T)`: what each label counts, 0 where it does not.

    Args:
        labels: int `(B, T)`.
        sample_weight: float `(B, T)`, `(B, 1)` or `(B,)`, >= 0, or None.
            The weight of each label or of each row. Default: all 1.
        ignore_id: int or None. Labels equal to it count nothing, whatever
            their sample weight. None masks no label. Default: 0.
    """
    weights = ops.ones_like(labels, dtype="float32")
    if ignore_id is not None:
        weights = ops.cast(padding_mask(labels, ignore_id), "float32")
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    if len(sample_weight.shape) == 1:
        sample_weight = ops.expand_dims(sample_weight, -1)
    if len(sample_weight.shape) != 2:
        shape = tuple(sample_weight.shape)
        rule = "of shape (B,), (B, 1) or (B, T)"
        fail("sample_weight", rule, shape)
    return weights * sample_weight
