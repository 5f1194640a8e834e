"""What a recurrent decoder reads of its memory."""

from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.attention import Attention
from keras_s2s.recurrence import Layout

Tensor: TypeAlias = Any

KINDS = ("state", "mean")


class Reader:
    """Reads a memory by attention, as one vector for a whole target, or not.

    Args:
        attention: `Attention` layer or None.
        kind: str or None. Without attention, the one vector: "state" or
            "mean", as in `pool_memory`; None, no vector.

    Raises:
        ValueError: the attention has dropout, which loops cannot repeat.
    """

    def __init__(self, attention: Attention | None, kind: str | None) -> None:
        if getattr(attention, "dropout", 0):
            rule = "without dropout inside a recurrent decoder"
            checks.fail("attention", rule, attention.dropout)
        self.attention = attention
        self.kind = kind

    def build(self, query_dim: int, memory_shape: dict) -> int | None:
        """Builds the attention; returns the size of what is read, C."""
        memory_dim = memory_shape["outputs"][-1]
        if self.attention is not None:
            # A layer that comes from a file is built already.
            if not self.attention.built:
                self.attention.build((query_dim,), (memory_dim,))
            return self.attention.context_dim(query_dim, memory_dim)
        if self.kind == "state":
            return sum(shape[-1] for shape in memory_shape["state"])
        return memory_dim if self.kind == "mean" else None

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        """Memory -> context: what every step reads."""
        if self.attention is not None:
            return self.attention.prepare(memory["outputs"], memory["mask"])
        if self.kind is None:
            return {}
        return {"vector": pool_memory(memory, self.kind)}

    def read(self, x: Tensor, context: dict) -> tuple[Tensor, Tensor]:
        """Float `(B, K, U)` -> `(B, K, C)` and weights, or None for each."""
        if self.attention is None:
            vector = context.get("vector")
            return vector if vector is None else spread(vector, x), None
        return self.attention.attend(x, context)

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

        return layout.scan(step, (), x, **self.scan_options(context))[0]

    def scan_options(self, context: dict, layers: Any = ()) -> dict[str, Any]:
        """What a scan is told of the attention and of other layers."""
        attention = self.attention
        return {
            "constants": context,
            "deferred": [context[key] for key in attention.linear_entries],
            "variables": [
                v for layer in [attention, *layers] for v in layer.variables
            ],
        }


def pool_memory(memory: dict[str, Any], kind: str) -> Tensor:
    """Memory -> float `(B, 1, C)`.

    "state": the final states side by side; "mean": the mean of the outputs,
    padding left out.
    """
    if kind == "state":
        vector = ops.concatenate(list(memory["state"]), axis=-1)
    else:
        mask = ops.expand_dims(memory["mask"], -1)
        vector = masking.masked_mean(memory["outputs"], mask, axis=1)
    return ops.expand_dims(vector, 1)


def spread(vector: Tensor, like: Tensor) -> Tensor:
    """Float `(B, 1, C)` -> `(..., B, K, C)`, for `like` `(..., B, K, D)`."""
    return vector + ops.zeros_like(like[..., :1])
