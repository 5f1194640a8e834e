"""Trainings that end with an error where the loss is no number any more."""

import math
from typing import Any

import keras

from keras_s2s.checks import fail


class FiniteLoss(keras.callbacks.Callback):
    """Ends `fit` with an error at the first batch whose loss is no number.

    The error names the epoch, the step and the pairs of its batch. What
    callbacks wrote after the last epoch, such as `Resume`, is the last good
    state; this batch has changed the weights already.

    Args:
        data: what `fit` trains on, with `shuffle=False`, if it has
            `pair_indices`, as `SequencePairs`; else None: no pairs are named.
            Default: None.

    Raises:
        FloatingPointError: in `fit`: a loss is NaN or infinite.

    Example:
        ```python
        data = s2s.data.TextPairs(sources, targets, tokenizer, tokenizer)
        finite = s2s.callbacks.FiniteLoss(data)
        model.fit(data, epochs=20, shuffle=False, callbacks=[finite])
        ```
    """

    def __init__(self, data: Any = None) -> None:
        super().__init__()
        self.data = data

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        self._epoch = epoch

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        cure = f"In epoch {self._epoch + 1}, step {batch + 1}."
        if hasattr(self.data, "pair_indices"):
            pairs = self.data.pair_indices(batch).tolist()
            cure = f"{cure} Its pairs, counted from 0: {pairs}."
        fail("loss", "a finite number", loss, cure, FloatingPointError)
