"""Models whose one loop XLA compiles where they are told to."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_s2s.layers.dense import in_halves
from keras_s2s.models.ensemble import PARTS
from keras_s2s.models.ensemble import describe_parts
from keras_s2s.models.ensemble import make_model
from keras_s2s.models.quantization import quiet
from keras_s2s.recurrence import EXPORT_OPTIONS
from keras_s2s.recurrence import PREFERS_JIT
from keras_s2s.recurrence import prefers_halves


@contextlib.contextmanager
def supporting_jit(layers: list[keras.layers.Layer]) -> Iterator[None]:
    """Has layers do, for a while, only what XLA can compile."""
    before = [layer.supports_jit for layer in layers]
    for layer in layers:
        layer.supports_jit = True
    try:
        yield
    finally:
        for layer, value in zip(layers, before):
            layer.supports_jit = value


class LoopLayer(keras.layers.Layer):
    """Base of the layer that encodes a source and loops over a decoder.

    A subclass writes `call`, and in it loops `with self.supporting_jit():`.

    Args:
        encoder, decoder: built layers.
    """

    def __init__(self, encoder: Any, decoder: Any, **kwargs: Any) -> None:
        super().__init__(dtype=decoder.dtype_policy, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.supports_jit = PREFERS_JIT
        self.built = True
        # Whether XLA compiles the loop though the decoder is trained
        # without it.
        self.compiled = False

    @contextlib.contextmanager
    def supporting_jit(self) -> Iterator[None]:
        """Does, where the loop is compiled, what suits XLA."""
        with contextlib.ExitStack() as stack:
            if self.compiled:
                stack.enter_context(supporting_jit(self.parts()))
                if prefers_halves():
                    stack.enter_context(in_halves(self.decoder))
            yield

    def parts(self) -> list[keras.layers.Layer]:
        """What must support jit for the loop to be compiled.

        No property: saving would follow a list with itself in it for ever.
        """
        return [self, self.encoder, self.decoder]


class LoopModel(keras.Model):
    """Base of the functional models of one `LoopLayer`, `generator`.

    A subclass takes a model and options; `get_config` adds the options.
    """

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.compile`; `jit_compile=True` compiles the loop."""
        compiled = kwargs.get("jit_compile") is True
        with supporting_jit(self.generator.parts() if compiled else []):
            super().compile(*args, **kwargs)
        self.generator.compiled = compiled

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As `keras.Model.compile_from_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def export(self, filepath: Any, **kwargs: Any) -> None:
        """As `keras.Model.export`: the whole loop."""
        compiled, self.generator.compiled = self.generator.compiled, False
        try:
            super().export(filepath, **{**EXPORT_OPTIONS, **kwargs})
        finally:
            self.generator.compiled = compiled

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """As `Seq2Seq.quantize`."""
        with quiet():
            super().quantize(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            **describe_parts(self.generator.encoder, self.generator.decoder),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        options = dict(config)
        parts = {name: options.pop(name) for name in PARTS if name in options}
        return cls(make_model(parts), **options)
