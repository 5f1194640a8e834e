"""What users subclass to bring another encoder."""

from typing import Any

import keras


class Encoder(keras.layers.Layer):
    """Maps a source to a memory that a decoder reads.

    A subclass writes `call(source_ids, training=None)`, which returns the
    memory: a dict of `outputs`, float `(B, S, D)`; `mask`, bool `(B, S)`,
    True where the source is real; and `state`, the list of final states,
    each float `(B, ...)`, or absent.

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
