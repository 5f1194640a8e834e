"""The encoder that averages over neighbours."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.token_encoder import TokenEncoder

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class PoolingEncoder(TokenEncoder):
    """Embeds the source and averages over a window around each position.

    Masking: positions that hold `pad_id` are padding. No average counts
    them, nor what lies beyond the ends, and outputs there are 0.

    Args:
        vocabulary_size: int > 0.
        embedding_dim: int > 0. Size of the embedding and of the outputs, D.
        pool_size: int > 0. How many positions a window has; of an even
            number one more lies behind the position than before it.
            Default: 5.
        positions, max_positions, pad_id: as in `ConvEncoder`.
        dropout: float in [0, 1). Share of the embedding that is set to 0.
            Default: 0.0.

    Call arguments:
        source_ids: int32 `(B, S)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory, as that of `ConvEncoder`.

    Raises:
        ValueError: a size is not positive, a name unknown; more tokens than
            learned positions.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.PoolingEncoder(20, embedding_dim=8)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]]))
    >>> tuple(memory["outputs"].shape)
    (2, 3, 8)

    Source: Gehring et al., 2016, 3.1, https://arxiv.org/abs/1611.02344
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        pool_size: int = 5,
        positions: str | None = "learned",
        max_positions: int | None = 1024,
        **kwargs: Any,
    ) -> None:
        sizes = (vocabulary_size, embedding_dim)
        super().__init__(*sizes, positions, max_positions, **kwargs)
        checks.check_positive("pool_size", pool_size)
        self.pool_size = pool_size

    def call(
        self, source_ids: Tensor, training: bool | None = None
    ) -> dict[str, Any]:
        x, mask = self.embed(source_ids, training)
        is_real = ops.cast(ops.expand_dims(mask, -1), x.dtype)
        # Both count positions that are not real; their quotient does not.
        total, share = (
            ops.average_pool(values, self.pool_size, 1, "same")
            for values in (x * is_real, is_real)
        )
        outputs = ops.divide_no_nan(total, share) * is_real
        return {"outputs": outputs, "mask": mask}

    def get_config(self) -> dict[str, Any]:
        config = {
            "pool_size": self.pool_size,
        }
        return {**super().get_config(), **config}
