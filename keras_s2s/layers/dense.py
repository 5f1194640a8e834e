"""A dense layer that a compiled loop may run in two halves."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.recurrence import project_rows

Tensor: TypeAlias = Any

# The halves of the kernels of layers, by their identity.
_HALVES = contextvars.ContextVar("halves", default=None)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Dense(keras.layers.Dense):
    """As `keras.layers.Dense`, which `in_halves` knows.

    Rows `(N, D)` are multiplied by `recurrence.project_rows`.

    Args, call arguments, returns: as there.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        halves = (_HALVES.get() or {}).get(id(self))
        if halves is not None:
            parts = [ops.matmul(inputs, half) for half in halves]
            outputs = ops.concatenate(parts, axis=-1)
            if self.bias is not None:
                outputs = ops.add(outputs, self.bias)
        elif self.bias is not None and len(inputs.shape) == 2:
            weights = (self.kernel, self.bias)
            weights = [ops.cast(weight, inputs.dtype) for weight in weights]
            outputs = project_rows(inputs, *weights)
        else:
            return super().call(inputs, training=training)
        if self.activation is not None:
            outputs = self.activation(outputs)
        return outputs

    def quantize(
        self,
        mode: str | None = None,
        type_check: bool = True,
        config: Any = None,
    ) -> None:
        """As `keras.layers.Dense.quantize`, which refuses a subclass."""
        super().quantize(mode, type_check=False, config=config)


@contextlib.contextmanager
def in_halves(layer: keras.layers.Layer) -> Iterator[None]:
    """Has each `Dense` of a layer multiply by two halves of its kernel.

    To be entered in front of a loop that XLA compiles for processors, which
    gives a small product one core: two of them run side by side. Halved once,
    in front of the loop, as XLA would cut the kernels anew in each step.

    Args:
        layer: a built layer. What is quantized in it stays as it is.
    """
    halves = {
        id(part): ops.split(ops.cast(part.kernel, part.compute_dtype), 2, 1)
        for part in layer._flatten_layers()
        if isinstance(part, Dense)
        and part.quantization_mode is None
        and part.units % 2 == 0
    }
    token = _HALVES.set(halves)
    try:
        yield
    finally:
        _HALVES.reset(token)
