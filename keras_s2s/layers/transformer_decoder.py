"""The Transformer decoder, with a cache for each step."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.heads import causal_bias
from keras_s2s.layers.heads import mask_bias
from keras_s2s.layers.heads import transpose_keys
from keras_s2s.layers.inputs import ReadsTokens
from keras_s2s.layers.positions import Positions
from keras_s2s.layers.readout import OutputLayer
from keras_s2s.layers.rows import arrange_rows
from keras_s2s.layers.transformer_stack import TransformerStack
from keras_s2s.layers.transformer_stack import check_embedding_dim
from keras_s2s.recurrence import PREFERS_JIT
from keras_s2s.recurrence import make_room
from keras_s2s.recurrence import share_rows

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class TransformerDecoder(ReadsTokens, Decoder):
    """Writes a target by attending what it wrote and a memory.

    In search, keys and values of the memory are projected once and shared by
    all beams of a sentence. Those of the target are written to a cache that
    is never re-ordered: the state says which beam wrote the past of which.

    With cross_attention=False it attends what it wrote alone, as the decoder
    of a `LanguageModel`. A prompt that its beams go on from is read once, by
    `read`, and shared by them.

    Masking: the memory's mask says what attention may see. Padding of the
    target stands behind every real token, so it changes none of them.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of embeddings and of every layer, D.
        hidden_dim: int > 0. Size of the hidden layer of feed-forwards.
        num_layers: int > 0.
        num_heads: int > 0. Attention heads, a divisor of `embedding_dim`.
        dropout, attention_dropout, hidden_dropout: float in [0, 1). As in
            `TransformerEncoder`. Default: 0.0.
        num_kv_heads, activation, normalization, normalize_first, positions,
            scale_embeddings, pad_id: as in `TransformerEncoder`.
        max_positions: int > 0 or None. The longest target, in tokens, where
            positions are learned. Default: None.
        tie_embeddings: bool. The output layer's weights are the target
            embedding's. Default: False.
        cross_attention: bool. Whether each layer attends the memory. False:
            for `LanguageModel`. Default: True.

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos.
        memory: dict, an encoder's result.
        training: bool or None. Whether dropout acts.

    Returns:
        Logits, float `(B, T, V)`.

    Raises:
        ValueError: a size is not positive, or no multiple of `num_heads`; a
            name is unknown; more tokens than learned positions; there is
            an encoder's memory and no cross-attention.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.TransformerEncoder(20, 8, 16, 2, 2)
    >>> decoder = s2s.layers.TransformerDecoder(30, 8, 16, 2, 2)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> target_ids = keras.ops.convert_to_tensor([[2, 9, 8, 7], [2, 4, 0, 0]])
    >>> tuple(decoder(target_ids, memory).shape)
    (2, 4, 30)

    Source: as `TransformerEncoder`; Press and Wolf, 2017 (tied),
    https://arxiv.org/abs/1608.05859
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
        tie_embeddings: bool = False,
        pad_id: int = 0,
        cross_attention: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_embedding_dim(embedding_dim, num_heads, positions)
        self.max_positions = max_positions
        self.scale_embeddings = scale_embeddings
        self.tie_embeddings = tie_embeddings
        self.cross_attention = cross_attention
        self.set_input(vocabulary_size, embedding_dim, pad_id, scale_embeddings)
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
            attends_memory=cross_attention,
            dtype=policy,
            name="stack",
        )
        self.output_layer = OutputLayer(
            self.input_size, tie_embeddings, dtype=policy, name="output"
        )

    @property
    def longest(self) -> int | None:
        """The most tokens that it takes, None if any number."""
        return self.positions_layer.longest

    def build(self, target_ids_shape: tuple, memory_shape: dict) -> None:
        self.features_dim = self.embedding_dim
        shape = (None, None, self.embedding_dim)
        self.embedding.build()
        self.positions_layer.build(shape)
        # What is no encoder's memory has no outputs.
        outputs_shape = memory_shape.get("outputs", (None,))
        self.stack.build(shape, outputs_shape[-1])
        self.output_layer.build((None, self.embedding_dim))

    def features(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> Tensor:
        """As `call`, but float `(B, T, D)`: what the output layer sees.

        0 on padding, whatever rows there are.
        """
        found = self.attended_features(target_ids, memory, training)
        return found["features"]

    def attended_features(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> dict[str, Tensor]:
        """A dict of `features` and the last layer's `weights`, `(B, T, S)`."""
        self._check_memory(memory)
        attended = []
        if self.cross_attention:
            attended = [memory["outputs"], memory["mask"]]

        def read(x: Tensor, mask: Tensor, *attended: Tensor) -> dict:
            contexts = self.stack.prepare(*attended) if attended else None
            inputs = self._begin(x, mask, training)
            x, weights = self.stack.call(*inputs, contexts, training)
            x = x * ops.cast(ops.expand_dims(mask, -1), x.dtype)
            return {"features": x, "weights": weights}

        mask = masking.before_padding(self.find_mask(target_ids))
        x = self._embed_from_first(target_ids)
        return share_rows(read, x, mask, *attended)

    def _check_memory(self, memory: dict[str, Any]) -> None:
        if not self.cross_attention and "outputs" in memory:
            rule = "True where there is a memory to attend"
            cure = "Without one, take `LanguageModel`."
            checks.fail("cross_attention", rule, False, cure)

    def _begin(
        self, x: Tensor, mask: Tensor, training: bool | None
    ) -> tuple[Tensor, Any, Tensor]:
        """What the layers read of embedded tokens, rows, and a causal bias."""
        x = self.dropout_layer(x, training=training)
        rows = arrange_rows(mask, self.supports_jit)
        return x, rows, causal_bias(ops.shape(mask)[1], x.dtype)

    def read(self, ids: Tensor, mask: Tensor) -> dict[str, Any]:
        """Reads what the targets of a search go on from.

        Args:
            ids: int32 `(B, S)`.
            mask: bool `(B, S)`. True up to where each row is read.

        Returns:
            What `prepare` takes where there is no cross-attention.
        """
        x = self._embed_from_first(ids)
        _, _, written = self.stack.read(*self._begin(x, mask, False))
        counts = ops.cast(mask, "int32")
        before = {
            "bias": mask_bias(mask[:, None, None], self.compute_dtype),
            "length": ops.sum(counts, axis=1, keepdims=True),
        }
        layers = [
            {
                **before,
                "key": transpose_keys(own["key"]),
                "value": own["value"],
            }
            for own in written
        ]
        return {"before": layers}

    def project(self, features: Tensor) -> Tensor:
        """Float `(..., D)` -> logits `(..., V)`."""
        return self.output_layer(features, self._tied_embeddings)

    @property
    def _tied_embeddings(self) -> Any:
        return self.embedding.embeddings if self.tie_embeddings else None

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        kernel = self.output_layer.kernel_of(self._tied_embeddings)
        if not self.cross_attention:
            return {"layers": memory["before"], "kernel": kernel}
        layers = self.stack.prepare(memory["outputs"], memory["mask"])
        return {"layers": layers, "kernel": kernel}

    def initial_state(
        self, memory: dict[str, Any], beam_size: int, max_length: int
    ) -> dict[str, Any]:
        self.positions_layer.check_length(max_length, "max_length")
        rows, length = ops.shape(memory["outputs"])[:2]
        state = {
            # Of which beam each token of the past is.
            "beams": ops.full((rows, beam_size, max_length), -1, "int32"),
            "cache": self.stack.initial_cache(
                rows, beam_size, max_length, self.supports_jit
            ),
        }
        if self.cross_attention:
            shape = (rows, beam_size, length)
            state["alignment"] = ops.zeros(shape, self.compute_dtype)
        return state

    def step(
        self,
        token_ids: Tensor,
        state: dict[str, Any],
        context: dict[str, Any],
        position: Tensor,
    ) -> tuple[Tensor, dict[str, Any]]:
        rows, size = ops.shape(token_ids)[:2]
        # (1,), or with what each row has before its first token, (B, 1)
        positions = ops.expand_dims(position, 0)
        if not self.cross_attention:
            positions = positions + context["layers"][0]["length"]
        x = self._embed(token_ids, positions)
        own = ops.arange(size, dtype="int32")
        max_length = ops.shape(state["beams"])[2]
        steps = ops.arange(max_length, dtype="int32")
        beams = ops.where(
            ops.equal(steps, position),
            ops.expand_dims(own, 1),
            state["beams"],
        )
        cache = make_room(state["cache"], position, max_length)
        length = ops.shape(cache[0]["key"])[2]
        # (B, K, T, 1) == (K,) -> (B, 1, K, T * K)
        is_past = ops.equal(ops.expand_dims(beams[:, :, :length], -1), own)
        is_past = ops.reshape(is_past, (rows, 1, size, -1))
        bias = mask_bias(is_past, x.dtype)
        x, cache, weights = self.stack.step(
            x,
            bias,
            cache,
            context["layers"],
            position,
            self.supports_jit,
        )
        new_state = {"beams": beams, "cache": cache}
        if "alignment" in state:
            new_state["alignment"] = weights
        if "features" in state:
            new_state["features"] = x
        return self.output_layer.project(x, context["kernel"]), new_state

    def _embed_from_first(self, ids: Tensor) -> Tensor:
        """Embeds `(B, T)`, whose positions are 0 to T - 1."""
        return self._embed(ids, ops.arange(ops.shape(ids)[1], dtype="int32"))

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        return self.positions_layer(self.embedding(ids), positions)

    def compute_output_spec(
        self, target_ids: Any, memory: Any, training: bool | None = None
    ) -> Any:
        """Not from `call`, which Keras would try with any length it likes."""
        self._check_memory(memory)
        shape = (*target_ids.shape[:2], self.input_size)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = {
            **self.input_config(),
            **self.stack.options,
            "max_positions": self.max_positions,
            "scale_embeddings": self.scale_embeddings,
            "tie_embeddings": self.tie_embeddings,
            "cross_attention": self.cross_attention,
        }
        return {**super().get_config(), **config}
