"""One context vector for a whole target."""

from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s import masking

Tensor: TypeAlias = Any

KINDS = ("state", "mean")


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
