"""Recurrent cells, split into what needs the previous step and what not."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.normalization import normalize
from keras_s2s.recurrence import linear
from keras_s2s.recurrence import sigmoid
from keras_s2s.recurrence import tanh

Tensor: TypeAlias = Any


class Cell(keras.layers.Layer):
    """What every recurrent cell is made of.

    `project` does all that does not depend on the previous step, so that it
    runs for a whole sequence at once; `advance` does the rest of one step.
    The output of a cell is the first tensor of its state.

    Args:
        units: int > 0. Size of each state tensor.
        feed_dim: int >= 0. Size of a second input that is known only when
            the previous step is done. Default: 0, none.
        layer_norm: bool. Normalizes both parts of the gates, the input's and
            the previous step's, each by itself, before they are added; the
            bias stands behind the normalization. Default: False.

    Source: Ba et al., 2016 (layer normalization), eq. 20 to 29 (supplement),
    https://arxiv.org/abs/1607.06450
    """

    num_gates: int
    num_states: int
    # How many gates are normalized together, one group after the other.
    groups: tuple[int, ...]

    def __init__(
        self,
        units: int,
        feed_dim: int = 0,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("units", units)
        checks.check_integer("feed_dim", feed_dim, 0)
        self.units = units
        self.feed_dim = feed_dim
        self.layer_norm = layer_norm

    def build(self, input_shape: tuple) -> None:
        size = self.num_gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], size),
            initializer="glorot_uniform",
            name="kernel",
        )
        # One matrix for h and, below it, the second input.
        self.recurrent_kernel = self.add_weight(
            shape=(self.units + self.feed_dim, size),
            initializer=self.initialize_recurrent,
            name="recurrent_kernel",
        )
        self.bias = self.add_weight(
            shape=(size,), initializer=self.initialize_bias, name="bias"
        )
        if self.layer_norm:
            self.input_gamma, self.recurrent_gamma = (
                self.add_weight(shape=(size,), initializer="ones", name=name)
                for name in ("input_gamma", "recurrent_gamma")
            )

    def initialize_bias(self, shape: tuple, dtype: str) -> Tensor:
        return ops.zeros(shape, dtype)

    def initialize_recurrent(self, shape: tuple, dtype: str) -> Tensor:
        size = shape[1]
        kernel = keras.initializers.Orthogonal()((self.units, size), dtype)
        if not self.feed_dim:
            return kernel
        feed = keras.initializers.GlorotUniform()((self.feed_dim, size), dtype)
        return ops.concatenate([kernel, feed])

    def project(self, inputs: Tensor) -> Tensor:
        """Float `(..., D)` -> `(..., G)`, the input's part of the gates."""
        gates = linear(inputs, self.kernel)
        if self.layer_norm:
            gates = self.normalize_gates(gates, self.input_gamma)
        # Whose gradient, a sum of all rows, TensorFlow has an operation for.
        return ops.add(gates, ops.cast(self.bias, inputs.dtype))

    def advance(
        self,
        projected: Tensor,
        state: list[Tensor],
        feed: Tensor | None = None,
    ) -> list[Tensor]:
        """One step: `(..., G)`, the state, `(..., F)` -> the next state."""
        raise NotImplementedError

    def recur(self, h: Tensor, feed: Tensor | None) -> Tensor:
        """Returns the part of the gates that the previous step makes."""
        if feed is not None:
            h = ops.concatenate([h, feed], axis=-1)
        gates = linear(h, self.recurrent_kernel)
        if not self.layer_norm:
            return gates
        return self.normalize_gates(gates, self.recurrent_gamma)

    def normalize_gates(self, gates: Tensor, gamma: Any) -> Tensor:
        """Float `(..., G)` -> the same with each group normalized."""
        parts, start = [], 0
        for count in self.groups:
            end = start + count * self.units
            part = normalize(gates[..., start:end], gamma[start:end])
            parts.append(ops.cast(part, gates.dtype))
            start = end
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)

    def call(self, inputs: Tensor, state: list[Tensor]) -> list[Tensor]:
        return self.advance(self.project(inputs), state)

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "feed_dim": self.feed_dim,
            "layer_norm": self.layer_norm,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class LSTMCell(Cell):
    """Long short-term memory: state `[h, c]`, each float `(..., units)`.

    Args:
        units: int > 0. Size of the output.
        feed_dim: int >= 0. Size of a second input, as in `Cell`. Default: 0.
        layer_norm: bool. Normalizes the gates, as in `Cell`, and c where the
            output sees it. Default: False.

    Source: Hochreiter and Schmidhuber, 1997; the forget gate, whose bias
    starts at 1, from Gers et al., 2000, https://doi.org/10.1162/089976600300015015
    """

    num_gates = 4
    num_states = 2
    groups = (4,)

    def build(self, input_shape: tuple) -> None:
        super().build(input_shape)
        if self.layer_norm:
            self.state_gamma, self.state_beta = (
                self.add_weight(shape=(self.units,), initializer=start, name=n)
                for n, start in (
                    ("state_gamma", "ones"),
                    ("state_beta", "zeros"),
                )
            )

    def initialize_bias(self, shape: tuple, dtype: str) -> Tensor:
        is_forget = ops.arange(shape[0]) // self.units == 1
        return ops.cast(is_forget, dtype)

    def advance(
        self,
        projected: Tensor,
        state: list[Tensor],
        feed: Tensor | None = None,
    ) -> list[Tensor]:
        h, c = state
        gates = projected + self.recur(h, feed)
        i, f, o, candidate = ops.split(gates, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(candidate)
        seen = c
        if self.layer_norm:
            seen = normalize(c, self.state_gamma, self.state_beta)
            seen = ops.cast(seen, c.dtype)
        return [sigmoid(o) * tanh(seen), c]


@keras.saving.register_keras_serializable(package="keras_s2s")
class GRUCell(Cell):
    """Gated recurrent unit: state `[h]`, float `(..., units)`.

    The reset gate acts after the recurrent product, as in cuDNN and in
    `keras.layers.GRU`, so that one product serves all gates; a second input
    takes part in it.

    Args:
        units: int > 0. Size of the output.
        feed_dim: int >= 0. Size of a second input, as in `Cell`. Default: 0.
        layer_norm: bool. Normalizes update and reset gate together, and the
            candidate, as in `Cell`. Default: False.

    Source: Cho et al., 2014, eq. 5 to 8, https://arxiv.org/abs/1406.1078
    """

    num_gates = 3
    num_states = 1
    groups = (2, 1)

    def build(self, input_shape: tuple) -> None:
        super().build(input_shape)
        self.candidate_bias = self.add_weight(
            shape=(self.units,), initializer="zeros", name="candidate_bias"
        )

    def advance(
        self,
        projected: Tensor,
        state: list[Tensor],
        feed: Tensor | None = None,
    ) -> list[Tensor]:
        (h,) = state
        recurrent = self.recur(h, feed)
        z, r, n = ops.split(projected, 3, axis=-1)
        update, reset, candidate = ops.split(recurrent, 3, axis=-1)
        update = sigmoid(z + update)
        reset = sigmoid(r + reset)
        bias = ops.cast(self.candidate_bias, h.dtype)
        candidate = tanh(n + reset * (candidate + bias))
        return [candidate + update * (h - candidate)]


# By kind, the cell and whether it normalizes.
CELLS = {
    "lstm": (LSTMCell, False),
    "gru": (GRUCell, False),
    "layer_norm_lstm": (LSTMCell, True),
    "layer_norm_gru": (GRUCell, True),
}


def make_cell(kind: str, units: int, feed_dim: int = 0, **kwargs: Any) -> Cell:
    """Makes a cell by its kind, a key of `CELLS`."""
    checks.check_option("cell", kind, CELLS)
    cell, layer_norm = CELLS[kind]
    return cell(units, feed_dim, layer_norm, **kwargs)
