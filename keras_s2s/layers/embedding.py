"""Token embeddings whose entries start with variance 1."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_s2s")
class TokenEmbedding(keras.layers.Embedding):
    """An embedding that starts at N(0, 1), or is scaled to that.

    Keras' own start, uniform in [-0.05, 0.05], gives a recurrent layer so
    little to see that it learns several times more slowly.

    Args:
        input_dim: int > 0. Size of the vocabulary.
        output_dim: int > 0. Size of the embedding, E.
        scale: bool. Starts at N(0, 1 / E) and multiplies by sqrt(E): for
            weights that an output layer shares, whose logits would start
            too large. Default: False.

    Call arguments:
        inputs: int `(...)`.

    Returns:
        Float `(..., E)`.

    Source: Vaswani et al., 2017, 3.4 (scaled),
    https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        scale: bool = False,
        **kwargs: Any,
    ) -> None:
        stddev = output_dim**-0.5 if scale else 1.0
        kwargs.setdefault(
            "embeddings_initializer",
            keras.initializers.RandomNormal(stddev=stddev),
        )
        super().__init__(input_dim, output_dim, **kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        # Always a product: its gradient is dense. Given a sparse one, Keras'
        # optimizers on TensorFlow square each occurrence of an id apart, and
        # Adam's step is up to sqrt(n) times too long for an id with n.
        factor = self.output_dim**0.5 if self.scale else 1.0
        table = ops.convert_to_tensor(self.embeddings)
        table = table * ops.cast(factor, table.dtype)
        outputs = ops.take(table, ops.cast(inputs, "int32"), axis=0)
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
