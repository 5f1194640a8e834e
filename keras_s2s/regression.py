"""The loss over sequences of vectors."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.checks import check_number
from keras_s2s.checks import check_option
from keras_s2s.checks import fail
from keras_s2s.masking import token_weights
from keras_s2s.masking import value_mask
from keras_s2s.normalizers import NormalizedLoss

Tensor: TypeAlias = Any

ERRORS = ("squared", "absolute", "huber")


@keras.saving.register_keras_serializable(package="keras_s2s")
class SequenceRegressionLoss(NormalizedLoss):
    """Errors of sequences of vectors, that count no padding.

    NaN in a label is a value that is not there: it counts nothing, and a
    position of nothing else is padding. A position counts its sample weight
    times the share of its values that are there; padding told by NaN, by
    sample weights or by both gives the same value.

    The loss of a position is the mean error of the values that are there.
    The sum of weighted losses is divided by what `normalizer` names, as in
    `SequenceLoss`; with "tokens" it is the mean over all values that are
    there.

    Args:
        error: str. "squared", (y - x)^2; "absolute", |y - x|; "huber", half
            the squared error up to `delta`, and its tangent beyond.
            Default: "squared".
        normalizer: str. "tokens", "sequences", "batch" or "none".
            Default: "tokens".
        delta: float > 0. Where "huber" turns linear. Default: 1.0.
        name: str. Default: `"sequence_regression_loss"`.

    Call arguments:
        y_true: float `(B, T, C)`. Labels.
        y_pred: float `(B, T, C)`. Computed in float32 at least.
        sample_weight: float `(B, T)`, of each position, or `(B,)`, of each
            row, >= 0. Optional.

    Returns:
        Float scalar, >= 0. float32, or float64 if the predictions are.

    Raises:
        ValueError: an unknown error or normalizer; `delta` not positive;
            labels, predictions or weights of another rank, or vectors of
            other sizes.

    Example:

    >>> labels = ops.array([[[1.0, 2.0], [4.0, float("nan")]]])
    >>> loss = SequenceRegressionLoss("absolute")
    >>> round(float(loss(labels, ops.zeros((1, 2, 2)))), 4)  # (1 + 2 + 4) / 3
    2.3333

    Source: Huber, 1964, https://doi.org/10.1214/aoms/1177703732
    """

    def __init__(
        self,
        error: str = "squared",
        normalizer: str = "tokens",
        delta: float = 1.0,
        name: str = "sequence_regression_loss",
    ) -> None:
        super().__init__(normalizer, name)
        check_option("error", error, ERRORS)
        check_number("delta", delta, 0.0, open_minimum=True)
        self.error = error
        self.delta = float(delta)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> Tensor:
        y_pred = ops.convert_to_tensor(y_pred)
        dtype = keras.backend.result_type(y_pred.dtype, "float32")
        y_pred = ops.cast(y_pred, dtype)
        y_true = ops.cast(ops.convert_to_tensor(y_true), dtype)
        _check_shapes(y_true, y_pred)
        is_there = value_mask(y_true)
        there = ops.cast(is_there, dtype)
        # A NaN of a prediction that counts nothing would have a NaN gradient.
        errors = self.call(
            ops.where(is_there, y_true, 0.0), ops.where(is_there, y_pred, 0.0)
        )
        losses = ops.divide_no_nan(ops.sum(errors, -1), ops.sum(there, -1))
        return ops.sum(losses * self.shares(self.weigh(y_true, sample_weight)))

    def weigh(self, labels: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Returns float `(B, T)`: what each position counts."""
        there = ops.cast(value_mask(labels), labels.dtype)
        weights = token_weights(there[..., 0], sample_weight, None)
        return ops.cast(weights, labels.dtype) * ops.mean(there, axis=-1)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Float `(B, T, C)`, twice -> the same: the error of each value."""
        difference = y_pred - y_true
        if self.error == "squared":
            return ops.square(difference)
        size = ops.abs(difference)
        if self.error == "absolute":
            return size
        # As the product of the part up to delta: no branch, so no NaN.
        inner = ops.minimum(size, self.delta)
        return inner * (size - 0.5 * inner)

    def get_config(self) -> dict[str, Any]:
        config = {"error": self.error, "delta": self.delta}
        return {**super().get_config(), **config}


def _check_shapes(y_true: Tensor, y_pred: Tensor) -> None:
    shape, expected = tuple(y_true.shape), tuple(y_pred.shape)
    if len(expected) != 3:
        fail("y_pred", "vectors of shape (B, T, C)", expected)
    known = [pair for pair in zip(shape, expected) if None not in pair]
    if len(shape) != 3 or any(size != other for size, other in known):
        fail("y_true", f"of the shape of `y_pred`, {expected}", shape)
