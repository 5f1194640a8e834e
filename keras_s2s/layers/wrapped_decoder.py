"""A decoder that has another one do most of its work."""

from typing import Any
from typing import TypeAlias

import keras

from keras_s2s.layers.decoder import Decoder

Tensor: TypeAlias = Any


class WrappedDecoder(Decoder):
    """Base of a decoder that writes by another one, `decoder`.

    Args:
        decoder: `Decoder`. What it is built for, a subclass says.
    """

    def __init__(self, decoder: Decoder, **kwargs: Any) -> None:
        super().__init__(**{"dtype": decoder.dtype_policy, **kwargs})
        self.decoder = decoder

    @property
    def vocabulary_size(self) -> int:
        """Number of ids that it writes."""
        return self.decoder.vocabulary_size

    @property
    def longest(self) -> int | None:
        """The most tokens that it takes, None if any number."""
        return getattr(self.decoder, "longest", None)

    @property
    def supports_jit(self) -> bool:
        """Whether XLA is to compile it, as for the decoder."""
        return self.decoder.supports_jit

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        # Keras sets it before there is a decoder.
        if hasattr(self, "decoder"):
            self.decoder.supports_jit = value

    def compute_output_spec(
        self, target_ids: Any, memory: Any, training: bool | None = None
    ) -> Any:
        """Not from `call`, which Keras would try with any length it likes."""
        shape = (*target_ids.shape, self.vocabulary_size)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        decoder = keras.saving.serialize_keras_object(self.decoder)
        return {**super().get_config(), "decoder": decoder}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        decoder = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**{**config, "decoder": decoder})
