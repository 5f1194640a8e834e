"""Parts of a batch, put together as if they had been the whole of it."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.recurrence import num_replicas
from keras_s2s.recurrence import sum_over_replicas

Tensor: TypeAlias = Any


# What the batch in hand weighs. Each replica of a strategy of TensorFlow has
# a thread of its own.
_batch = threading.local()


@contextlib.contextmanager
def weigh_by(weight: Tensor | None) -> Iterator[None]:
    """Has a batch weigh `weight`, a scalar, inside; None: as Keras has it."""
    _batch.weight = weight
    try:
        yield
    finally:
        _batch.weight = None


class WeightedMean(keras.metrics.Mean):
    """A mean over batches, each weighing what it was told to."""

    def update_state(self, values: Tensor, sample_weight: Any = None) -> None:
        """Adds the values of one batch."""
        weight = getattr(_batch, "weight", None)
        if weight is not None:
            sample_weight = weight
        super().update_state(values, sample_weight)


class WeightedUpdates:
    """Has an optimizer weigh parts of a batch by what their losses divide by.

    Keras takes the mean over micro-batches, `gradient_accumulation_steps`,
    and over replicas: each counts the same, whatever number of tokens it
    has. Here each counts its weight, so that an update is that of all tokens
    of all of them in one batch.

    Args:
        optimizer: Keras optimizer. It is changed, once and for all.

    Source: Keras, `optimizers.base_optimizer.BaseOptimizer`, 3.15: its
    accumulators hold a sum that is divided by the number of steps.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.optimizer = optimizer
        self._apply_evenly = optimizer._backend_apply_gradients
        optimizer._backend_apply_gradients = self._apply
        if optimizer.gradient_accumulation_steps:
            # Of the micro-batches since the last update.
            self.total = optimizer.add_variable((), name="accumulated_weight")

    def _apply(self, gradients: list, variables: list) -> None:
        weight = getattr(_batch, "weight", None)
        if weight is None:
            self._apply_evenly(gradients, variables)
            return
        weight = ops.cast(weight, "float32")
        whole = sum_over_replicas(weight)
        factor = num_replicas() * ops.divide_no_nan(weight, whole)
        if self.optimizer.gradient_accumulation_steps:
            factor = factor * self._accumulate(whole)
        scaled = [
            ops.convert_to_tensor(gradient) * ops.cast(factor, gradient.dtype)
            for gradient in gradients
        ]
        self._apply_evenly(scaled, variables)

    def _accumulate(self, weight: Tensor) -> Tensor:
        """Rescales what is accumulated; returns the factor of what is added.

        After micro-batches of weights w and gradients g, the accumulators
        hold steps * sum(w g) / sum(w).
        """
        optimizer = self.optimizer
        steps = optimizer.gradient_accumulation_steps
        before = self.total.value
        total = before + weight
        kept = ops.divide_no_nan(before, total)
        for accumulator in optimizer._accumulated_gradients:
            if accumulator is not None:
                value = accumulator.value
                accumulator.assign(value * ops.cast(kept, value.dtype))
        is_last = ops.equal((optimizer.iterations + 1) % steps, 0)
        self.total.assign(ops.where(is_last, 0.0, total))
        return steps * ops.divide_no_nan(weight, total)


def weigh_updates(optimizer: Any) -> None:
    """Has an optimizer do as `WeightedUpdates`, where updates have parts."""
    # What scales losses in mixed precision hands its gradients to another.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer is None:
        return
    has_parts = optimizer.gradient_accumulation_steps or num_replicas() > 1
    apply = optimizer._backend_apply_gradients
    is_done = isinstance(getattr(apply, "__self__", None), WeightedUpdates)
    if has_parts and not is_done:
        WeightedUpdates(optimizer)
