"""State that a layer carries from batch to batch, each row its own."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks

Tensor: TypeAlias = Any


def make_resets_input() -> keras.KerasTensor:
    """Returns the symbolic input that says which rows begin anew."""
    return keras.Input((), dtype="bool", name="resets")


class CarriesState:
    """Of a layer each row of which goes on where the batch before ended.

    Gradients end where a batch begins. `batch_size`, B, is that of every
    batch; where it is None, nothing is carried.

    Source: Williams and Peng, 1990 (truncated backpropagation),
    https://doi.org/10.1162/neco.1990.2.4.490
    """

    batch_size: int | None = None

    def build_carried(self, sizes: list[int]) -> None:
        """Makes what holds the state, a list of float `(B, size)`."""
        self.carried = [
            self.add_weight(
                shape=(self.batch_size, size),
                initializer="zeros",
                trainable=False,
                name=f"carried_{number}",
            )
            for number, size in enumerate(sizes if self.batch_size else [])
        ]

    def resume(self, rows: int | None, resets: Tensor) -> list[Tensor]:
        """Returns the state that a batch begins with.

        Args:
            rows: how many rows it has, as far as is known.
            resets: bool `(B,)`. Which of them begin at zeros.
        """
        if rows not in (None, self.batch_size):
            checks.fail(
                "batch_size", f"that of the model, {self.batch_size}", rows
            )
        # Where the size is not known beforehand, this is what fails.
        resets = ops.reshape(resets, (self.batch_size, 1))
        return [
            ops.where(resets, 0.0, ops.cast(one, self.compute_dtype))
            for one in self.carried
        ]

    def carry(self, state: list[Tensor]) -> None:
        """Keeps the state that a batch ends with for the next one."""
        for variable, value in zip(self.carried, state):
            variable.assign(ops.cast(ops.stop_gradient(value), variable.dtype))

    def reset_states(self) -> None:
        """Has all rows of the next batch begin at zeros."""
        for variable in self.carried:
            variable.assign(ops.zeros(variable.shape, variable.dtype))


def find_carriers(layers: list[Any]) -> list[Any]:
    """Returns those of some layers that carry a state."""
    return [
        layer
        for layer in layers
        if isinstance(layer, CarriesState) and layer.batch_size
    ]
