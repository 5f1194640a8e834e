"""The recurrent encoder."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.cells import make_cell
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.embedding import TokenEmbedding
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.stack import run_cell
from keras_s2s.recurrence import PREFERS_JIT
from keras_s2s.recurrence import Layout
from keras_s2s.recurrence import arrange

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class RNNEncoder(Encoder):
    """Embeds the source and runs recurrent layers over it.

    Masking: positions that hold `pad_id` are padding. They change nothing:
    a row carries its state over them, and its outputs there are 0.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the embedding.
        units: int > 0. Size of each layer, for each direction.
        cell: str. "lstm" or "gru". Default: "lstm".
        num_layers: int > 0. Default: 1.
        bidirectional: bool. Runs each layer in both directions and
            concatenates their outputs. Default: True.
        dropout: float in [0, 1). Share of the embedding and of what goes
            from layer to layer that is set to 0. Default: 0.0.
        residual: bool. Adds its input to the output of each layer from the
            second on. Default: True.
        pad_id: int >= 0. Default: 0.
        unk_id: int >= 0 or None. What ids from V on, words of a source that
            have none in the vocabulary, are read as; the memory then has
            `source_ids` for a decoder that copies. Default: None.

    Call arguments:
        source_ids: int32 `(B, S)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory, a dict of `outputs`, float `(B, S, D)` with D = `units`, or
        twice that if bidirectional; `mask`, bool `(B, S)`; `state`, for each
        layer in turn the last h, and the last c of an LSTM, `(B, D)` each.

    Raises:
        ValueError: a size is not positive, or `dropout` outside [0, 1).

    Example:

    >>> encoder = RNNEncoder(vocabulary_size=20, embedding_dim=8, units=16)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> tuple(memory["outputs"].shape)
    (2, 3, 32)

    Source: Schuster and Paliwal, 1997 (bidirectional); Wu et al., 2016, 3.1
    (residual), https://arxiv.org/abs/1609.08144
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
        unk_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("vocabulary_size", vocabulary_size)
        if unk_id is not None:
            checks.check_ids("unk_id", unk_id, vocabulary_size)
        checks.check_positive("embedding_dim", embedding_dim)
        checks.check_positive("num_layers", num_layers)
        checks.check_rate("dropout", dropout)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.residual = residual
        self.pad_id = pad_id
        self.unk_id = unk_id
        policy = self.dtype_policy
        self.embedding = TokenEmbedding(
            vocabulary_size, embedding_dim, dtype=policy, name="embedding"
        )
        self.dropout_layer = Dropout(dropout, dtype=policy)
        directions = ("forward", "backward") if bidirectional else ("forward",)
        self.cells = [
            [
                make_cell(cell, units, dtype=policy, name=f"{name}_{layer}")
                for name in directions
            ]
            for layer in range(num_layers)
        ]
        self.supports_jit = PREFERS_JIT

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
        mask = masking.padding_mask(source_ids, self.pad_id)
        layout = arrange(mask, compiled=self.supports_jit)
        x = self.embedding(layout.pack(self.known_ids(source_ids)))
        x = self.dropout_layer(x, training=training)
        zeros = ops.zeros((ops.shape(source_ids)[0], self.units), x.dtype)
        states = []
        for layer in range(self.num_layers):
            outputs, state = self._run_layer(layer, x, zeros, layout)
            if layer > 0 and self.residual:
                outputs = outputs + x
            if layer < self.num_layers - 1:
                outputs = self.dropout_layer(outputs, training=training)
            x = outputs
            states.extend(state)
        states = layout.restore(states)
        memory = {"outputs": layout.unpack(x), "mask": mask, "state": states}
        return self.with_source_ids(memory, source_ids)

    def _run_layer(
        self, layer: int, x: Tensor, zeros: Tensor, layout: Layout
    ) -> tuple[Tensor, list[Tensor]]:
        """Runs both directions of a layer over packed x."""
        results = []
        for cell, reverse in zip(self.cells[layer], (False, True)):
            state = [zeros] * cell.num_states
            projected = cell.project(x)
            results.append(run_cell(cell, projected, state, layout, reverse))
        outputs = ops.concatenate([r[0] for r in results], axis=-1)
        states = zip(*[r[1] for r in results])
        return outputs, [ops.concatenate(s, axis=-1) for s in states]

    def get_config(self) -> dict[str, Any]:
        config = {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "residual": self.residual,
            "pad_id": self.pad_id,
            "unk_id": self.unk_id,
        }
        return {**super().get_config(), **config}
