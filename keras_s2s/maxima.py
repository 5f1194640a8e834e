"""The largest of each row, faster than by a look at all places."""

import math
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


def first_maximum(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the largest of each row: as `ops.max` and `ops.argmax`, faster.

    A maximum takes a fraction of the time of its place, so places are looked
    for in the block with the largest maximum alone: for 950 rows of 8,000 on
    TensorFlow, 2 cores, 2.3 ms instead of 11.

    Args:
        values: float `(R, V)`.

    Returns:
        maxima: float `(R, 1)`.
        places: int32 `(R, 1)`. Of equal values, the first.
    """
    size = values.shape[-1]
    blocks = split_rows(values, block_width(size, 1), -math.inf)
    width = blocks.shape[-1]
    maxima = ops.max(blocks, axis=-1)
    chosen = _first_place(maxima)
    places = _first_place(ops.squeeze(gather_beams(blocks, chosen), 1))
    # With a NaN even padding may be chosen.
    places = ops.minimum(chosen * width + places, size - 1)
    return ops.max(maxima, axis=-1, keepdims=True), places


def _first_place(values: Tensor) -> Tensor:
    return ops.cast(ops.argmax(values, axis=-1, keepdims=True), "int32")


def block_width(size: int, count: int) -> int:
    """Returns a good width of a block, one that divides `size` if any does.

    Searched are `size / width` maxima and `count * width` elements: fewest
    at the root of size / count, and a little wider blocks cost little.
    """
    best = max(1, round(1.5 * math.sqrt(size / count)))
    for width in range(best, 3 * best):
        if size % width == 0:
            return width
    return best


def split_rows(values: Tensor, width: int, padding: float) -> Tensor:
    """Cuts rows `(R, C)` into blocks `(R, ceil(C / width), width)`."""
    rows, size = ops.shape(values)
    num_blocks = -(-size // width)
    missing = num_blocks * width - size
    if missing > 0:
        widths = ((0, 0), (0, missing))
        values = ops.pad(values, widths, constant_values=padding)
    return ops.reshape(values, (rows, num_blocks, width))
