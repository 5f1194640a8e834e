"""What tells a Transformer where a token stands."""

from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.recurrence import take

Tensor: TypeAlias = Any

KINDS = ("sinusoidal", "learned", "rotary", None)
# Those that are added to embeddings, or nothing.
ADDED = ("sinusoidal", "learned", None)
# The longest wavelength over 2 pi, in tokens.
BASE = 10000.0


def sinusoids(positions: Tensor, size: int, dtype: str) -> Tensor:
    """Returns sines, then cosines, of wavelengths from 2 pi to 2 pi BASE.

    Args:
        positions: int `(...)`, from 0.
        size: int > 0. E. An odd one ends with a 0.
        dtype: str.

    Returns:
        Float `(..., E)`, in [-1, 1].

    Source: Vaswani et al., 2017, 3.5, https://arxiv.org/abs/1706.03762, the
    columns in the order of tensor2tensor.
    """
    half = size // 2
    rates = BASE ** (-np.arange(half) / max(half - 1, 1))
    angles = _angles(positions, rates, dtype)
    parts = [ops.sin(angles), ops.cos(angles)]
    if size % 2:
        parts.append(0.0 * _angles(positions, np.ones(1), dtype))
    return ops.cast(ops.concatenate(parts, axis=-1), dtype)


def rotate(values: Tensor, positions: Tensor) -> Tensor:
    """Turns pairs of columns by an angle that grows with the position.

    The product of a turned query and a turned key depends on their distance
    alone.

    Args:
        values: float `(B, H, T, d)`, d even.
        positions: int `(T,)`, or of any shape that broadcasts to
            `(B, H, T)`.

    Returns:
        Float `(B, H, T, d)`.

    Source: Su et al., 2021, eq. 34, https://arxiv.org/abs/2104.09864, with
    the pairs as GPT-NeoX and Llama take them: column i and column i + d / 2.
    """
    half = values.shape[-1] // 2
    rates = BASE ** (-np.arange(half) / half)
    angles = _angles(positions, rates, values.dtype)
    sine, cosine = (
        ops.cast(function(angles), values.dtype)
        for function in (ops.sin, ops.cos)
    )
    left, right = values[..., :half], values[..., half:]
    turned = [left * cosine - right * sine, right * cosine + left * sine]
    return ops.concatenate(turned, axis=-1)


def _angles(positions: Tensor, rates: np.ndarray, dtype: Any) -> Tensor:
    """Int `(...)`, `(C,)` -> float `(..., C)`, of float32 at least."""
    dtype = keras.backend.result_type(dtype, "float32")
    positions = ops.expand_dims(ops.cast(positions, dtype), -1)
    return positions * ops.convert_to_tensor(rates, dtype)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Positions(keras.layers.Layer):
    """Adds to each embedding what tells its position.

    "rotary" and None add nothing: rotary positions act in attention.

    Args:
        kind: "sinusoidal", "learned", "rotary" or None.
        max_positions: int > 0 or None. How many positions "learned" knows.

    Call arguments:
        inputs: float `(B, T, E)`.
        positions: int32 `(T,)`, from 0, or of any shape that broadcasts.

    Returns:
        Float `(B, T, E)`.

    Raises:
        ValueError: an unknown kind; T > `max_positions`.

    Source: Gehring et al., 2017 (learned), https://arxiv.org/abs/1705.03122
    """

    def __init__(
        self, kind: str | None, max_positions: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        checks.check_option("positions", kind, KINDS)
        if kind == "learned" and max_positions is None:
            rule = "an integer > 0 where positions are learned"
            checks.fail("max_positions", rule, max_positions)
        if max_positions is not None:
            checks.check_positive("max_positions", max_positions)
        self.kind = kind
        self.max_positions = max_positions

    @property
    def longest(self) -> int | None:
        """How many positions there are, None if any number."""
        return self.max_positions if self.kind == "learned" else None

    def build(self, input_shape: tuple) -> None:
        if self.kind == "learned":
            self.table = self.add_weight(
                shape=(self.max_positions, input_shape[-1]),
                initializer=keras.initializers.RandomNormal(
                    stddev=input_shape[-1] ** -0.5
                ),
                name="table",
            )

    def call(self, inputs: Tensor, positions: Tensor) -> Tensor:
        if self.kind == "sinusoidal":
            size = inputs.shape[-1]
            return inputs + sinusoids(positions, size, inputs.dtype)
        if self.kind == "learned":
            if len(positions.shape) == 1:
                self.check_length(positions.shape[0])
            return inputs + take(self.table.value, positions)
        return inputs

    def check_length(self, length: Any, name: str = "length") -> None:
        """Refuses more tokens than there are positions; None is unknown."""
        if self.longest is not None and isinstance(length, int):
            checks.check_length(name, length, self.longest)

    def get_config(self) -> dict[str, Any]:
        config = {"kind": self.kind, "max_positions": self.max_positions}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class GridPositions(keras.layers.Layer):
    """Adds to each cell of a grid what tells its row and its column.

    The first half of a cell tells the row, the rest the column, each as
    `Positions` would.

    Args:
        kind: "sinusoidal", "learned" or None, which adds nothing.

    Call arguments:
        inputs: float `(B, H, W, D)`. H and W must be known to be learned.

    Returns:
        Float `(B, H, W, D)`.

    Raises:
        ValueError: an unknown kind; D is less than 2.

    Source: Carion et al., 2020, A.4, https://arxiv.org/abs/2005.12872
    """

    def __init__(self, kind: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        options = ("sinusoidal", "learned", None)
        checks.check_option("positions", kind, options)
        self.kind = kind

    def build(self, input_shape: tuple) -> None:
        rows, height, width, size = input_shape
        if self.kind is None:
            return
        if size < 2:
            checks.fail("embedding_dim", "at least 2 with positions", size)
        policy = self.dtype_policy
        self.rows, self.columns = (
            Positions(self.kind, length, dtype=policy, name=name)
            for length, name in ((height, "rows"), (width, "columns"))
        )
        self.rows.build((rows, height, width, size // 2))
        self.columns.build((rows, height, width, size - size // 2))

    def call(self, inputs: Tensor) -> Tensor:
        if self.kind is None:
            return inputs
        _, height, width, size = ops.shape(inputs)
        rows, columns = (
            ops.arange(length, dtype="int32") for length in (height, width)
        )
        parts = [
            self.rows(inputs[..., : size // 2], ops.expand_dims(rows, 1)),
            self.columns(inputs[..., size // 2 :], columns),
        ]
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}
