"""Recurrent layers, one upon the other."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.cells import Cell
from keras_s2s.layers.cells import make_cell
from keras_s2s.layers.dropout import Dropout
from keras_s2s.recurrence import Layout

Tensor: TypeAlias = Any


def run_cell(
    cell: Cell,
    projected: Tensor,
    state: list[Tensor],
    layout: Layout,
    reverse: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Runs a cell over a projected sequence.

    Args:
        cell: a built `Cell`.
        projected: float `(..., G)`, packed by `layout`, from `cell.project`.
        state: list of float `(B, U)`. The first state.
        layout: a `Layout`.
        reverse: bool. Runs from the last step to the first. Default: False.

    Returns:
        Float `(..., U)`, the outputs, and the last state.
    """

    def step(state: list, inputs: Tensor, constants: Any) -> tuple:
        new_state = cell.advance(inputs, state)
        return new_state, new_state[0]

    return layout.scan(
        step, state, projected, variables=cell.variables, reverse=reverse
    )


@keras.saving.register_keras_serializable(package="keras_s2s")
class RecurrentStack(keras.layers.Layer):
    """Layers of cells of one size that run in one direction.

    Args:
        cell: str. As in `make_cell`.
        units: int > 0. Size of each layer.
        num_layers: int > 0.
        dropout: float in [0, 1). Share of what goes from layer to layer that
            is set to 0.
        residual: bool. Adds its input to the output of each layer from the
            second on.
        feed_dim: int >= 0. Size of a second input of the first layer.

    Call arguments:
        inputs: float `(..., D)`, packed by `layout`.
        states: list of the states of the cells, tensors `(B, ..., U)`.
        layout: a `Layout` of the inputs.
        training: bool or None. Whether dropout acts.

    Returns:
        Float `(..., U)`, the outputs of the last layer, and the last states,
        which are of no use where the layout does not carry them.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        num_layers: int,
        dropout: float = 0.0,
        residual: bool = True,
        feed_dim: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("num_layers", num_layers)
        self.cell = cell
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout
        self.residual = residual
        self.feed_dim = feed_dim
        policy = self.dtype_policy
        self.dropout_layer = Dropout(dropout, dtype=policy)
        self.cells = [
            make_cell(
                cell,
                units,
                feed_dim if layer == 0 else 0,
                dtype=policy,
                name=f"cell_{layer}",
            )
            for layer in range(num_layers)
        ]

    def build(self, input_shape: tuple, context_dim: int | None = None) -> None:
        size = input_shape[-1]
        for cell in self.cells:
            cell.build((None, size))
            size = self.units

    def call(
        self,
        inputs: Tensor,
        states: list[list[Tensor]],
        layout: Layout,
        training: bool | None = None,
    ) -> tuple[Tensor, list[list[Tensor]]]:
        return self.run(self.project(inputs), states, layout, training)

    @property
    def state_sizes(self) -> list[int]:
        """The size of each tensor of the states, one after the other."""
        return [self.units] * (self.num_layers * self.cells[0].num_states)

    def group(self, tensors: list[Tensor]) -> list[list[Tensor]]:
        """A flat list of state tensors -> the list of each cell's state."""
        size = self.cells[0].num_states
        return [
            tensors[start : start + size]
            for start in range(0, len(tensors), size)
        ]

    def project(self, inputs: Tensor) -> Tensor:
        """What the first layer needs of all inputs at once."""
        return self.cells[0].project(inputs)

    def run(
        self,
        projected: Tensor,
        states: list[list[Tensor]],
        layout: Layout,
        training: bool | None,
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """A loop for each layer, its input's part done before it."""
        x, last = None, []
        for layer, cell in enumerate(self.cells):
            if layer > 0:
                x = self.dropout_layer(x, training=training)
                projected = cell.project(x)
            outputs, state = run_cell(cell, projected, states[layer], layout)
            last.append(state)
            x = outputs + x if layer > 0 and self.residual else outputs
        return x, last

    def dropout_masks(self, projected: Tensor, training: Any) -> list[Tensor]:
        """What `advance` multiplies with, drawn for all steps at once."""
        if not self.dropout:
            return []
        ones = ops.ones_like(projected[..., : self.units])
        return [
            self.dropout_layer(ones, training=training) for _ in self.cells[1:]
        ]

    def advance(
        self,
        projected: Tensor,
        states: list[list[Tensor]],
        feed: Tensor | None = None,
        masks: Any = (),
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """One step of all layers: the last output, and the states."""
        first = self.cells[0].advance(projected, states[0], feed)
        return self.advance_others(first, states[1:], masks)

    def advance_others(
        self,
        first: list[Tensor],
        states: list[list[Tensor]],
        masks: Any = (),
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """As `advance`, once the first layer has its new state."""
        new_states = [first]
        x = first[0]
        for number, cell in enumerate(self.cells[1:]):
            if masks:
                x = x * masks[number]
            new_states.append(cell.advance(cell.project(x), states[number]))
            output = new_states[-1][0]
            x = output + x if self.residual else output
        return x, new_states

    def advance_and_read(
        self, inputs: dict[str, Any], state: dict[str, Any], read: Callable
    ) -> tuple[Tensor, list[list[Tensor]], tuple]:
        """One step of all layers, and of what they read of a memory.

        Args:
            inputs: dict of `projected` and, in training, `masks`.
            state: dict of `cells`, their states, and maybe `feed`.
            read: callable `read(output, cells)`. Returns a tuple, what is
                read first.

        Returns:
            The last output, the states, and what `read` returned.
        """
        x, cells = self.advance(
            inputs["projected"],
            state["cells"],
            state.get("feed"),
            inputs.get("masks", ()),
        )
        return x, cells, read(x, cells)

    def get_config(self) -> dict[str, Any]:
        config = {
            "cell": self.cell,
            "units": self.units,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "residual": self.residual,
            "feed_dim": self.feed_dim,
        }
        return {**super().get_config(), **config}
