"""The positions of a batch as rows, and back as a grid."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.recurrence import HAS_DYNAMIC_SHAPES
from keras_s2s.recurrence import take

Tensor: TypeAlias = Any
Rows: TypeAlias = "AllRows | RealRows"


def arrange_rows(mask: Tensor, compiled: bool) -> Rows:
    """Returns the rows of a batch: the real positions alone where it pays.

    Args:
        mask: bool `(B, T)`. True = real token.
        compiled: bool. Whether XLA compiles what follows: its shapes cannot
            depend on lengths.
    """
    if HAS_DYNAMIC_SHAPES and not compiled:
        return RealRows(mask)
    return AllRows(ops.shape(mask))


class AllRows:
    """Every position, padding and all: N = B * T."""

    def __init__(self, grid: tuple) -> None:
        self.grid = grid

    def pack(self, values: Tensor) -> Tensor:
        """`(B, T, C)` -> `(N, C)`."""
        return ops.reshape(values, (-1, values.shape[-1]))

    def unpack(self, rows: Tensor) -> Tensor:
        """`(N, C)` -> `(B, T, C)`."""
        return ops.reshape(rows, (*self.grid, rows.shape[-1]))


class RealRows:
    """The real positions: nothing is computed for padding, whose place in
    the grid holds 0."""

    def __init__(self, mask: Tensor) -> None:
        self.grid = ops.shape(mask)
        is_real = ops.reshape(mask, (-1,))
        (self.index,) = ops.nonzero(is_real)
        numbers = ops.cumsum(ops.cast(is_real, "int32"))
        # The row of each place, that behind all where there is padding.
        self.places = ops.where(
            is_real, numbers - 1, ops.max(numbers, initial=0)
        )

    def pack(self, values: Tensor) -> Tensor:
        """`(B, T, C)` -> `(N, C)`."""
        return self._exchange(values, self._pick, self._put)

    def unpack(self, rows: Tensor) -> Tensor:
        """`(N, C)` -> `(B, T, C)`."""
        return self._exchange(rows, self._put, self._pick)

    def _pick(self, values: Tensor) -> Tensor:
        flat = ops.reshape(values, (-1, values.shape[-1]))
        return take(flat, self.index)

    def _put(self, rows: Tensor) -> Tensor:
        # Picked: TensorFlow takes 1.3 to 2 times as long to scatter.
        rows = ops.pad(rows, ((0, 1), (0, 0)))
        flat = take(rows, self.places)
        return ops.reshape(flat, (*self.grid, rows.shape[-1]))

    def _exchange(
        self, values: Tensor, function: Callable, inverse: Callable
    ) -> Tensor:
        """Each is the gradient of the other: no row is there twice."""

        @ops.custom_gradient
        def exchange(values: Tensor) -> tuple[Tensor, Callable]:
            def gradient(*args: Tensor, upstream: Tensor = None) -> Tensor:
                # Keras hands it over in either way.
                (upstream,) = args if upstream is None else (upstream,)
                return inverse(upstream)

            return function(values), gradient

        return exchange(values)
