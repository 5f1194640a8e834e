"""What a sum of weighted losses is divided by, by name."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.checks import check_option

Tensor: TypeAlias = Any

NORMALIZERS = ("tokens", "sequences", "batch", "none")


class NormalizedLoss(keras.losses.Loss):
    """Base of the losses over sequences: a share for each position.

    A subclass sums `losses * self.shares(weights)`.

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

    def shares(self, weights: Tensor) -> Tensor:
        """Float `(B, T)` -> the same: what each token loss counts."""
        if self.normalizer == "none":
            return weights
        if self.normalizer == "tokens":
            return ops.divide_no_nan(weights, ops.sum(weights))
        row_weights = ops.max(weights, axis=1, keepdims=True, initial=0.0)
        if self.normalizer == "batch":
            rows = ops.cast(row_weights > 0, weights.dtype)
            return ops.divide_no_nan(weights, ops.sum(rows))
        row_shares = ops.divide_no_nan(row_weights, ops.sum(row_weights))
        totals = ops.sum(weights, axis=1, keepdims=True)
        return row_shares * ops.divide_no_nan(weights, totals)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "normalizer": self.normalizer}
