"""A sum over rows, some rows at a time, whatever the backend."""

import importlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_s2s.recurrence.program import Tensor
from keras_s2s.recurrence.program import _Binding

_backend = importlib.import_module(
    f"keras_s2s.recurrence.{keras.backend.backend()}_chunks"
)


class Chunks:
    """Rows laid out as chunks, and what is to be computed of each chunk.

    The rows are spread evenly over as few chunks as hold at most `size` of
    them; rows of zeros fill up the last. Arguments are as in `sum_chunks`.
    """

    def __init__(
        self,
        step: Callable,
        features: Tensor,
        constants: Sequence[Tensor],
        variables: Sequence[keras.Variable],
        size: int,
    ) -> None:
        self.step = step
        self.variables = list(variables)
        self.num_rows = ops.shape(features)[0]
        self.count = _at_least_one(-(-self.num_rows // size))
        self.num_chunk_rows = _at_least_one(-(-self.num_rows // self.count))
        self.features = features
        self.constants = [self.split(tensor) for tensor in constants]
        self.values = [variable.value for variable in self.variables]

    def split(self, rows: Tensor) -> Tensor:
        """`(N, ...)` -> `(C, N / C, ...)`, zeros at the end."""
        missing = self.count * self.num_chunk_rows - self.num_rows
        rest = rows.shape[1:]
        rows = ops.pad(rows, [(0, missing), *[(0, 0) for _ in rest]])
        return ops.reshape(rows, (self.count, self.num_chunk_rows, *rest))

    def join(self, chunks: Tensor) -> Tensor:
        """`(C, N / C, ...)` -> `(N, ...)`."""
        rows = ops.reshape(chunks, (-1, *chunks.shape[2:]))
        return rows[: self.num_rows]

    def run(
        self, features: Tensor, constants: list, values: list
    ) -> tuple[Tensor, list[Tensor], set[int]]:
        """Runs a chunk: its sum, its values, and which variables it read."""
        with _Binding(self.variables, values) as binding:
            total, outputs = self.step(features, *constants)
        read = {
            index
            for index, variable in enumerate(self.variables)
            if id(variable) in binding.read and variable.trainable
        }
        return total, outputs, read


def _at_least_one(number: Any) -> Any:
    return max(number, 1) if isinstance(number, int) else ops.maximum(number, 1)


def sum_chunks(
    step: Callable,
    features: Tensor,
    constants: Sequence[Tensor],
    variables: Sequence[keras.Variable],
    size: int,
) -> tuple[Tensor, list[Tensor]]:
    """Sums over rows what `step` computes, at most `size` of them at a time.

    Where a gradient may be asked for, each chunk is differentiated as soon as
    it is computed, so that nothing of it is kept or computed again.

    Args:
        step: callable `(features, *constants) -> (sum, values)` of some rows:
            a float scalar and a list of tensors `(n, ...)`, which have no
            gradient. It reads tensors through its arguments and variables
            through `variables` alone. Rows of zeros may be among them.
        features: float `(N, R)`. They get a gradient.
        constants: list of tensors `(N, ...)`. They get none.
        variables: list of variables that the step reads.
        size: int > 0, in rows.

    Returns:
        The sum, a float scalar, and the values, a list of tensors `(N, ...)`.
    """
    chunks = Chunks(step, features, constants, variables, size)
    total, values = _backend.run(chunks)
    return total, [chunks.join(value) for value in values]
