"""What encoders and decoders read: token ids, or vectors of numbers."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.embedding import TokenEmbedding
from keras_s2s.layers.embedding import VectorEmbedding

Tensor: TypeAlias = Any


class ReadsTokens:
    """Of a layer that reads ids: its vocabulary, embedding and padding."""

    embedding_class = TokenEmbedding

    def set_input(
        self, size: int, embedding_dim: int, pad_id: int, scale: bool = False
    ) -> None:
        """Sets what says how inputs are read, and makes the embedding."""
        self.set_size(size, pad_id)
        checks.check_positive("embedding_dim", embedding_dim)
        self.embedding_dim = embedding_dim
        self.embedding = self.embedding_class(
            size,
            embedding_dim,
            scale=scale,
            dtype=self.dtype_policy,
            name="embedding",
        )

    def set_size(self, vocabulary_size: int, pad_id: int) -> None:
        """Sets what there is to read."""
        checks.check_positive("vocabulary_size", vocabulary_size)
        checks.check_integer("pad_id", pad_id, 0)
        self.vocabulary_size = vocabulary_size
        self.pad_id = pad_id

    @property
    def input_size(self) -> int:
        """How many ids there are, or how many numbers in a vector."""
        return self.vocabulary_size

    def find_mask(self, inputs: Tensor) -> Tensor:
        """Inputs -> bool `(B, S)`, True where there is something to read."""
        return masking.padding_mask(inputs, self.pad_id)

    def input_config(self) -> dict[str, Any]:
        """The arguments that `set_input` was given."""
        return {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "pad_id": self.pad_id,
        }


class ReadsVectors(ReadsTokens):
    """Of a layer that reads vectors: their size, and NaN for padding."""

    embedding_class = VectorEmbedding
    input_name: str

    def __init__(self, vector_dim: int, *sizes: int, **options: Any) -> None:
        super().__init__(vector_dim, *sizes, **options)

    def set_size(self, vector_dim: int, pad_id: int) -> None:
        """Sets what there is to read."""
        checks.check_positive("vector_dim", vector_dim)
        if pad_id:
            rule = "left out where padding is NaN"
            checks.fail("pad_id", rule, pad_id)
        self.vector_dim = vector_dim

    @property
    def input_size(self) -> int:
        """How many numbers there are in a vector."""
        return self.vector_dim

    def make_input(self) -> keras.KerasTensor:
        """Returns the symbolic input of a functional model."""
        return keras.Input((None, self.vector_dim), name=self.input_name)

    def find_mask(self, inputs: Tensor) -> Tensor:
        """Float `(B, S, C)` -> bool `(B, S)`, False where all are NaN."""
        self.check_shape(inputs)
        return ops.any(masking.value_mask(inputs), axis=-1)

    def check_shape(self, inputs: Any) -> None:
        """Refuses what is not of shape `(B, S, C)`, as far as is known."""
        shape = tuple(inputs.shape)
        if len(shape) != 3 or shape[-1] not in (None, self.vector_dim):
            rule = f"of shape (B, S, {self.vector_dim})"
            checks.fail(self.input_name, rule, shape)

    def input_config(self) -> dict[str, Any]:
        """The arguments that `set_input` was given."""
        return {
            "vector_dim": self.vector_dim,
            "embedding_dim": self.embedding_dim,
        }


class VectorSource(ReadsVectors):
    """Makes an encoder of ids one of vectors: `class X(VectorSource, Y)`."""

    input_name = "source_vectors"

    def call(
        self,
        source_vectors: Tensor,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> dict[str, Any]:
        found = self.find_mask(source_vectors)
        mask = found if mask is None else ops.cast(mask, "bool")
        return self.encode(source_vectors, mask, training)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: the memory holds its mask; a Keras mask ends here."""

    def compute_output_spec(
        self,
        source_vectors: Any,
        training: bool | None = None,
        mask: Any = None,
    ) -> dict[str, Any]:
        """As that of the encoder of ids: a mask changes no shape."""
        self.check_shape(source_vectors)
        return super().compute_output_spec(source_vectors, training=training)


class VectorTarget(ReadsVectors):
    """Makes a decoder of ids one of vectors: `class X(VectorTarget, Y)`."""

    input_name = "target_vectors"

    def set_size(self, vector_dim: int, pad_id: int) -> None:
        """As that of `ReadsVectors`; the output has weights of its own."""
        super().set_size(vector_dim, pad_id)
        if self.tie_embeddings:
            rule = "False where a decoder writes vectors"
            checks.fail("tie_embeddings", rule, True)

    def build(self, target_vectors_shape: tuple, memory_shape: dict) -> None:
        super().build(target_vectors_shape, memory_shape)

    def call(
        self,
        target_vectors: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> Tensor:
        self.check_shape(target_vectors)
        return super().call(target_vectors, memory, training)

    def compute_output_spec(
        self, target_vectors: Any, memory: Any, training: bool | None = None
    ) -> Any:
        """As that of the decoder of ids."""
        self.check_shape(target_vectors)
        return super().compute_output_spec(
            target_vectors, memory, training=training
        )
