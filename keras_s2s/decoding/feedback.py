"""A step function of numbers, fed by its own output."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.candidates import write_step

Tensor: TypeAlias = Any


def feed_back(
    step: Callable,
    state: Any,
    context: Any,
    start: Tensor,
    num_steps: int | Tensor,
) -> Tensor:
    """Runs `step` on what it wrote itself, in one loop of the graph.

    Of numbers there is nothing to choose from: what a step writes is what
    the next one reads, and gradients flow through.

    Args:
        step: callable `step(vectors, state, context, position)`. `vectors`
            is float `(B, K, C)`, `position` an int32 scalar tensor that
            counts from 0. Returns vectors `(B, K, C)` and the state that
            follows, of the structure, shapes and dtypes that it had.
        state: nested tensors.
        context: anything that every step reads and none changes.
        start: float or int `(B, K, C)`. What the first step is fed.
        num_steps: int > 0, or an int32 scalar tensor. T.

    Returns:
        `(B, K, T, C)`, of the dtype of `start`.

    Raises:
        ValueError: `num_steps` is not positive.

    Example:

    >>> def halve(vectors, state, context, position):
    ...     return vectors / 2, state
    >>> start = ops.full((1, 1, 1), 8.0)
    >>> feed_back(halve, {}, None, start, 3)[0, 0, :, 0].shape[0]
    3
    """
    if not ops.is_tensor(num_steps):
        checks.check_positive("num_steps", num_steps)
    rows, size, width = ops.shape(start)

    def extend(position: Tensor, carry: dict) -> dict:
        position = ops.cast(position, "int32")
        vectors, state = step(
            carry["vectors"], carry["state"], context, position
        )
        # No shape may change inside a loop, not even in what is known of it.
        vectors = ops.reshape(vectors, (rows, size, width))
        vectors = ops.cast(vectors, start.dtype)
        state = keras.tree.map_structure(
            lambda new, old: ops.reshape(new, ops.shape(old)),
            state,
            carry["state"],
        )
        return {
            "vectors": vectors,
            "state": state,
            "written": write_step(carry["written"], position, vectors),
        }

    carry = {
        "vectors": start,
        "state": state,
        "written": ops.zeros((rows, size, num_steps, width), start.dtype),
    }
    # Unlike a while loop, JAX differentiates it.
    return ops.fori_loop(0, num_steps, extend, carry)["written"]
