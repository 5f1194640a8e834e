"""What a recurrent decoder reads of its memory."""

import math
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.attention import Attention
from keras_s2s.layers.readout import Readout
from keras_s2s.recurrence import Layout

Tensor: TypeAlias = Any

KINDS = ("state", "mean")
POOLINGS = (*KINDS, "max")
QUERIES = ("output", "states")


class Reader:
    """Reads a memory by attention, as one vector for a whole target, or not.

    Args:
        attention: `Attention` layer or None.
        kind: str or None. Without attention, the one vector: "state" or
            "mean", as in `pool_memory`; None, no vector.
        query: str. What asks the memory: "output", that of the last layer;
            "states", all states of all layers side by side.

    Raises:
        ValueError: the attention has dropout, which loops cannot repeat.
    """

    def __init__(
        self, attention: Attention | None, kind: str | None, query: str
    ) -> None:
        if getattr(attention, "dropout", 0):
            rule = "without dropout inside a recurrent decoder"
            checks.fail("attention", rule, attention.dropout)
        self.attention = attention
        self.kind = kind
        self.query = query
        self.readout = None
        self.projects_memory = False

    def build(
        self, units: int, num_states: int, memory_shape: dict
    ) -> int | None:
        """Builds the attention; returns the size of what is read, C."""
        if self.attention is None and self.kind is None:
            return None
        query_dim = units * (num_states if self.query == "states" else 1)
        memory_dim = memory_shape["outputs"][-1]
        if self.attention is not None:
            # A layer that comes from a file is built already.
            if not self.attention.built:
                self.attention.build((query_dim,), (memory_dim,))
            return self.attention.context_dim(query_dim, memory_dim)
        if self.kind == "state":
            return sum(shape[-1] for shape in memory_shape["state"])
        return memory_dim

    def show_to(
        self, readout: Readout, size: int | None, is_read_by_cells: bool
    ) -> None:
        """Says which built layer sees what is read, of size C, and whether
        cells read it, too.

        If nobody else does, the memory may be multiplied by the kernel of the
        readout, once, in place of the sum of it that each step reads.
        """
        self.readout = readout
        self.projects_memory = (
            getattr(self.attention, "sums_value", False)
            and readout.kind != "state"
            and not is_read_by_cells
            and readout.dim <= size
        )

    def project(self, vector: Tensor | None) -> Tensor | None:
        """What was read -> what the readout takes of it."""
        if self.projects_memory:
            return vector
        return self.readout.project_context(vector)

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        """Memory -> context: what every step reads."""
        if self.attention is not None:
            context = self.attention.prepare(memory["outputs"], memory["mask"])
            if self.projects_memory:
                value = self.readout.project_context(context["value"])
                context = {**context, "value": value}
            return context
        if self.kind is None:
            return {}
        return {"vector": pool_memory(memory, self.kind)}

    @property
    def is_stateful(self) -> bool:
        """Whether a step reads what the steps before it left."""
        return self.attention is not None and self.attention.is_stateful

    @property
    def needs_steps(self) -> bool:
        """Whether it cannot read when all outputs of all steps are there."""
        return self.is_stateful or self.query == "states"

    @property
    def has_loss(self) -> bool:
        """Whether training adds a loss of the weights."""
        return self.attention is not None and self.attention.has_loss

    def initial_state(
        self, memory: dict[str, Any], beam_size: int
    ) -> dict[str, Tensor]:
        """The parts of a first state that belong to the attention.

        `alignment`, where the last step looked, float `(B, K, S)`, for the
        search; and `attention`, where `read` has a state.
        """
        if self.attention is None:
            return {}
        value, mask = memory["outputs"], memory["mask"]
        rows, length = ops.shape(mask)
        shape = (rows, beam_size, length)
        state = {"alignment": ops.zeros(shape, self.attention.compute_dtype)}
        if self.is_stateful:
            first = self.attention.initial_state(value, mask, beam_size)
            state["attention"] = first
        return state

    def draw_noise(
        self, like: Tensor, memory: dict[str, Any], training: bool | None
    ) -> dict[str, Tensor]:
        """`noise` of all steps, `(..., S)` for `like` `(..., D)`, if any."""
        noise = None
        if self.is_stateful:
            noise = self.attention.draw_noise(like, memory["mask"], training)
        return {} if noise is None else {"noise": noise}

    def read(
        self,
        x: Tensor,
        cells: list[list[Tensor]],
        context: dict[str, Any],
        state: dict[str, Tensor],
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Float `(B, K, U)`, the output, and the states of the cells, likewise
        -> `(B, K, C)` and weights, or None for each, and the next state."""
        if self.attention is None:
            vector = context.get("vector")
            vector = vector if vector is None else spread(vector, x)
            return vector, None, state
        if self.query == "states":
            x = ops.concatenate([t for cell in cells for t in cell], axis=-1)
        return self.attention.attend_step(x, context, state, noise)

    def read_all(
        self, x: Tensor, context: dict, layout: Layout, keeps_weights: bool
    ) -> dict[str, Tensor]:
        """As `read`, for all steps, once their states are known.

        A dict of `vector` and, where they are kept and there are any,
        `weights`.
        """
        if self.attention is None:
            vector = context.get("vector")
            if vector is not None:
                vector = layout.spread(vector, x)
            return {"vector": vector}

        def read(x: Tensor, context: dict) -> dict[str, Tensor]:
            vector, weights = self.attention.attend(x, context)
            if keeps_weights:
                return {"vector": vector, "weights": weights}
            return {"vector": vector}

        if not layout.is_packed:
            queries = ops.squeeze(layout.unpack(x), 2)
            return {
                name: layout.pack(ops.expand_dims(values, 2))
                for name, values in read(queries, context).items()
            }

        def step(state: tuple, x: Tensor, context: dict) -> tuple:
            return state, read(x, context)

        options = self.attention.scan_options(context)
        return layout.scan(step, (), x, **options)[0]


def pool_memory(memory: dict[str, Any], kind: str) -> Tensor:
    """Memory -> float `(B, 1, C)`.

    "state": the final states side by side; "mean" and "max": of the outputs,
    padding left out, 0 where there is nothing else.
    """
    if kind == "state":
        vector = ops.concatenate(list(memory["state"]), axis=-1)
        return ops.expand_dims(vector, 1)
    outputs, mask = memory["outputs"], ops.expand_dims(memory["mask"], -1)
    if kind == "mean":
        vector = masking.masked_mean(outputs, mask, axis=1)
        return ops.expand_dims(vector, 1)
    vector = ops.max(ops.where(mask, outputs, -math.inf), axis=1, keepdims=True)
    is_empty = ops.logical_not(ops.any(mask, axis=1, keepdims=True))
    return ops.where(is_empty, 0.0, vector)


def spread(vector: Tensor, like: Tensor) -> Tensor:
    """Float `(B, 1, C)` -> `(..., B, K, C)`, for `like` `(..., B, K, D)`."""
    return vector + ops.zeros_like(like[..., :1])
