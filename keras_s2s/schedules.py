"""Schedules of the learning rate."""

from typing import Any

import keras
from keras import ops

from keras_s2s.checks import check_number
from keras_s2s.checks import check_positive


@keras.saving.register_keras_serializable(package="keras_s2s")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to a peak, then falls with the root of the steps.

    At step s, counted from 1: peak * min(s / W, sqrt(W / s)), W =
    `warmup_steps`. The schedule of Vaswani et al., often called Noam, is the
    one with a peak of (embedding_dim * warmup_steps) ** -0.5.

    Args:
        peak_learning_rate: float > 0.
        warmup_steps: int > 0. Updates until the peak. Default: 4000.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> schedule = InverseSquareRoot(0.004, warmup_steps=100)
    >>> [round(float(schedule(step)), 4) for step in (0, 99, 399)]
    [0.0, 0.004, 0.002]

    Source: Vaswani et al., 2017, eq. 3, https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self, peak_learning_rate: float, warmup_steps: int = 4000
    ) -> None:
        check_number(
            "peak_learning_rate", peak_learning_rate, 0.0, open_minimum=True
        )
        check_positive("warmup_steps", warmup_steps)
        self.peak_learning_rate = peak_learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        # Keras counts the updates that are done.
        number = ops.cast(step, "float32") + 1.0
        share = number / self.warmup_steps
        return self.peak_learning_rate * ops.minimum(share, ops.rsqrt(share))

    def get_config(self) -> dict[str, Any]:
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "warmup_steps": self.warmup_steps,
        }
