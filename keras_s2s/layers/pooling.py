"""One vector for a whole source."""

from typing import Any
from typing import TypeAlias

import keras

from keras_s2s import checks
from keras_s2s.layers.context import POOLINGS
from keras_s2s.layers.context import pool_memory

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class MemoryPooling(keras.layers.Layer):
    """Makes one vector of a memory: the body of a classifier.

    Behind it stands any head, such as `keras.layers.Dense(num_classes)`.

    Masking: positions that the memory masks have no part in it. The result
    for a source of only padding is 0.

    Args:
        kind: str. "mean" or "max", of the outputs over all positions;
            "state", the final states side by side, where the encoder has
            them. Default: "mean".

    Call arguments:
        memory: dict, an encoder's result.

    Returns:
        Float `(B, D)`.

    Raises:
        ValueError: `kind` is unknown, or "state" without a state.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> source = encoder.make_input()
    >>> pooled = s2s.layers.MemoryPooling()(encoder(source))
    >>> model = keras.Model(source, keras.layers.Dense(3)(pooled))
    >>> model(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]])).shape[-1]
    3
    """

    def __init__(self, kind: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.check_option("kind", kind, POOLINGS)
        self.kind = kind

    def call(self, memory: dict[str, Any]) -> Tensor:
        if self.kind == "state" and not memory.get("state"):
            rule = "'mean' or 'max' where the encoder has no state"
            checks.fail("kind", rule, self.kind)
        return pool_memory(memory, self.kind)[:, 0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}
