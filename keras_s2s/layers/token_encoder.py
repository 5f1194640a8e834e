"""What encoders of token ids share: embedding, positions and dropout."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.inputs import ReadsTokens
from keras_s2s.layers.positions import ADDED
from keras_s2s.layers.positions import Positions
from keras_s2s.recurrence import PREFERS_JIT

Tensor: TypeAlias = Any


class TokenEncoder(ReadsTokens, Encoder):
    """An encoder that begins with an embedding of token ids.

    A subclass writes `call`, and says by `output_dim` and `state_sizes` what
    its memory looks like.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the embedding, E.
        positions: "sinusoidal", "learned" or None. What is added to the
            embedding. Default: None.
        max_positions: int > 0 or None. How many positions "learned" knows.
            Default: None.
        dropout: float in [0, 1). Share of the embedding that is set to 0.
            Default: 0.0.
        pad_id: int >= 0. Default: 0.

    Raises:
        ValueError: a size is not positive, `dropout` outside [0, 1), or a
            name unknown.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        positions: str | None = None,
        max_positions: int | None = None,
        dropout: float = 0.0,
        pad_id: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_rate("dropout", dropout)
        checks.check_option("positions", positions, ADDED)
        self.set_input(vocabulary_size, embedding_dim, pad_id)
        self.dropout = dropout
        self.positions = positions
        self.max_positions = max_positions
        self.supports_jit = PREFERS_JIT
        policy = self.dtype_policy
        self.positions_layer = Positions(
            positions, max_positions, dtype=policy, name="positions"
        )
        self.dropout_layer = Dropout(dropout, dtype=policy)

    @property
    def longest(self) -> int | None:
        """The most tokens that it takes, None if any number."""
        return self.positions_layer.longest

    @property
    def output_dim(self) -> int:
        """The size D of the memory's outputs."""
        return self.embedding_dim

    @property
    def state_sizes(self) -> list[int]:
        """The size of each tensor of the memory's state, if it has one."""
        return []

    def build(self, source_ids_shape: tuple) -> None:
        self.embedding.build()
        self.positions_layer.build((None, None, self.embedding_dim))

    def embed(
        self, source_ids: Tensor, training: bool | None
    ) -> tuple[Tensor, Tensor]:
        """Int32 `(B, S)` -> float `(B, S, E)` and the mask, bool `(B, S)`."""
        places = ops.arange(ops.shape(source_ids)[1], dtype="int32")
        x = self.positions_layer(self.embedding(source_ids), places)
        x = self.dropout_layer(x, training=training)
        return x, self.find_mask(source_ids)

    def compute_output_spec(
        self, source_ids: Any, training: bool | None = None
    ) -> dict[str, Any]:
        """Not from `call`, which Keras would try with any length it likes."""
        rows, length = source_ids.shape
        length = length and self.memory_length(length)
        shape = (rows, length, self.output_dim)
        memory = {
            "outputs": keras.KerasTensor(shape, self.compute_dtype),
            "mask": keras.KerasTensor((rows, length), "bool"),
        }
        if self.state_sizes:
            memory["state"] = [
                keras.KerasTensor((rows, size), self.compute_dtype)
                for size in self.state_sizes
            ]
        return memory

    def get_config(self) -> dict[str, Any]:
        config = {
            **self.input_config(),
            "positions": self.positions,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
        return {**super().get_config(), **config}
