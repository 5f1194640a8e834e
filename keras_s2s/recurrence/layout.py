"""How the real tokens of a batch lie in memory while a scan runs over them."""

import itertools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.recurrence.loop import PACKS
from keras_s2s.recurrence.loop import num_parts
from keras_s2s.recurrence.loop import scan
from keras_s2s.recurrence.loop import split_rows
from keras_s2s.recurrence.program import Tensor

Layout: TypeAlias = "Packed | Padded"

# The rows of a packed step are a multiple of it, or all.
ROWS = 8


def arrange(
    mask: Tensor, compiled: bool, carries: bool = True, num_scans: int = 1
) -> Layout:
    """Returns the layout that is fastest here.

    Args:
        mask: bool `(B, T)`. True = real token.
        compiled: bool. Whether XLA compiles what follows: its shapes cannot
            depend on lengths.
        carries: bool. Whether rows must carry their state over padding. With
            padding behind all real tokens, and no use for the last state,
            they need not.
        num_scans: int > 0. How many scans that do not wait for each other run
            over it: what threads share between them then are those, and not
            rows. Default: 1.
    """
    if PACKS and not compiled:
        return Packed(mask, carries, max(1, num_parts() // num_scans))
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
    them. Each of `num_parts` loops runs every n-th of the sorted rows, one
    part behind the other in memory.
    """

    is_packed = True

    def __init__(self, mask: Tensor, carries: bool, num_parts: int = 1) -> None:
        self.shape = rows, total = ops.shape(mask)
        self.carries = carries
        mask = ops.cast(mask, "int32")
        lengths = ops.sum(mask, axis=1)
        order = ops.cast(ops.argsort(-lengths), "int32")
        # The places of the real tokens of a row, then those of its padding.
        places = ops.cast(ops.argsort(1 - mask), "int32")
        places += total * ops.expand_dims(ops.arange(rows, dtype="int32"), 1)
        orders = [order[n::num_parts] for n in range(num_parts)]
        self.order = _concatenate(orders)
        self.rank = ops.cast(ops.argsort(self.order), "int32")
        self.parts, first = [], 0
        for order in orders:
            part = _Part(
                ops.take(lengths, order), ops.take(places, order, axis=0), first
            )
            self.parts.append(part)
            first = first + part.num_rows
        self.index, self.is_real, self.row = (
            _concatenate([getattr(part, name) for part in self.parts])
            for name in ("index", "is_real", "row")
        )

    def pack(self, values: Tensor) -> Tensor:
        """`(B, T, ...)` -> what `scan` takes, `(N, ...)`."""
        flat = ops.reshape(values, (-1, *values.shape[2:]))
        return ops.take(flat, self.index, axis=0)

    def unpack(self, values: Tensor) -> Tensor:
        """What `scan` returns -> `(B, T, ...)`, 0 on padding."""
        values = values * ops.cast(_like(self.is_real, values), values.dtype)
        rows, total = self.shape
        rest = ops.shape(values)[1:]
        flat = _put(self.index, values, (rows * total, *rest))
        return ops.reshape(flat, (rows, total, *rest))

    def spread(self, rows: Tensor, like: Tensor) -> Tensor:
        """`(B, 1, C)` -> the same at each step, `(N, 1, C)`."""
        return ops.take(rows, self.row, axis=0)

    def sort(self, rows: Any) -> Any:
        """Nested `(B, ...)` -> the same in the order of the scan's rows."""
        return self._move(rows, self.rank, self.order)

    def restore(self, rows: Any) -> Any:
        """Undoes `sort`."""
        return self._move(rows, self.order, self.rank)

    def _move(self, rows: Any, targets: Tensor, sources: Tensor) -> Any:
        def move(values: Tensor) -> Tensor:
            if not keras.backend.is_float_dtype(_dtype(values)):
                return ops.take(values, sources, axis=0)
            return _put(targets, values, ops.shape(values))

        return keras.tree.map_structure(move, rows)

    def scan(
        self,
        step: Callable,
        state: Any,
        sequences: Any,
        constants: Any = (),
        deferred: Sequence[Tensor] = (),
        **options: Any,
    ) -> tuple[Any, Any]:
        """Runs `recurrence.scan` over sequences of this layout."""
        rows = [part.num_rows for part in self.parts]
        tokens = [part.num_tokens for part in self.parts]
        marked = {id(tensor) for tensor in deferred}
        is_deferred = [
            id(one) in marked for one in keras.tree.flatten(constants)
        ]
        found = []
        arguments = zip(
            _split(state, rows),
            _split(sequences, tokens),
            _split(constants, rows),
        )
        for part, of_part in zip(self.parts, arguments):
            flat = keras.tree.flatten(of_part[-1])
            options["deferred"] = list(itertools.compress(flat, is_deferred))
            options["sizes"] = part.sizes
            if self.carries:
                options["counts"] = part.counts
            found.append(scan(step, *of_part, **options))
        return keras.tree.map_structure(lambda *one: _concatenate(one), *found)


class _Part:
    """Rows that one loop runs, sorted, most tokens first.

    Their number at a step is rounded up, with padding, to one of a few:
    products of matrices of many different sizes are slow to start.

    Args:
        lengths: int32 `(R,)`, falling. Real tokens.
        places: int32 `(R, T)`. Where they are, then where padding is.
        first: int32 scalar. How many rows stand before these.
    """

    def __init__(self, lengths: Tensor, places: Tensor, first: Any) -> None:
        self.num_rows = ops.shape(lengths)[0]
        steps = ops.arange(ops.max(lengths, initial=1), dtype="int32")
        steps = ops.expand_dims(steps, 1)
        is_real = steps < lengths
        self.counts = ops.sum(ops.cast(is_real, "int32"), axis=1)
        rounded = (self.counts + ROWS - 1) // ROWS * ROWS
        self.sizes = ops.minimum(rounded, self.num_rows)
        self.num_tokens = ops.sum(self.sizes)
        numbers = ops.arange(self.num_rows, dtype="int32")
        is_run = numbers < ops.expand_dims(self.sizes, 1)
        chosen = ops.nonzero(ops.reshape(is_run, (-1,)))[0]
        places = ops.transpose(places)[: ops.shape(steps)[0]]
        self.index = ops.take(ops.reshape(places, (-1,)), chosen)
        self.is_real = ops.take(ops.reshape(is_real, (-1,)), chosen)
        rows = ops.cast(ops.maximum(self.num_rows, 1), chosen.dtype)
        self.row = chosen % rows + ops.cast(first, chosen.dtype)


def _split(values: Any, sizes: list) -> list:
    """Nested `(N, ...)` -> the same for each part, N of its own."""
    if len(sizes) == 1:
        return [values]
    # A tensor that is there twice stays one.
    unique = {id(one): one for one in keras.tree.flatten(values)}
    parts = {key: split_rows(one, sizes) for key, one in unique.items()}
    return [
        keras.tree.map_structure(lambda one, n=n: parts[id(one)][n], values)
        for n in range(len(sizes))
    ]


def _concatenate(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts)


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
