"""The recurrent encoder."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.directions import make_cells
from keras_s2s.layers.directions import run_cells
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.inputs import ReadsTokens
from keras_s2s.recurrence import PREFERS_JIT
from keras_s2s.recurrence import arrange
from keras_s2s.recurrence import share_rows

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class RNNEncoder(ReadsTokens, Encoder):
    """Embeds the source and runs recurrent layers over it.

    Masking: positions that hold `pad_id` are padding. They change nothing:
    a row carries its state over them, and its outputs there are 0.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the embedding.
        units: int > 0. Size of each layer, for each direction.
        cell: str. "lstm", "gru", "layer_norm_lstm" or "layer_norm_gru".
            Default: "lstm".
        num_layers: int > 0. Default: 1.
        bidirectional: bool. Runs each layer in both directions and
            concatenates their outputs. Default: True.
        dropout: float in [0, 1). Share of the embedding and of what goes
            from layer to layer that is set to 0. Default: 0.0.
        residual: bool. Adds its input to the output of each layer from the
            second on, where both have one size. Default: True.
        pad_id: int >= 0. Default: 0.
        bidirectional_layers: int >= 0 or None. How many of the lowest layers
            run in both directions; the others run forward. 1 is GNMT's
            encoder. Default: all, if bidirectional.
        unk_id: int >= 0 or None. What ids from V on, words of a source that
            have none in the vocabulary, are read as; the memory then has
            `source_ids` for a decoder that copies. Default: None.

    Call arguments:
        source_ids: int32 `(B, S)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory, a dict of `outputs`, float `(B, S, D)` with D = `units`, or
        twice that if the last layer is bidirectional; `mask`, bool `(B, S)`;
        `state`, for each layer in turn the last h, and the last c of an
        LSTM, each of the size of its layer's outputs.

    Raises:
        ValueError: a size is not positive, `dropout` outside [0, 1), or more
            `bidirectional_layers` than may be.

    Example:

    >>> encoder = RNNEncoder(vocabulary_size=20, embedding_dim=8, units=16)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> tuple(memory["outputs"].shape)
    (2, 3, 32)

    Source: Schuster and Paliwal, 1997 (bidirectional); Wu et al., 2016, 3.1
    and 3.2 (residual, a stack on a bidirectional layer),
    https://arxiv.org/abs/1609.08144
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        cell: str = "lstm",
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        residual: bool = True,
        pad_id: int = 0,
        bidirectional_layers: int | None = None,
        unk_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("num_layers", num_layers)
        checks.check_rate("dropout", dropout)
        self.set_input(vocabulary_size, embedding_dim, pad_id)
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.residual = residual
        self.set_unknown(unk_id)
        self.bidirectional_layers = bidirectional_layers
        policy = self.dtype_policy
        self.dropout_layer = Dropout(dropout, dtype=policy)
        num_both = self._count_bidirectional()
        self.cells = [
            make_cells(cell, units, layer < num_both, layer, policy)
            for layer in range(num_layers)
        ]
        self.supports_jit = PREFERS_JIT

    def _count_bidirectional(self) -> int:
        """How many layers run in both directions."""
        count = self.bidirectional_layers
        most = self.num_layers if self.bidirectional else 0
        if count is None:
            return most
        checks.check_integer("bidirectional_layers", count, 0)
        if count > most:
            rule = f"at most {most}, the layers that may be bidirectional"
            checks.fail("bidirectional_layers", rule, count)
        return count

    def build(self, source_ids_shape: tuple) -> None:
        self.embedding.build()
        size = self.embedding_dim
        for cells in self.cells:
            for cell in cells:
                cell.build((None, size))
            size = self.units * len(cells)

    def call(
        self, source_ids: Tensor, training: bool | None = None
    ) -> dict[str, Any]:
        mask = self.find_mask(source_ids)
        return self.encode(source_ids, mask, training)

    def encode(
        self,
        source: Tensor,
        mask: Tensor,
        training: bool | None = None,
        first: list[Tensor] | None = None,
    ) -> dict[str, Any]:
        """As `call`, with the mask, bool `(B, S)`, of what is real.

        `first` is the state to begin with, like the memory's `state`, where
        all layers run forward. Default: zeros.
        """

        def read(source: Tensor, mask: Tensor, first: list[Tensor]) -> dict:
            return self._read(source, mask, training, first)

        first = first or []
        # Directions run side by side already, and so do searches.
        if training and min(len(cells) for cells in self.cells) == 1:
            memory = share_rows(read, source, mask, first)
        else:
            memory = read(source, mask, first)
        return self.with_source_ids({**memory, "mask": mask}, source)

    def _read(
        self, source: Tensor, mask: Tensor, training: Any, first: list[Tensor]
    ) -> dict[str, Any]:
        layout = arrange(mask, compiled=self.supports_jit)
        first = layout.sort(first)
        x = self.embedding(layout.pack(self.known_ids(source)))
        x = self.dropout_layer(x, training=training)
        rows, states = ops.shape(source)[0], []
        for layer, cells in enumerate(self.cells):
            count = cells[0].num_states
            begin = first[layer * count : (layer + 1) * count]
            outputs, state = run_cells(cells, x, rows, layout, begin)
            is_like = outputs.shape[-1] == x.shape[-1]
            if layer > 0 and self.residual and is_like:
                outputs = outputs + x
            if layer < self.num_layers - 1:
                outputs = self.dropout_layer(outputs, training=training)
            x = outputs
            states.extend(state)
        return {"outputs": layout.unpack(x), "state": layout.restore(states)}

    def get_config(self) -> dict[str, Any]:
        config = {
            **self.input_config(),
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "residual": self.residual,
            "bidirectional_layers": self.bidirectional_layers,
            "unk_id": self.unk_id,
        }
        return {**super().get_config(), **config}
