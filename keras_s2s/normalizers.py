"""What a sum of weighted losses is divided by, by name."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.checks import check_option
from keras_s2s.recurrence import num_replicas

Tensor: TypeAlias = Any

NORMALIZERS = ("tokens", "sequences", "batch", "none")


class NormalizedLoss(keras.losses.Loss):
    """Base of the losses over sequences: a share for each position.

    A subclass writes `weigh`, and sums `losses * self.shares(weights)`.

    Args:
        normalizer: str, as in `losses.SequenceLoss`.
        name: str.

    Raises:
        ValueError: an unknown normalizer.
    """

    def __init__(self, normalizer: str, name: str) -> None:
        super().__init__(name=name, reduction=None)
        check_option("normalizer", normalizer, NORMALIZERS)
        self.normalizer = normalizer

    @property
    def by_token(self) -> bool:
        """Whether it matters not which tokens share a row."""
        return self.normalizer in ("tokens", "none")

    def weigh(self, labels: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Returns float `(B, T)`: what each position counts."""
        raise NotImplementedError

    def total(self, weights: Tensor) -> Tensor | None:
        """Float `(B, T)` -> scalar: what the sum of a batch is divided by.

        The loss of two batches as one is the mean of their losses, each
        weighing its total. None for "none": it is the sum of their losses.
        """
        if self.normalizer == "none":
            return None
        if self.normalizer == "tokens":
            return ops.sum(weights)
        row_weights = ops.max(weights, axis=1, initial=0.0)
        if self.normalizer == "batch":
            row_weights = ops.cast(row_weights > 0, weights.dtype)
        return ops.sum(row_weights)

    def shares(self, weights: Tensor) -> Tensor:
        """Float `(B, T)` -> the same: what each token loss counts.

        As in all losses of Keras, a replica's is its part of their mean.
        """
        if self.normalizer == "none":
            return weights
        if self.normalizer == "sequences":
            row_weights = ops.max(weights, axis=1, keepdims=True, initial=0.0)
            sums = ops.sum(weights, axis=1, keepdims=True)
            parts = row_weights * ops.divide_no_nan(weights, sums)
        else:
            parts = weights
        return ops.divide_no_nan(parts, self.total(weights) * num_replicas())

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "normalizer": self.normalizer}
