"""The convolutional encoder."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.token_encoder import TokenEncoder

Tensor: TypeAlias = Any

# The sum of two values of variance 1, times this, has variance 1.
SCALE = 0.5**0.5


@keras.saving.register_keras_serializable(package="keras_s2s")
class ConvEncoder(TokenEncoder):
    """Embeds the source and runs gated convolutions over it.

    Each block adds to what it reads a convolution with a gated linear unit;
    the last one's result, brought to the size of the embedding, is added to
    the embedding. Unlike in the paper, a decoder weighs these sums as well
    as adding them up, and weights are not normalized.

    Masking: positions that hold `pad_id` are padding. They are 0 before each
    convolution, as what lies beyond the ends is, and in the outputs.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the embedding and of the outputs, D.
        units: int > 0. Size of each block.
        num_layers: int > 0. Number of blocks. Default: 4.
        kernel_size: int > 0, odd. How many positions a convolution sees.
            Default: 3.
        positions, max_positions: as in `TransformerEncoder`, but never
            rotary. Default: "learned", of 1024 tokens at most.
        dropout: float in [0, 1). Share of the embedding and of what each
            convolution reads that is set to 0. Default: 0.0.
        pad_id: int >= 0. Default: 0.

    Call arguments:
        source_ids: int32 `(B, S)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory: `outputs`, float `(B, S, D)`; `mask`, bool `(B, S)`; no state.

    Raises:
        ValueError: a size is not positive, `kernel_size` even, a name
            unknown; more tokens than learned positions.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.ConvEncoder(20, embedding_dim=8, units=16)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> tuple(memory["outputs"].shape)
    (2, 3, 8)

    Source: Gehring et al., 2017, 3.1, 3.2 and 3.5 (how weights start),
    https://arxiv.org/abs/1705.03122; Dauphin et al., 2017 (gated linear
    units), https://arxiv.org/abs/1612.08083
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        num_layers: int = 4,
        kernel_size: int = 3,
        positions: str | None = "learned",
        max_positions: int | None = 1024,
        **kwargs: Any,
    ) -> None:
        sizes = (vocabulary_size, embedding_dim)
        super().__init__(*sizes, positions, max_positions, **kwargs)
        checks.check_positive("units", units)
        checks.check_positive("num_layers", num_layers)
        checks.check_positive("kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            checks.fail("kernel_size", "an odd integer", kernel_size)
        self.units = units
        self.num_layers = num_layers
        self.kernel_size = kernel_size
        kept = 1 - self.dropout
        self.input_dense = keras.layers.Dense(
            units, **self._options("input_dense", kept / embedding_dim)
        )
        self.convolutions = [
            keras.layers.Conv1D(
                2 * units,
                kernel_size,
                padding="same",
                # Half of what it makes are gates, which let half through.
                **self._options(
                    f"convolution_{layer}", 4 * kept / (kernel_size * units)
                ),
            )
            for layer in range(num_layers)
        ]
        self.output_dense = keras.layers.Dense(
            embedding_dim, **self._options("output_dense", 1 / units)
        )

    def _options(self, name: str, variance: float) -> dict[str, Any]:
        start = keras.initializers.RandomNormal(stddev=variance**0.5)
        policy = self.dtype_policy
        return {"name": name, "dtype": policy, "kernel_initializer": start}

    def build(self, source_ids_shape: tuple) -> None:
        super().build(source_ids_shape)
        self.input_dense.build((None, None, self.embedding_dim))
        for layer in (*self.convolutions, self.output_dense):
            layer.build((None, None, self.units))

    def call(
        self, source_ids: Tensor, training: bool | None = None
    ) -> dict[str, Any]:
        embedded, mask = self.embed(source_ids, training)
        is_real = ops.cast(ops.expand_dims(mask, -1), embedded.dtype)
        x = self.input_dense(embedded)
        for convolution in self.convolutions:
            inputs = self.dropout_layer(x, training=training) * is_real
            x = (x + ops.glu(convolution(inputs))) * SCALE
        x = (self.output_dense(x) + embedded) * SCALE
        return {"outputs": x * is_real, "mask": mask}

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "num_layers": self.num_layers,
            "kernel_size": self.kernel_size,
        }
        return {**super().get_config(), **config}
