"""What the searches that draw at random share."""

from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.search import Search
from keras_s2s.decoding.search import Task

Tensor: TypeAlias = Any

LARGEST_KEY = 2**31 - 1


class RandomSearch(Search):
    """Base class of the searches that draw at random.

    With a seed all sentences meet the same random numbers, made by NumPy: a
    result depends on its own sentence alone, on no batch, and is drawn alike
    on every backend, compiled or not. Without one they meet different ones.

    Args:
        temperature: float > 0. What logits are divided by.
        seed: int >= 0 or None.
        constraints: list of `Constraint`, or None.

    Attributes:
        seed_generator: `keras.random.SeedGenerator`, or None with a seed.

    Raises:
        ValueError, TypeError: an argument is not as stated above.
    """

    def __init__(
        self,
        temperature: float,
        seed: int | None,
        constraints: Sequence[Constraint] | None,
    ):
        super().__init__(constraints)
        checks.check_number(
            "temperature",
            temperature,
            0.0,
            open_minimum=True,
            open_maximum=True,
        )
        if seed is not None:
            checks.check_integer("seed", seed, 0)
        self.temperature = temperature
        self.seed = seed
        self.seed_generator = None
        if seed is None:
            self.seed_generator = keras.random.SeedGenerator()

    def draw_uniform(self, task: Task) -> Tensor:
        """Returns float32 `(T, B, K)` in [0, 1): a number for each token.

        Drawn before the loop: a loop needs no seed.
        """
        shape = (task.max_length, task.batch_size, task.beam_size)
        if self.seed is None:
            return keras.random.uniform(
                shape, dtype="float32", seed=self.seed_generator
            )
        numbers = np.random.default_rng(self.seed).random(
            (task.max_length, 1, task.beam_size), "float32"
        )
        return ops.broadcast_to(numbers, shape)

    def draw_keys(self, task: Task) -> Tensor:
        """Returns int32 `(T, B, 2)`, or `(T, 1, 2)` with a seed.

        Each pair stands for as many random numbers as `spread` makes of it.
        """
        if self.seed is None:
            return keras.random.randint(
                (task.max_length, task.batch_size, 2),
                0,
                LARGEST_KEY,
                dtype="int32",
                seed=self.seed_generator,
            )
        keys = np.random.default_rng(self.seed).integers(
            0, LARGEST_KEY, (task.max_length, 1, 2), "int32"
        )
        return ops.convert_to_tensor(keys)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {"temperature": self.temperature, "seed": self.seed}
        return {**config, **super().get_config()}


def spread(keys: Tensor, *shape: int) -> Tensor:
    """Makes uniform random numbers of a pair of keys, by hashing places.

    Integer arithmetic, which is the same on every backend, compiled or not,
    where those have generators of their own.

    Args:
        keys: int32 `(B, 2)`.
        *shape: ints > 0. How many numbers for each pair.

    Returns:
        Float32 `(B, *shape)`, in (0, 1), multiples of 2**-24.

    Source: Wellons, 2018, "lowbias32",
    https://nullprogram.com/blog/2018/07/31/
    """
    ones = [1] * len(shape)
    first, second = (ops.reshape(keys[:, n], (-1, *ones)) for n in range(2))
    places = np.arange(np.prod(shape), dtype="int32").reshape(1, *shape)
    mixed = ops.bitwise_xor(first, places)
    mixed = ops.bitwise_xor(mixed, _shift_right(mixed, 16)) * 0x7FEB352D
    mixed = ops.bitwise_xor(mixed, second)
    # 0x846CA68B, as 32 signed bits.
    mixed = ops.bitwise_xor(mixed, _shift_right(mixed, 15)) * -0x7B935975
    mixed = ops.bitwise_xor(mixed, _shift_right(mixed, 16))
    # 23 bits and a half: float32 holds them exactly, and none is 0 or 1.
    return (ops.cast(_shift_right(mixed, 9), "float32") + 0.5) * 2.0**-23


def _shift_right(values: Tensor, count: int) -> Tensor:
    """Shifts zeros in from the left, as if integers had no sign."""
    shifted = ops.right_shift(values, count)
    return ops.bitwise_and(shifted, 2 ** (32 - count) - 1)
