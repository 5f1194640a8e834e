"""The recurrent encoder and decoder, of vectors in place of ids."""

import keras

from keras_s2s.layers.inputs import VectorSource
from keras_s2s.layers.inputs import VectorTarget
from keras_s2s.layers.rnn_decoder import RNNDecoder
from keras_s2s.layers.rnn_encoder import RNNEncoder


@keras.saving.register_keras_serializable(package="keras_s2s")
class RNNVectorEncoder(VectorSource, RNNEncoder):
    """`RNNEncoder` of a sequence of vectors: of series, frames, sensors.

    A linear map stands in place of the token embedding. A subclass of a final
    class, as it differs in what it reads only.

    Masking: a position of nothing but NaN is padding, unless `mask` says what
    is; padding changes nothing. Any other NaN is a missing value, read as 0
    plus a learned vector. 0 stands for itself, unlike in
    `keras.layers.Masking`: it is what a constant series is standardized to.

    Args:
        vector_dim: int > 0. Size of each vector, C.
        embedding_dim: int > 0. Size of what it is mapped to.
        units: int > 0. Size of each layer, for each direction.
        **options: as in `RNNEncoder`, without `pad_id`.

    Call arguments:
        source_vectors: float `(B, S, C)`. Standardized values learn best.
        training: bool or None. Whether dropout acts.
        mask: bool `(B, S)` or None, True where the source is real. That of
            `keras.layers.Masking` comes by itself. Default: where any value
            of a position is no NaN.

    Returns:
        Memory, the dict that `RNNEncoder` returns.

    Raises:
        ValueError: a size is not positive; `source_vectors` of another rank
            or size.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNVectorEncoder(2, embedding_dim=8, units=16)
    >>> series = s2s.data.pad_rows([[[0.5, 1.0]], [[0.1, 0.2], [0.3, 0.4]]])
    >>> memory = encoder(series)
    >>> tuple(memory["outputs"].shape)
    (2, 2, 32)
    """


@keras.saving.register_keras_serializable(package="keras_s2s")
class RNNVectorDecoder(VectorTarget, RNNDecoder):
    """`RNNDecoder` of a sequence of vectors, fed by its own output.

    Linear maps stand in place of the token embedding and of the logits. In
    training it reads the target, shifted by one; `models.Forecaster` feeds it
    what it wrote. A subclass of a final class, as it differs in what it reads
    and writes only.

    Masking: as in `RNNDecoder`; target positions of nothing but NaN behind
    the last real one are padding, any other NaN is a missing value.

    Args:
        vector_dim: int > 0. Size of each vector, read or written, C.
        embedding_dim: int > 0. Size of what it is mapped to.
        units: int > 0. Size of each layer.
        **options: as in `RNNDecoder`, without `pad_id` and `tie_embeddings`.

    Call arguments:
        target_vectors: float `(B, T, C)`. What each step is fed: what stands
            before the vector that it writes.
        memory: dict, an encoder's result.
        training: bool or None. Whether dropout acts.

    Returns:
        Float `(B, T, C)`.

    Raises:
        ValueError: what `RNNDecoder` refuses; `target_vectors` of another
            rank or size; embeddings that are tied.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNVectorEncoder(2, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNVectorDecoder(2, embedding_dim=8, units=16)
    >>> memory = encoder(keras.ops.ones((1, 5, 2)))
    >>> tuple(decoder(keras.ops.ones((1, 3, 2)), memory).shape)
    (1, 3, 2)

    Source: Graves, 2013 (real-valued prediction fed back),
    https://arxiv.org/abs/1308.0850
    """
