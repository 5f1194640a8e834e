"""Recurrent layers that run over a source one way, or both."""

from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.layers.cells import Cell
from keras_s2s.layers.cells import make_cell
from keras_s2s.layers.stack import run_cell
from keras_s2s.recurrence import Layout

Tensor: TypeAlias = Any


def make_cells(
    kind: str, units: int, both: bool, layer: int, dtype: Any
) -> list[Cell]:
    """Makes the cells of a layer: forward, and backward if it runs `both`.

    Args:
        kind: str. As in `make_cell`.
        units: int > 0. Size of each cell.
        both: bool. Whether the layer runs in both directions.
        layer: int >= 0. Its number, for names.
        dtype: dtype policy.
    """
    directions = ("forward", "backward") if both else ("forward",)
    return [
        make_cell(kind, units, dtype=dtype, name=f"{direction}_{layer}")
        for direction in directions
    ]


def run_cells(
    cells: list[Cell],
    x: Tensor,
    rows: Tensor,
    layout: Layout,
    first: list[Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Runs the cells of a layer over a sequence.

    Args:
        cells: list of built `Cell`, as `make_cells` returns them.
        x: float `(..., D)`, packed by `layout`.
        rows: int. The batch size, B.
        layout: a `Layout`.
        first: list of float `(B, units)`, in the order of the layout, or
            None. The first state of each cell. Default: zeros.

    Returns:
        Float `(..., D)`, the outputs of all cells side by side, and the list
        of their last states, float `(B, D)`, likewise.
    """
    zeros = ops.zeros((rows, cells[0].units), x.dtype)
    results = []
    for cell, reverse in zip(cells, (False, True)):
        state = first or [zeros] * cell.num_states
        results.append(run_cell(cell, cell.project(x), state, layout, reverse))
    outputs = ops.concatenate([r[0] for r in results], axis=-1)
    states = zip(*[r[1] for r in results])
    return outputs, [ops.concatenate(s, axis=-1) for s in states]
