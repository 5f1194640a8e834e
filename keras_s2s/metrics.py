"""Metrics over sequences of labels, weighted by tokens over an epoch."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.checks import check_integer
from keras_s2s.checks import fail
from keras_s2s.losses import token_losses
from keras_s2s.masking import token_weights
from keras_s2s.maxima import first_maximum
from keras_s2s.recurrence import share_rows

Tensor: TypeAlias = Any


class SequenceMetric(keras.metrics.Metric):
    """Base of the metrics that are a total over a count, both over an epoch.

    A subclass writes `token_values(labels, logits)`, what each label gets,
    and may change `collect(values, weights)`, which returns the total and the
    count of one batch, and `result`. One that writes `measure(labels, logits,
    weights)` instead cannot be had with `SequenceLoss(chunk_size=...)`.

    Args:
        ignore_id: int or None. The label of padding, which counts nothing,
            whatever its sample weight. None: only sample weights tell
            padding. Default: 0.
        name: str or None. The name in the logs.
        dtype: str or None. Of the total and the count. Default: float32.

    Call arguments:
        y_true: int `(B, T)`. Labels.
        y_pred: float `(B, T, V)`. Logits.
        sample_weight: float `(B, T)`, of each label, or `(B,)`, of each row,
            >= 0. Optional. So the metric has one value in
            `compile(metrics=...)`, which hands no weights over, and in
            `compile(weighted_metrics=...)`.

    Raises:
        ValueError: labels, logits or weights of another rank.
        TypeError: `ignore_id` is no integer.
    """

    # Whether it matters not which tokens share a row.
    by_token = True

    def __init__(
        self,
        ignore_id: int | None = 0,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if ignore_id is not None:
            check_integer("ignore_id", ignore_id, -(2**31))
            ignore_id = int(ignore_id)
        self.ignore_id = ignore_id
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> None:
        labels, weights = self._count(y_true, sample_weight)
        logits = ops.convert_to_tensor(y_pred)
        if len(logits.shape) != 3:
            fail("y_pred", "logits of shape (B, T, V)", tuple(logits.shape))
        self._add(*self.measure(labels, logits, weights))

    def update_values(
        self, y_true: Tensor, values: Tensor, sample_weight: Tensor = None
    ) -> None:
        """As `update_state`, from what `token_values` returned: `(B, T)`."""
        _, weights = self._count(y_true, sample_weight)
        self._add(*self.collect(values, weights))

    def _count(self, y_true: Tensor, sample_weight: Tensor) -> tuple:
        labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
        if len(labels.shape) != 2:
            rule = "int ids of shape (B, T)"
            fail("y_true", rule, tuple(labels.shape))
        weights = token_weights(labels, sample_weight, self.ignore_id)
        # A label that counts nothing may lie outside the vocabulary.
        return ops.where(weights > 0, labels, 0), weights

    def _add(self, total: Tensor, count: Tensor) -> None:
        self.total.assign_add(ops.cast(total, self.total.dtype))
        self.count.assign_add(ops.cast(count, self.count.dtype))

    def measure(
        self, labels: Tensor, logits: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.collect(self.token_values(labels, logits), weights)

    def token_values(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Int `(B, T)` and float `(B, T, V)` -> float32 `(B, T)`."""
        raise NotImplementedError

    def collect(self, values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Float `(B, T)`, twice -> the total and the count."""
        return ops.sum(values * weights), ops.sum(weights)

    def result(self) -> Tensor:
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ignore_id": self.ignore_id}


@keras.saving.register_keras_serializable(package="keras_s2s")
class TokenAccuracy(SequenceMetric):
    """The share of labels that the logits rank first.

    Padding is not counted, by `ignore_id` and by sample weights of 0.

    Args:
        ignore_id: int or None. The label of padding. Default: 0.
        name: str. Default: `"token_accuracy"`.
        dtype: str or None. Of the state. Default: float32.

    Call arguments:
        y_true: int `(B, T)`. Labels.
        y_pred: float `(B, T, V)`. Logits.
        sample_weight: float `(B, T)` or `(B,)`. Optional.

    Returns:
        Float scalar in [0, 1]; 0 if nothing was counted.

    Example:

    >>> metric = TokenAccuracy()
    >>> labels = ops.array([[3, 1, 0]])  # 0 is padding
    >>> float(metric(labels, ops.one_hot([[3, 2, 2]], 8)))
    0.5
    """

    def __init__(
        self,
        ignore_id: int | None = 0,
        name: str = "token_accuracy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(ignore_id=ignore_id, name=name, dtype=dtype)
        # What EarlyStopping(mode="auto") reads.
        self._direction = "up"

    def token_values(self, labels: Tensor, logits: Tensor) -> Tensor:
        return _is_right(labels, logits)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Perplexity(SequenceMetric):
    """`exp(total nats / total tokens)` over all batches of an epoch.

    Padding is not counted, by `ignore_id` and by sample weights of 0. Label
    smoothing has no part in it.

    Args:
        ignore_id: int or None. The label of padding. Default: 0.
        name: str. Default: `"perplexity"`.
        dtype: str or None. Of the state. Default: float32.

    Call arguments:
        y_true: int `(B, T)`. Labels.
        y_pred: float `(B, T, V)`. Logits.
        sample_weight: float `(B, T)` or `(B,)`. Optional.

    Returns:
        Float scalar >= 1; V for uniform logits; 1 if nothing was counted.

    Example:

    >>> metric = Perplexity()
    >>> labels = ops.array([[3, 1, 0]])  # 0 is padding
    >>> round(float(metric(labels, ops.zeros((1, 3, 8)))), 3)
    8.0
    """

    def __init__(
        self,
        ignore_id: int | None = 0,
        name: str = "perplexity",
        dtype: str | None = None,
    ) -> None:
        super().__init__(ignore_id=ignore_id, name=name, dtype=dtype)
        self._direction = "down"

    def token_values(self, labels: Tensor, logits: Tensor) -> Tensor:
        # Several times as fast as Keras' own, which makes a gradient, too.
        return token_losses(labels, ops.cast(logits, "float32"))

    def result(self) -> Tensor:
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="keras_s2s")
class SequenceAccuracy(SequenceMetric):
    """The share of rows in which the logits rank every label first.

    Labels that count nothing, by `ignore_id` or a sample weight of 0, are not
    looked at; a row without any other is not counted. A row weighs as much as
    its heaviest label.

    Args:
        ignore_id: int or None. The label of padding. Default: 0.
        name: str. Default: `"sequence_accuracy"`.
        dtype: str or None. Of the state. Default: float32.

    Call arguments:
        y_true: int `(B, T)`. Labels.
        y_pred: float `(B, T, V)`. Logits.
        sample_weight: float `(B, T)` or `(B,)`. Optional.

    Returns:
        Float scalar in [0, 1]; 0 if nothing was counted.

    Example:

    >>> metric = SequenceAccuracy()
    >>> labels = ops.array([[3, 1], [3, 0]])  # 0 is padding
    >>> float(metric(labels, ops.one_hot([[3, 2], [3, 2]], 8)))
    0.5
    """

    by_token = False

    def __init__(
        self,
        ignore_id: int | None = 0,
        name: str = "sequence_accuracy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(ignore_id=ignore_id, name=name, dtype=dtype)
        self._direction = "up"

    def token_values(self, labels: Tensor, logits: Tensor) -> Tensor:
        return _is_right(labels, logits)

    def collect(self, values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        right = ops.logical_or(values > 0, weights <= 0)
        row_weights = ops.max(weights, axis=1, initial=0.0)
        row_right = ops.cast(ops.all(right, axis=1), weights.dtype)
        return ops.sum(row_right * row_weights), ops.sum(row_weights)


def _is_right(labels: Tensor, logits: Tensor) -> Tensor:
    flat = ops.reshape(logits, (-1, logits.shape[-1]))
    first = share_rows(lambda rows: first_maximum(rows)[1], flat)
    first = ops.reshape(first, ops.shape(labels))
    return ops.cast(ops.equal(first, labels), "float32")
