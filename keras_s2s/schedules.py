"""Schedules: of the learning rate, and of `models.ScheduledSampling`."""

import math
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


class SamplingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Base of the schedules of a probability that rises to a maximum.

    A subclass writes `rise`.

    Args:
        maximum: float in [0, 1].
    """

    def __init__(self, maximum: float) -> None:
        check_number("maximum", maximum, 0.0, 1.0)
        self.maximum = maximum

    def rise(self, step: Any) -> Any:
        """Float32 scalar, the updates that are done -> without a maximum."""
        raise NotImplementedError

    def __call__(self, step: Any) -> Any:
        return ops.minimum(self.rise(ops.cast(step, "float32")), self.maximum)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Linear(SamplingSchedule):
    """The probability to read own words, as it rises evenly.

    After i updates: `initial + (maximum - initial) * min(1, i / steps)`; in
    the paper, which gives the probability of the truth, epsilon is 1 -
    `maximum`, k is 1 - `initial`, and c their difference over `steps`.

    Args:
        steps: int > 0. Updates until the maximum.
        initial: float in [0, `maximum`]. Default: 0.0.
        maximum: float in [0, 1]. Default: 1.0.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> schedule = Linear(steps=1000, maximum=0.5)
    >>> [float(schedule(step)) for step in (0, 500, 1000, 2000)]
    [0.0, 0.25, 0.5, 0.5]

    Source: Bengio et al., 2015, section 2.4, https://arxiv.org/abs/1506.03099
    """

    def __init__(
        self, steps: int, initial: float = 0.0, maximum: float = 1.0
    ) -> None:
        super().__init__(maximum)
        check_positive("steps", steps)
        check_number("initial", initial, 0.0, maximum)
        self.steps = steps
        self.initial = initial

    def rise(self, step: Any) -> Any:
        return self.initial + (self.maximum - self.initial) * step / self.steps

    def get_config(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "initial": self.initial,
            "maximum": self.maximum,
        }


@keras.saving.register_keras_serializable(package="keras_s2s")
class Exponential(SamplingSchedule):
    """The probability to read own words, as it rises fast and then slower.

    After i updates: `1 - base ** i`, at most `maximum`.

    Args:
        base: float in (0, 1). k in the paper: 0.9999 is half way after 6,931
            updates.
        maximum: float in [0, 1]. Default: 1.0.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> schedule = Exponential(0.5)
    >>> [float(schedule(step)) for step in (0, 1, 2)]
    [0.0, 0.5, 0.75]

    Source: Bengio et al., 2015, section 2.4, https://arxiv.org/abs/1506.03099
    """

    def __init__(self, base: float, maximum: float = 1.0) -> None:
        super().__init__(maximum)
        check_number(
            "base", base, 0.0, 1.0, open_minimum=True, open_maximum=True
        )
        self.base = base

    def rise(self, step: Any) -> Any:
        return -ops.expm1(step * math.log(self.base))

    def get_config(self) -> dict[str, Any]:
        return {"base": self.base, "maximum": self.maximum}


@keras.saving.register_keras_serializable(package="keras_s2s")
class InverseSigmoid(SamplingSchedule):
    """The probability to read own words, as it rises late and fast.

    After i updates: `1 - k / (k + exp(i / k))`, with k the `scale`, at most
    `maximum`. Half way after k log k updates.

    Args:
        scale: float >= 1. Updates; 1,000 is half way after 6,908.
        maximum: float in [0, 1]. Default: 1.0.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> schedule = InverseSigmoid(100)
    >>> [round(float(schedule(step)), 2) for step in (0, 461, 1000)]
    [0.01, 0.5, 1.0]

    Source: Bengio et al., 2015, section 2.4, https://arxiv.org/abs/1506.03099
    """

    def __init__(self, scale: float, maximum: float = 1.0) -> None:
        super().__init__(maximum)
        check_number("scale", scale, 1.0, open_maximum=True)
        self.scale = scale

    def rise(self, step: Any) -> Any:
        return ops.sigmoid(step / self.scale - math.log(self.scale))

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "maximum": self.maximum}
