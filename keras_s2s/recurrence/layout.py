"""How the real tokens of a batch lie in memory while a scan runs over them."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.recurrence.loop import PACKS
from keras_s2s.recurrence.loop import scan
from keras_s2s.recurrence.picking import take
from keras_s2s.recurrence.program import Tensor

Layout: TypeAlias = "Packed | Padded"

# The rows of a packed step are a multiple of it, or all.
ROWS = 8


def arrange(mask: Tensor, compiled: bool, carries: bool = True) -> Layout:
    """Returns the layout that is fastest here.

    Args:
        mask: bool `(B, T)`. True = real token.
        compiled: bool. Whether XLA compiles what follows: its shapes cannot
            depend on lengths.
        carries: bool. Whether rows must carry their state over padding. With
            padding behind all real tokens, and no use for the last state,
            they need not.
    """
    if PACKS and not compiled:
        return Packed(mask, carries)
    return Padded(mask, carries)


class Padded:
    """Time first, padding and all: no shape depends on a length.

    Steps behind the last real token of any row are not run.
    """

    is_packed = False

    def __init__(self, mask: Tensor, carries: bool) -> None:
        self.mask = mask
        self.carries = carries
        steps = ops.arange(1, ops.shape(mask)[1] + 1, dtype="int32")
        self.length = ops.max(ops.where(mask, steps, 0), initial=1)

    def pack(self, values: Tensor) -> Tensor:
        """`(B, T, ...)` -> what `scan` takes, `(T, B, ...)`."""
        return _swap(values)

    def unpack(self, values: Tensor) -> Tensor:
        """What `scan` returns -> `(B, T, ...)`, 0 on padding."""
        values = _swap(values)
        return values * ops.cast(_like(self.mask, values), values.dtype)

    def spread(self, rows: Tensor, like: Tensor) -> Tensor:
        """`(B, 1, C)` -> the same at each step, for `like` `(..., D)`."""
        return rows + ops.zeros_like(like[..., :1])

    def sort(self, rows: Any) -> Any:
        """Nested `(B, ...)` -> the same in the order of the scan's rows."""
        return rows

    def restore(self, rows: Any) -> Any:
        """Undoes `sort`."""
        return rows

    def scan(
        self, step: Callable, state: Any, sequences: Any, **options: Any
    ) -> tuple[Any, Any]:
        """Runs `recurrence.scan` over sequences of this layout."""
        if not self.carries:
            options["length"] = self.length
            return scan(step, state, sequences, **options)

        def carrying_step(state: Any, inputs: tuple, constants: Any) -> tuple:
            values, mask = inputs
            new_state, outputs = step(state, values, constants)
            new_state = keras.tree.map_structure(
                lambda new, old: ops.where(_like(mask, new), new, old),
                new_state,
                state,
            )
            return new_state, outputs

        sequences = (sequences, _swap(self.mask))
        options["length"] = self.length
        return scan(carrying_step, state, sequences, **options)


class Packed:
    """Only the real tokens, step by step: `(N, ...)`.

    The t-th real token of each row belongs to step t, wherever padding lies,
    and the rows are sorted, most tokens first: each step has the first of
    them. Their number at a step is rounded up, with padding, to one of a few:
    products of matrices of many different sizes are slow to start.
    """

    is_packed = True

    def __init__(self, mask: Tensor, carries: bool) -> None:
        self.shape = rows, total = ops.shape(mask)
        self.carries = carries
        mask = ops.cast(mask, "int32")
        lengths = ops.sum(mask, axis=1)
        self.order = ops.cast(ops.argsort(-lengths), "int32")
        self.rank = ops.cast(ops.argsort(self.order), "int32")
        numbers = ops.arange(rows, dtype="int32")
        steps = ops.arange(ops.max(lengths, initial=1), dtype="int32")
        steps = ops.expand_dims(steps, 1)
        is_real = steps < take(lengths, self.order)
        self.counts = ops.sum(ops.cast(is_real, "int32"), axis=1)
        rounded = (self.counts + ROWS - 1) // ROWS * ROWS
        self.sizes = ops.minimum(rounded, rows)
        is_run = numbers < ops.expand_dims(self.sizes, 1)
        chosen = ops.nonzero(ops.reshape(is_run, (-1,)))[0]
        # The places of the real tokens of a row, then those of its padding.
        places = ops.cast(ops.argsort(1 - mask), "int32")
        places += total * ops.expand_dims(numbers, 1)
        places = ops.transpose(take(places, self.order))
        places = ops.reshape(places[: ops.shape(steps)[0]], (-1,))
        self.index = take(places, chosen)
        self.is_real = take(ops.reshape(is_real, (-1,)), chosen)
        self.row = chosen % ops.cast(ops.maximum(rows, 1), chosen.dtype)

    def pack(self, values: Tensor) -> Tensor:
        """`(B, T, ...)` -> what `scan` takes, `(N, ...)`."""
        flat = ops.reshape(values, (-1, *values.shape[2:]))
        return take(flat, self.index)

    def unpack(self, values: Tensor) -> Tensor:
        """What `scan` returns -> `(B, T, ...)`, 0 on padding."""
        values = values * ops.cast(_like(self.is_real, values), values.dtype)
        rows, total = self.shape
        rest = ops.shape(values)[1:]
        flat = _put(self.index, values, (rows * total, *rest))
        return ops.reshape(flat, (rows, total, *rest))

    def spread(self, rows: Tensor, like: Tensor) -> Tensor:
        """`(B, 1, C)` -> the same at each step, `(N, 1, C)`."""
        return take(rows, self.row)

    def sort(self, rows: Any) -> Any:
        """Nested `(B, ...)` -> the same in the order of the scan's rows."""
        return self._move(rows, self.rank, self.order)

    def restore(self, rows: Any) -> Any:
        """Undoes `sort`."""
        return self._move(rows, self.order, self.rank)

    def _move(self, rows: Any, targets: Tensor, sources: Tensor) -> Any:
        def move(values: Tensor) -> Tensor:
            if not keras.backend.is_float_dtype(_dtype(values)):
                return take(values, sources)
            return _put(targets, values, ops.shape(values))

        return keras.tree.map_structure(move, rows)

    def scan(
        self, step: Callable, state: Any, sequences: Any, **options: Any
    ) -> tuple[Any, Any]:
        """Runs `recurrence.scan` over sequences of this layout."""
        options["sizes"] = self.sizes
        if self.carries:
            options["counts"] = self.counts
        return scan(step, state, sequences, **options)


def _put(index: Tensor, values: Tensor, shape: tuple) -> Tensor:
    """Puts each row of `values` where `index` says; its gradient is a take.

    That of a take adds up rows instead, which is slow.
    """
    return ops.scatter(ops.expand_dims(index, 1), values, shape)


def _swap(values: Tensor) -> Tensor:
    axes = list(range(len(values.shape)))
    return ops.transpose(values, (1, 0, *axes[2:]))


def _like(mask: Tensor, values: Tensor) -> Tensor:
    """Adds axes to a mask until it has those of `values`."""
    missing = len(values.shape) - len(mask.shape)
    return ops.reshape(mask, (*ops.shape(mask), *[1] * missing))


def _dtype(values: Tensor) -> str:
    return keras.backend.standardize_dtype(values.dtype)
