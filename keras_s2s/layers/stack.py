"""A recurrent layer over a whole sequence, time first."""

from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.layers.cells import Cell
from keras_s2s.recurrence import scan

Tensor: TypeAlias = Any


def run_cell(
    cell: Cell,
    projected: Tensor,
    state: list[Tensor],
    mask: Tensor | None = None,
    length: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Runs a cell over a projected sequence.

    Args:
        cell: a built `Cell`.
        projected: float `(T, B, G)`, from `cell.project`.
        state: list of float `(B, U)`. The first state.
        mask: bool `(T, B, 1)` or None. A row carries its state over padding.
        length: int32 scalar. Steps from here on are not run. Default: T.
        reverse: bool. Runs from the last step to the first. Default: False.

    Returns:
        Float `(T, B, U)`, the outputs, and the last state.
    """

    def step(state: list, inputs: dict, constants: Any) -> tuple:
        new_state = cell.advance(inputs["projected"], state)
        if "mask" in inputs:
            new_state = [
                ops.where(inputs["mask"], new, old)
                for new, old in zip(new_state, state)
            ]
        return new_state, new_state[0]

    sequences = {"projected": projected}
    if mask is not None:
        sequences["mask"] = mask
    return scan(
        step,
        state,
        sequences,
        variables=cell.variables,
        length=length,
        reverse=reverse,
    )
