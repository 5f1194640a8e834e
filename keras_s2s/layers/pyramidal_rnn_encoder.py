"""The recurrent encoder that halves the length from layer to layer."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.directions import make_cells
from keras_s2s.layers.directions import run_cells
from keras_s2s.layers.token_encoder import TokenEncoder
from keras_s2s.recurrence import arrange

Tensor: TypeAlias = Any


def pair_steps(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Puts each step and the next one side by side.

    Args:
        x: float `(B, S, C)`, 0 on padding. A last step without another one
            gets zeros, as much padding as there may be.
        mask: bool `(B, S)`.

    Returns:
        Float `(B, P, 2 C)` with P = ceil(S / 2), and bool `(B, P)`: True
        where one of a pair is real.
    """
    x, mask = (
        ops.concatenate([values, ops.zeros_like(values[:, :1])], axis=1)
        for values in (x, mask)
    )
    x = ops.concatenate([x[:, :-1:2], x[:, 1::2]], axis=-1)
    return x, ops.logical_or(mask[:, :-1:2], mask[:, 1::2])


@keras.saving.register_keras_serializable(package="keras_s2s")
class PyramidalRNNEncoder(TokenEncoder):
    """Embeds the source and runs recurrent layers, each half as long.

    The lowest layer reads all S tokens. Each layer above it reads pairs of
    steps of the one below, side by side, so that the memory has P =
    ceil(S / 2^(num_layers - 1)) positions: for long sources, of characters
    say. All layers run in both directions.

    Masking: positions that hold `pad_id` are padding. They change nothing:
    a row carries its state over them, a step without a partner gets zeros,
    and outputs where there is nothing but padding are 0.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the embedding.
        units: int > 0. Size of each layer, for each direction.
        cell: str. "lstm", "gru", "layer_norm_lstm" or "layer_norm_gru".
            Default: "lstm".
        num_layers: int > 0. The lowest one included. Default: 3.
        dropout: float in [0, 1). Share of what each layer reads that is set
            to 0. Default: 0.0.
        positions, max_positions: as in `ConvEncoder`. Default: none.
        pad_id: int >= 0. Default: 0.

    Call arguments:
        source_ids: int32 `(B, S)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory, a dict of `outputs`, float `(B, P, D)` with D = 2 `units`;
        `mask`, bool `(B, P)`; `state`, for each layer in turn the last h,
        and the last c of an LSTM, `(B, D)` each.

    Raises:
        ValueError: a size is not positive, `dropout` outside [0, 1), or a
            name unknown.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.PyramidalRNNEncoder(20, 8, units=16, num_layers=2)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> tuple(memory["outputs"].shape)
    (2, 2, 32)

    Source: Chan et al., 2016, eq. 4, https://arxiv.org/abs/1508.01211; over
    characters, Xie et al., 2016, https://arxiv.org/abs/1603.09727
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        cell: str = "lstm",
        num_layers: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary_size, embedding_dim, **kwargs)
        checks.check_positive("num_layers", num_layers)
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.cells = [
            make_cells(cell, units, True, layer, self.dtype_policy)
            for layer in range(num_layers)
        ]

    @property
    def output_dim(self) -> int:
        return 2 * self.units

    @property
    def state_sizes(self) -> list[int]:
        num_states = self.cells[0][0].num_states
        return [2 * self.units] * (num_states * self.num_layers)

    def memory_length(self, source_length: int) -> int:
        return -(-source_length // 2 ** (self.num_layers - 1))

    def build(self, source_ids_shape: tuple) -> None:
        super().build(source_ids_shape)
        size = self.embedding_dim
        for cells in self.cells:
            for cell in cells:
                cell.build((None, size))
            size = 4 * self.units

    def call(
        self, source_ids: Tensor, training: bool | None = None
    ) -> dict[str, Any]:
        x, mask = self.embed(source_ids, training)
        rows, states = ops.shape(source_ids)[0], []
        for layer, cells in enumerate(self.cells):
            if layer > 0:
                x, mask = pair_steps(x, mask)
                x = self.dropout_layer(x, training=training)
            layout = arrange(mask, compiled=self.supports_jit)
            x, state = run_cells(cells, layout.pack(x), rows, layout)
            x = layout.unpack(x)
            states.extend(layout.restore(state))
        return {"outputs": x, "mask": mask, "state": states}

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
        }
        return {**super().get_config(), **config}
