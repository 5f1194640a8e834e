"""What users subclass to bring another encoder."""

from typing import Any

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking


class Encoder(keras.layers.Layer):
    """Maps a source to a memory that a decoder reads.

    A subclass writes `call(source_ids, training=None)`, which returns the
    memory: a dict of `outputs`, float `(B, S, D)`; `mask`, bool `(B, S)`,
    True where the source is real; `state`, the list of final states, each
    float `(B, ...)`, or absent; and `source_ids`, int32 `(B, S)`, the words
    at these positions, for a decoder that copies, or absent.

    An encoder of something else than ids, of images or numbers, overrides
    `make_input` as well; one whose memory has more or fewer positions than
    the source, `memory_length`.

    Example:

    >>> class Lookup(Encoder):
    ...     def __init__(self, vocabulary_size, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.embedding = keras.layers.Embedding(vocabulary_size, 8)
    ...     def call(self, source_ids, training=None):
    ...         mask = source_ids != 0
    ...         return {"outputs": self.embedding(source_ids), "mask": mask}
    >>> memory = Lookup(10)(keras.ops.ones((2, 3), "int32"))
    >>> memory["outputs"].shape[-1]
    8
    """

    # What ids outside the vocabulary are read as; None: there are none.
    unk_id: int | None = None
    # Whether a target goes on from its source, which then has no end token,
    # and may be empty.
    is_prompt: bool = False

    def get_build_config(self) -> None:
        """None: whatever model is loaded calls its encoder, which builds it.

        So a subclass needs no `build` to be saved and loaded.
        """

    def make_input(self) -> keras.KerasTensor:
        """Returns the symbolic input of a functional model."""
        return keras.Input((None,), dtype="int32", name="source_ids")

    def memory_length(self, source_length: int) -> int:
        """Returns how many positions the memory of so many tokens has."""
        return source_length

    def call(self, source_ids: Any, training: bool | None = None) -> dict:
        raise NotImplementedError(
            f"{type(self).__name__} must implement `call`."
        )

    def set_unknown(self, unk_id: int | None) -> None:
        """Sets what ids outside the vocabulary are read as."""
        if unk_id is not None:
            checks.check_ids("unk_id", unk_id, self.vocabulary_size)
        self.unk_id = unk_id

    def known_ids(self, source_ids: Any) -> Any:
        """Int32 `(B, S)` -> the same, `unk_id` where ids are not known."""
        if self.unk_id is None:
            return source_ids
        return masking.known_ids(source_ids, self.vocabulary_size, self.unk_id)

    def with_source_ids(self, memory: dict, source_ids: Any) -> dict:
        """Returns the memory, with the ids where there is an `unk_id`."""
        if self.unk_id is None:
            return memory
        if not isinstance(source_ids, keras.KerasTensor):
            source_ids = ops.cast(source_ids, "int32")
        return {**memory, "source_ids": source_ids}
