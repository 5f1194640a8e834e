"""The recurrent decoder, with attention or a fixed context."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.attention import make_attention
from keras_s2s.layers.bridge import Bridge
from keras_s2s.layers.conditional_stack import CONDITIONAL
from keras_s2s.layers.conditional_stack import check_cell
from keras_s2s.layers.conditional_stack import count_states
from keras_s2s.layers.conditional_stack import make_stack
from keras_s2s.layers.context import KINDS as CONTEXTS
from keras_s2s.layers.context import Reader
from keras_s2s.layers.context import spread
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.inputs import ReadsTokens
from keras_s2s.layers.readout import OutputLayer
from keras_s2s.layers.readout import Readout
from keras_s2s.recurrence import PREFERS_JIT
from keras_s2s.recurrence import Layout
from keras_s2s.recurrence import arrange
from keras_s2s.recurrence import share_rows
from keras_s2s.recurrence import wait_for

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class RNNDecoder(ReadsTokens, Decoder):
    """Writes a target token by token from a memory.

    With h_t = f(h_{t-1}, y_{t-1}, c) and P(y_t) = g(h_t, y_{t-1}, c), the
    context c is a weighted sum of the memory, new at each step (`attention`),
    one vector for the whole target (`context`), or only the first state.

    Masking: the memory's mask says what attention may see. Padding of the
    target stands behind every real token, so it changes none of them.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the target embedding.
        units: int > 0. Size of each layer.
        cell: str. "lstm", "gru", "layer_norm_lstm", "layer_norm_gru" or
            "conditional_gru": a first GRU takes the token, its state asks the
            memory, and a second one takes what is read, in place of input
            feeding. Default: "lstm".
        num_layers: int > 0. Default: 1.
        attention: "additive", "normalized", "dot", "general" (or
            "multiplicative"), "scaled", an `Attention` layer, or None.
            Default: "additive".
        input_feeding: bool. Gives the cell the previous readout (with
            attention) or the context (without) beside the token.
            Default: True.
        bridge: str. How the encoder's state becomes the first state:
            "dense", "pass" or "zero"; see `Bridge`. Default: "dense".
        dropout: float in [0, 1). Share of the embedding, of what goes from
            layer to layer and of the readout that is set to 0. Default: 0.0.
        residual: bool. Adds its input to the output of each layer from the
            second on. Default: True.
        context: str or None. Without attention, the one vector c: "state",
            the encoder's final states side by side; "mean", the mean of its
            outputs; None, no context. Default: None.
        readout: str or None. What the output sees: "attentional", h and c;
            "deep", h, c and y_{t-1}; "linear", h and c without tanh; "state",
            h alone. Default: "attentional" where there is a context, else
            "state".
        readout_units: int > 0. Size of the readout. Default: `units`, or
            `embedding_dim` if the embeddings are tied.
        attention_units: int > 0. Hidden size of additive attention.
            Default: `units`.
        tie_embeddings: bool. The output layer's weights are the target
            embedding's. Default: False.
        pad_id: int >= 0. Default: 0.
        query: str. What asks the memory: "output", that of the last layer;
            "states", all h and c of all layers side by side.
            Default: "output".

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos.
        memory: dict, an encoder's result.
        training: bool or None. Whether dropout acts.

    Returns:
        Logits, float `(B, T, V)`.

    Raises:
        ValueError: a size is not positive, a name unknown, the sizes of
            tied embeddings differ, a conditional cell has no attention, or
            `query` is "states" without attention or with such a cell.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNDecoder(30, embedding_dim=8, units=16)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> target_ids = keras.ops.convert_to_tensor([[2, 9, 8, 7], [2, 4, 0, 0]])
    >>> tuple(decoder(target_ids, memory).shape)
    (2, 4, 30)

    Source: Luong et al., 2015 (attentional vector, input feeding),
    https://arxiv.org/abs/1508.04025; Bahdanau et al., 2015 (attention, deep
    output), https://arxiv.org/abs/1409.0473; Cho et al., 2014 (fixed
    context), https://arxiv.org/abs/1406.1078; Sutskever et al., 2014 (only
    the first state), https://arxiv.org/abs/1409.3215; Sennrich et al., 2017
    (conditional GRU), https://arxiv.org/abs/1703.04357; Vinyals et al., 2015
    (all states), section 2.2, https://arxiv.org/abs/1412.7449
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        cell: str = "lstm",
        num_layers: int = 1,
        attention: Any = "additive",
        input_feeding: bool = True,
        bridge: str = "dense",
        dropout: float = 0.0,
        residual: bool = True,
        context: str | None = None,
        readout: str | None = None,
        readout_units: int | None = None,
        attention_units: int | None = None,
        tie_embeddings: bool = False,
        pad_id: int = 0,
        query: str = "output",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_rate("dropout", dropout)
        checks.check_option("context", context, (None, *CONTEXTS))
        if attention is not None and context is not None:
            checks.fail("context", "None where there is attention", context)
        check_cell(cell, attention, query)
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        if isinstance(attention, dict):  # from a config
            attention = keras.saving.deserialize_keras_object(attention)
        self.attention = attention
        self.input_feeding = input_feeding
        self.bridge = bridge
        self.dropout = dropout
        self.residual = residual
        self.context = context
        self.readout = readout
        self.readout_units = readout_units
        self.attention_units = attention_units
        self.tie_embeddings = tie_embeddings
        self.query = query
        self.supports_jit = PREFERS_JIT
        self.set_input(vocabulary_size, embedding_dim, pad_id, tie_embeddings)
        self._make_layers()

    def _make_layers(self) -> None:
        policy = self.dtype_policy
        self.dropout_layer = Dropout(self.dropout, dtype=policy)
        self.attention_layer = make_attention(
            self.attention, self.attention_units or self.units, dtype=policy
        )
        self.reader = Reader(self.attention_layer, self.context, self.query)
        has_attention = self.attention is not None
        has_context = has_attention or self.context is not None
        kind = self.readout or ("attentional" if has_context else "state")
        size = self.embedding_dim if self.tie_embeddings else self.units
        size = self.readout_units or size
        self.readout_layer = Readout(
            size, kind, has_context, dtype=policy, name="readout"
        )
        self.output_layer = OutputLayer(
            self.input_size, self.tie_embeddings, dtype=policy, name="output"
        )
        is_conditional = self.cell == CONDITIONAL
        takes_feed = has_attention and not is_conditional
        # Whether each step reads what the step before wrote, beside the state.
        self.feeds_back = self.input_feeding and takes_feed
        # Whether the memory is read step by step, in the loop of the cells.
        reads_in_loop = is_conditional or self.reader.needs_steps
        self.is_joint = self.feeds_back or reads_in_loop
        # Whether each step reads the one context of the whole target.
        self.feeds_context = self.input_feeding and self.context is not None

    def build(self, target_ids_shape: tuple, memory_shape: dict) -> None:
        num_states = count_states(self.cell, self.num_layers)
        context_dim = self.reader.build(self.units, num_states, memory_shape)
        self.embedding.build()
        self.readout_layer.build(self.units, context_dim, self.embedding_dim)
        self.features_dim = features_dim = self.readout_layer.dim
        if self.tie_embeddings and features_dim != self.embedding_dim:
            rule = f"the size of the readout, {features_dim}, where the "
            rule += "embeddings are tied"
            checks.fail("embedding_dim", rule, self.embedding_dim)
        self.output_layer.build((None, features_dim))
        self.feeds_readout = self.readout_layer.kind != "state"
        is_read_by_cells = self.cell == CONDITIONAL
        self.reader.show_to(self.readout_layer, context_dim, is_read_by_cells)
        self.feed_dim = 0
        if self.feeds_back:
            self.feed_dim = features_dim if self.feeds_readout else context_dim
        token_dim = self.embedding_dim
        if self.feeds_context:
            token_dim += context_dim
        policy = self.dtype_policy
        sizes = (self.units, self.num_layers)
        options = (self.dropout, self.residual, self.feed_dim)
        self.stack = make_stack(
            self.cell, *sizes, *options, dtype=policy, name="stack"
        )
        self.stack.build((None, token_dim), context_dim)
        self.bridge_layer = Bridge(
            self.bridge, self.stack.state_sizes, dtype=policy, name="bridge"
        )
        self.bridge_layer.build(memory_shape)

    def features(
        self, target_ids: Tensor, memory: dict, training: bool | None = None
    ) -> Tensor:
        """As `call`, but float `(B, T, R)`: what the output layer sees."""
        found = self.attended_features(target_ids, memory, training, False)
        return found["features"]

    def attended_features(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
        keeps_weights: bool = True,
        carries: bool = False,
    ) -> dict[str, Any]:
        """A dict of `features` and, where kept, `weights`, `(B, T, S)`.

        With `carries`, without attention, also the memory's next `state`.
        """
        adds_loss = training and self.reader.has_loss

        def attend(ids: Tensor, mask: Tensor, memory: dict) -> dict:
            layout = arrange(mask, compiled=self.supports_jit, carries=carries)
            keeps = keeps_weights or adds_loss
            return self._attend(ids, memory, layout, training, keeps)

        mask = masking.before_padding(self.find_mask(target_ids))
        found = share_rows(attend, target_ids, mask, memory)
        if adds_loss:
            weights = found["weights"]
            self.add_loss(self.attention_layer.weights_loss(weights, mask))
        return found

    def _attend(
        self,
        ids: Tensor,
        memory: dict[str, Any],
        layout: Layout,
        training: bool | None,
        keeps: bool,
    ) -> dict[str, Any]:
        memory = layout.sort(memory)
        context = self.prepare(memory)
        state = self.initial_state(memory, 1, 0)
        state.pop("alignment", None)
        ids = layout.pack(ops.expand_dims(wait_for(ids, memory), 2))
        inputs = self._embed(ids, context, training, layout.spread)
        projected = inputs["projected"]
        if self.is_joint:
            inputs["masks"] = self.stack.dropout_masks(projected, training)
            inputs.update(self.reader.draw_noise(projected, memory, training))
            found = self._run_joint(inputs, state, context, layout, keeps)
        else:
            cells = state["cells"]
            x, cells = self.stack.run(projected, cells, layout, training)
            found = self.reader.read_all(x, context, layout, keeps)
            vector = self.reader.project(found.pop("vector"))
            x = self.readout_layer.combine(x, vector, inputs.get("token"))
            found["features"] = x
        x = self.dropout_layer(found["features"], training=training)
        found = {
            name: ops.squeeze(layout.unpack(values), 2)
            for name, values in {**found, "features": x}.items()
        }
        if layout.carries:
            cells = layout.restore(keras.tree.flatten(cells))
            found["state"] = [ops.squeeze(one, 1) for one in cells]
        return found

    def project(self, features: Tensor) -> Tensor:
        """Float `(..., R)` -> logits `(..., V)`."""
        tied = self.embedding.embeddings if self.tie_embeddings else None
        return self.output_layer(features, tied)

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        return self.reader.prepare(memory)

    def initial_state(
        self, memory: dict[str, Any], beam_size: int, max_length: int
    ) -> dict[str, Any]:
        tensors = [
            ops.repeat(ops.expand_dims(tensor, 1), beam_size, axis=1)
            for tensor in self.bridge_layer(memory)
        ]
        state = {"cells": self.stack.group(tensors)}
        state.update(self.reader.initial_state(memory, beam_size))
        if self.feeds_back:
            shape = (ops.shape(tensors[0])[0], beam_size, self.feed_dim)
            state["feed"] = ops.zeros(shape, self.compute_dtype)
        return state

    def step(
        self, token_ids: Tensor, state: dict, context: dict, position: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        inputs = self._embed(token_ids, context, False, spread)
        x, weights, new_state = self._advance(inputs, state, context)
        if "alignment" in state:
            new_state["alignment"] = weights
        if "features" in state:
            new_state["features"] = x
        return self.project(x), new_state

    def _embed(
        self, ids: Tensor, context: dict, training: Any, spread: Callable
    ) -> dict[str, Any]:
        """Everything of a step that needs nothing of the step before."""
        embedded = self.dropout_layer(self.embedding(ids), training=training)
        inputs = embedded
        if self.feeds_context:
            vector = spread(context["vector"], embedded)
            inputs = ops.concatenate([embedded, vector], axis=-1)
        inputs = {"projected": self.stack.project(inputs)}
        token = self.readout_layer.project_token(embedded)
        return inputs if token is None else {**inputs, "token": token}

    def _advance(
        self, inputs: dict[str, Any], state: dict[str, Any], context: dict
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """One step: what the output sees, the weights, the next state."""

        def read(x: Tensor, cells: list) -> tuple:
            before = state.get("attention", {})
            noise = inputs.get("noise")
            return self.reader.read(x, cells, context, before, noise)

        x, cells, found = self.stack.advance_and_read(inputs, state, read)
        vector, weights, attention = found
        shown = self.reader.project(vector)
        x = self.readout_layer.combine(x, shown, inputs.get("token"))
        new_state = {"cells": cells}
        if attention:
            new_state["attention"] = attention
        if self.feeds_back:
            new_state["feed"] = x if self.feeds_readout else vector
        return x, weights, new_state

    def _run_joint(
        self,
        inputs: dict,
        state: dict,
        context: dict,
        layout: Layout,
        keeps: bool,
    ) -> dict[str, Tensor]:
        """All layers, attention and readout in one loop."""

        def step(state: dict, inputs: dict, context: dict) -> tuple:
            x, weights, state = self._advance(inputs, state, context)
            kept = {"weights": weights} if keeps else {}
            return state, {"features": x, **kept}

        layers = [self.stack, self.readout_layer]
        options = self.attention_layer.scan_options(context, layers)
        return layout.scan(step, state, inputs, **options)[0]

    def get_config(self) -> dict[str, Any]:
        attention = self.attention
        if isinstance(attention, keras.layers.Layer):
            attention = keras.saving.serialize_keras_object(attention)
        config = {
            **self.input_config(),
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "attention": attention,
            "input_feeding": self.input_feeding,
            "bridge": self.bridge,
            "dropout": self.dropout,
            "residual": self.residual,
            "context": self.context,
            "readout": self.readout,
            "readout_units": self.readout_units,
            "attention_units": self.attention_units,
            "tie_embeddings": self.tie_embeddings,
            "query": self.query,
        }
        return {**super().get_config(), **config}
