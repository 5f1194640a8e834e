"""The Transformer encoder."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.heads import mask_bias
from keras_s2s.layers.inputs import ReadsTokens
from keras_s2s.layers.positions import Positions
from keras_s2s.layers.rows import arrange_rows
from keras_s2s.layers.transformer_stack import TransformerStack
from keras_s2s.layers.transformer_stack import check_embedding_dim
from keras_s2s.recurrence import PREFERS_JIT
from keras_s2s.recurrence import share_rows

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class TransformerEncoder(ReadsTokens, Encoder):
    """Embeds the source and runs self-attention layers over it.

    Masking: positions that hold `pad_id` are padding. No real position
    attends them, and outputs there are 0.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of embeddings and of every layer, D.
        hidden_dim: int > 0. Size of the hidden layer of feed-forwards.
        num_layers: int > 0.
        num_heads: int > 0. Attention heads, a divisor of `embedding_dim`.
        dropout: float in [0, 1). Share of the embedding and of what each
            sublayer adds that is set to 0. Default: 0.0.
        attention_dropout: float in [0, 1). The same of attention weights.
            Default: 0.0.
        hidden_dropout: float in [0, 1). The same of the hidden layer of
            feed-forwards. Default: 0.0.
        num_kv_heads: int > 0 or None. Grouped-query attention: how many
            heads keys and values have, a divisor of `num_heads`.
            Default: `num_heads`.
        activation: str. "relu", "gelu" or "swiglu". Default: "relu".
        normalization: str. "layer" or "rms". Default: "layer".
        normalize_first: bool. Normalizes what each sublayer reads (pre-norm)
            instead of the sum (post-norm). Default: True.
        positions: str or None. "sinusoidal", "learned", "rotary" or none.
            Default: "sinusoidal".
        max_positions: int > 0 or None. The longest source, in tokens, where
            positions are learned. Default: None.
        scale_embeddings: bool. Multiplies embeddings by sqrt(D); they start
            at N(0, 1 / D). Default: True.
        pad_id: int >= 0. Default: 0.
        unk_id: int >= 0 or None. What ids from V on, words of a source that
            have none in the vocabulary, are read as; the memory then has
            `source_ids` for a decoder that copies. Default: None.

    Call arguments:
        source_ids: int32 `(B, S)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory, a dict of `outputs`, float `(B, S, D)`, and `mask`, bool
        `(B, S)`.

    Raises:
        ValueError: a size is not positive, or no multiple of `num_heads`; a
            name is unknown; more tokens than learned positions.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.TransformerEncoder(20, 8, 16, 2, 2)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> tuple(memory["outputs"].shape)
    (2, 3, 8)

    Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762; Xiong et
    al., 2020 (pre-norm), https://arxiv.org/abs/2002.04745; Zhang and
    Sennrich, 2019 (RMSNorm), https://arxiv.org/abs/1910.07467
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        num_kv_heads: int | None = None,
        activation: str = "relu",
        normalization: str = "layer",
        normalize_first: bool = True,
        positions: str | None = "sinusoidal",
        max_positions: int | None = None,
        scale_embeddings: bool = True,
        pad_id: int = 0,
        unk_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_embedding_dim(embedding_dim, num_heads, positions)
        self.set_input(vocabulary_size, embedding_dim, pad_id, scale_embeddings)
        self.max_positions = max_positions
        self.scale_embeddings = scale_embeddings
        self.set_unknown(unk_id)
        self.supports_jit = PREFERS_JIT
        policy = self.dtype_policy
        self.positions_layer = Positions(
            positions, max_positions, dtype=policy, name="positions"
        )
        self.dropout_layer = Dropout(dropout, dtype=policy)
        self.stack = TransformerStack(
            hidden_dim,
            num_layers,
            num_heads,
            dropout,
            attention_dropout,
            hidden_dropout,
            num_kv_heads,
            activation,
            normalization,
            normalize_first,
            positions,
            attends_memory=False,
            dtype=policy,
            name="stack",
        )

    @property
    def longest(self) -> int | None:
        """The most tokens that it takes, None if any number."""
        return self.positions_layer.longest

    def build(self, source_ids_shape: tuple) -> None:
        shape = (None, None, self.embedding_dim)
        self.embedding.build()
        self.positions_layer.build(shape)
        self.stack.build(shape)

    def call(
        self, source_ids: Tensor, training: bool | None = None
    ) -> dict[str, Any]:
        mask = self.find_mask(source_ids)
        return self.encode(source_ids, mask, training)

    def encode(
        self, source: Tensor, mask: Tensor, training: bool | None = None
    ) -> dict[str, Any]:
        """As `call`, with the mask, bool `(B, S)`, of what is real."""
        x = self.positions_layer(
            self.embedding(self.known_ids(source)),
            ops.arange(ops.shape(mask)[1], dtype="int32"),
        )

        def read(x: Tensor, mask: Tensor) -> Tensor:
            x = self.dropout_layer(x, training=training)
            bias = mask_bias(mask[:, None, None], x.dtype)
            rows = arrange_rows(mask, self.supports_jit)
            x, _ = self.stack.call(x, rows, bias, training=training)
            return x * ops.cast(ops.expand_dims(mask, -1), x.dtype)

        # Outside of training searches run side by side, each with a thread.
        outputs = share_rows(read, x, mask) if training else read(x, mask)
        memory = {"outputs": outputs, "mask": mask}
        return self.with_source_ids(memory, source)

    def compute_output_spec(
        self, source_ids: Any, training: bool | None = None
    ) -> dict[str, Any]:
        """Not from `call`, which Keras would try with any length it likes."""
        rows_and_length = source_ids.shape[:2]
        shape = (*rows_and_length, self.embedding_dim)
        memory = {
            "outputs": keras.KerasTensor(shape, dtype=self.compute_dtype),
            "mask": keras.KerasTensor(rows_and_length, dtype="bool"),
        }
        # Another one than the input, which Keras would take for its output.
        ids = keras.KerasTensor(source_ids.shape, dtype="int32")
        return self.with_source_ids(memory, ids)

    def get_config(self) -> dict[str, Any]:
        config = {
            **self.input_config(),
            **self.stack.options,
            "max_positions": self.max_positions,
            "scale_embeddings": self.scale_embeddings,
            "unk_id": self.unk_id,
        }
        return {**super().get_config(), **config}
