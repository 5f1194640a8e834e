"""The layer that encodes a source and searches for its targets."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s.decoding.random_search import RandomSearch
from keras_s2s.decoding.search import Search
from keras_s2s.models.compiled import LoopLayer

Tensor: TypeAlias = Any

# What a beam search adds with `return_beams`.
BEAM_OUTPUTS = {
    "beam_ids": "int32",
    "beam_parents": "int32",
    "beam_scores": "float32",
}


@keras.saving.register_keras_serializable(package="keras_s2s")
class Generator(LoopLayer):
    """Encodes a source and searches for its best targets.

    Args:
        encoder, decoder: built layers.
        search: a search of `keras_s2s.decoding`.
        max_length: int > 0. The most tokens to generate, end token included.
        bos_id, eos_id, pad_id: int >= 0.
        return_alignments: bool.

    Call arguments:
        source: what the encoder takes; int32 `(B, S)` for text.
        inputs: dict of int32 `(B, ...)`. What the constraints of the search
            are told. Default: None, as they ask for nothing.

    Returns:
        The dict that `InferenceModel` returns.
    """

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        search: Search,
        max_length: int,
        bos_id: int,
        eos_id: int,
        pad_id: int,
        return_alignments: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.search = search
        if isinstance(search, RandomSearch):
            # Keras tracks the random state of layers alone.
            self.seed_generator = search.seed_generator
        self.max_length = max_length
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.pad_id = pad_id
        self.return_alignments = return_alignments

    def call(
        self, source: Tensor, inputs: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        with self.supporting_jit():
            return self._search(source, inputs)

    def _search(
        self, source: Tensor, inputs: dict[str, Tensor] | None
    ) -> dict[str, Tensor]:
        memory = self.encoder(source, training=False)
        return self.search.search(
            self.decoder.step,
            self.decoder.initial_state(
                memory, self.search.beam_size, self.max_length
            ),
            self.decoder.prepare(memory),
            batch_size=ops.shape(memory["outputs"])[0],
            max_length=self.max_length,
            bos_id=self.bos_id,
            eos_id=self.eos_id,
            pad_id=self.pad_id,
            record_alignments=self.return_alignments,
            memory_mask=memory.get("mask"),
            inputs=inputs,
            source_lengths=self._count_tokens(source, memory),
        )

    def _count_tokens(self, source: Any, memory: dict) -> Tensor:
        """Returns int32 `(B,)`: ids of each source, or positions."""
        is_real = memory["mask"]
        if hasattr(self.encoder, "vocabulary_size"):
            is_real = source != getattr(self.encoder, "pad_id", 0)
        return ops.sum(ops.cast(is_real, "int32"), axis=1)

    def compute_output_spec(
        self, source: Any, inputs: Any = None
    ) -> dict[str, Any]:
        rows = keras.tree.flatten(source)[0].shape[0]
        count = self.search.num_hypotheses
        hypotheses = (rows, count, self.max_length)
        spec = {
            "ids": keras.KerasTensor(hypotheses, dtype="int32"),
            "lengths": keras.KerasTensor((rows, count), dtype="int32"),
            "scores": keras.KerasTensor((rows, count), dtype="float32"),
            "token_scores": keras.KerasTensor(hypotheses, dtype="float32"),
        }
        if self.return_alignments:
            shape = (*hypotheses, None)
            spec["alignments"] = keras.KerasTensor(shape, dtype="float32")
        if getattr(self.search, "return_beams", False):
            shape = (rows, self.search.beam_size, self.max_length)
            for name, dtype in BEAM_OUTPUTS.items():
                spec[name] = keras.KerasTensor(shape, dtype=dtype)
        return spec
