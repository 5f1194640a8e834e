"""From the encoder's final state to the decoder's first."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking

Tensor: TypeAlias = Any

KINDS = ("dense", "pass", "zero")


@keras.saving.register_keras_serializable(package="keras_s2s")
class Bridge(keras.layers.Layer):
    """Makes a decoder's first state from a memory.

    "dense": each tensor is a dense layer with tanh over all final states of
    the encoder side by side, or over the mean of its outputs where it has no
    state; fits any encoder to any decoder. "pass": the encoder's states as
    they are. "zero": zeros; the decoder sees the source by attention alone.

    Args:
        kind: str. "dense", "pass" or "zero".
        sizes: list of int > 0. The size of each tensor of the state.

    Call arguments:
        memory: dict, an encoder's result.

    Returns:
        List of float `(B, size)`.

    Raises:
        ValueError: `kind` is "pass" and the encoder's states have another
            number or other sizes.

    Source: Bahdanau et al., 2015, A.2.2, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, kind: str, sizes: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.check_option("bridge", kind, KINDS)
        self.kind = kind
        self.sizes = list(sizes)
        self.dense = []
        if kind == "dense":
            # Named, for a saved model finds what is quantized by its path.
            self.dense = [
                keras.layers.Dense(
                    size,
                    activation="tanh",
                    dtype=self.dtype_policy,
                    name=f"dense_{number}",
                )
                for number, size in enumerate(self.sizes)
            ]

    def build(self, memory_shape: dict) -> None:
        states = memory_shape.get("state", [])
        sizes = [shape[-1] for shape in states]
        if self.kind == "pass" and sizes != self.sizes:
            checks.fail(
                "bridge",
                f"'dense' or 'zero' where the encoder's states (sizes {sizes})"
                f" are not the decoder's (sizes {self.sizes})",
                self.kind,
            )
        total = sum(sizes) if sizes else memory_shape["outputs"][-1]
        for dense in self.dense:
            dense.build((None, total))

    def call(self, memory: dict) -> list[Tensor]:
        if self.kind == "zero":
            rows = ops.shape(memory["outputs"])[0]
            return [
                ops.zeros((rows, size), self.compute_dtype)
                for size in self.sizes
            ]
        if self.kind == "pass":
            return list(memory["state"])
        if memory.get("state"):
            source = ops.concatenate(list(memory["state"]), axis=-1)
        else:
            mask = ops.expand_dims(memory["mask"], -1)
            source = masking.masked_mean(memory["outputs"], mask, axis=1)
        return [dense(source) for dense in self.dense]

    def get_config(self) -> dict[str, Any]:
        config = {"kind": self.kind, "sizes": self.sizes}
        return {**super().get_config(), **config}
