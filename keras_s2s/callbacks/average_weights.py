"""The mean of the weights of several epochs."""

import keras
import numpy as np

from keras_s2s.checks import check_option
from keras_s2s.checks import check_positive
from keras_s2s.checks import fail


class AverageWeights(keras.callbacks.Callback):
    """Ends `fit` with the mean of the weights after some of its epochs.

    Of this call of `fit`: epochs before one that was resumed do not count.

    Args:
        num_epochs: int > 0. How many epochs count. All float weights of each
            are kept in memory. Default: 5.
        monitor: str or None. The log by which the best of the epochs count;
            None: the last count. Default: None.
        mode: str. "max" or "min": which values of `monitor` are better.
            Default: "max", as for BLEU.

    Raises:
        ValueError: `num_epochs` is not positive; an unknown `mode`; there is
            no log `monitor`.

    Example:

    >>> callbacks = [AverageWeights(3)]  # model.fit(..., callbacks=callbacks)

    Files of a training that is over: `models.average_models`.
    """

    def __init__(
        self, num_epochs: int = 5, monitor: str | None = None, mode: str = "max"
    ) -> None:
        super().__init__()
        check_positive("num_epochs", num_epochs)
        check_option("mode", mode, ("max", "min"))
        self.num_epochs = num_epochs
        self.monitor = monitor
        self.mode = mode
        self._kept = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._kept = []

    def on_epoch_end(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        rank = epoch
        if self.monitor is not None:
            if self.monitor not in (logs or {}):
                rule = f"one of the logs, {sorted(logs or {})}"
                fail("monitor", rule, self.monitor)
            rank = logs[self.monitor] * (1 if self.mode == "max" else -1)
        values = [
            keras.ops.convert_to_numpy(weight) for weight in self._weights()
        ]
        # Of equals the later counts.
        kept = [*self._kept, (rank, epoch, values)]
        self._kept = sorted(kept, key=lambda one: one[:2])[-self.num_epochs :]

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        for weight, *values in zip(
            self._weights(), *(values for _, _, values in self._kept)
        ):
            weight.assign(np.mean(values, axis=0, dtype="float64"))

    def _weights(self) -> list[keras.Variable]:
        return [
            weight
            for weight in self.model.weights
            if keras.backend.is_float_dtype(weight.dtype)
        ]
