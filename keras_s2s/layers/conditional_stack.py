"""Recurrent layers that read the memory between two cells."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras

from keras_s2s import checks
from keras_s2s.layers.cells import CELLS
from keras_s2s.layers.cells import make_cell
from keras_s2s.layers.context import QUERIES
from keras_s2s.layers.stack import RecurrentStack

Tensor: TypeAlias = Any

# The name of the cell that stands for it.
CONDITIONAL = "conditional_gru"


@keras.saving.register_keras_serializable(package="keras_s2s")
class ConditionalStack(RecurrentStack):
    """A stack whose first layer is two cells, with the memory between them.

    The first cell takes the token; its state asks the memory; the second
    cell takes what was read, and makes the layer's new state of the first
    one's.

    Args:
        cell, units, num_layers, dropout, residual: as in `RecurrentStack`.

    Source: Sennrich et al., 2017, section 2, https://arxiv.org/abs/1703.04357
    """

    def build(self, input_shape: tuple, context_dim: int | None = None) -> None:
        super().build(input_shape)
        self.context_cell = make_cell(
            self.cell, self.units, dtype=self.dtype_policy, name="context_cell"
        )
        self.context_cell.build((None, context_dim))

    def advance_and_read(
        self, inputs: dict[str, Any], state: dict[str, Any], read: Callable
    ) -> tuple[Tensor, list[list[Tensor]], tuple]:
        first, *states = state["cells"]
        first = self.cells[0].advance(inputs["projected"], first)
        found = read(first[0], [first])
        projected = self.context_cell.project(found[0])
        first = self.context_cell.advance(projected, first)
        masks = inputs.get("masks", ())
        return *self.advance_others(first, states, masks), found


def check_cell(cell: str, attention: Any, query: str) -> None:
    """Refuses an unknown cell, and one that does not fit how it reads."""
    checks.check_option("cell", cell, (*CELLS, CONDITIONAL))
    checks.check_option("query", query, QUERIES)
    if attention is None and query != "output":
        checks.fail("query", "'output' without attention", query)
    if cell == CONDITIONAL and attention is None:
        checks.fail("attention", f"some where `cell` is {cell!r}", None)
    if cell == CONDITIONAL and query != "output":
        checks.fail("query", f"'output' where `cell` is {cell!r}", query)


def count_states(cell: str, num_layers: int) -> int:
    """Returns how many state tensors a stack has."""
    kind, _ = CELLS["gru" if cell == CONDITIONAL else cell]
    return num_layers * kind.num_states


def make_stack(cell: str, *args: Any, **kwargs: Any) -> RecurrentStack:
    """Makes the stack of the kind of its cell."""
    if cell == CONDITIONAL:
        return ConditionalStack("gru", *args, **kwargs)
    return RecurrentStack(cell, *args, **kwargs)
