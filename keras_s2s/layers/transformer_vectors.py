"""The Transformer encoder and decoder, of vectors in place of ids."""

import keras

from keras_s2s.layers.inputs import VectorSource
from keras_s2s.layers.inputs import VectorTarget
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.layers.transformer_encoder import TransformerEncoder


@keras.saving.register_keras_serializable(package="keras_s2s")
class TransformerVectorEncoder(VectorSource, TransformerEncoder):
    """`TransformerEncoder` of a sequence of vectors.

    A linear map stands in place of the token embedding. A subclass of a final
    class, as it differs in what it reads only.

    Masking: as in `RNNVectorEncoder`.

    Args:
        vector_dim: int > 0. Size of each vector, C.
        embedding_dim, hidden_dim, num_layers, num_heads, **options: as in
            `TransformerEncoder`, without `pad_id`.

    Call arguments:
        source_vectors, training, mask: as in `RNNVectorEncoder`.

    Returns:
        Memory, the dict that `TransformerEncoder` returns.

    Raises:
        ValueError: what `TransformerEncoder` refuses; `source_vectors` of
            another rank or size.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.TransformerVectorEncoder(2, 8, 16, 1, 2)
    >>> tuple(encoder(keras.ops.ones((1, 5, 2)))["outputs"].shape)
    (1, 5, 8)
    """


@keras.saving.register_keras_serializable(package="keras_s2s")
class TransformerVectorDecoder(VectorTarget, TransformerDecoder):
    """`TransformerDecoder` of a sequence of vectors, fed by its own output.

    Masking and feeding: as in `RNNVectorDecoder`. A subclass of a final
    class, as it differs in what it reads and writes only.

    Args:
        vector_dim: int > 0. Size of each vector, read or written, C.
        embedding_dim, hidden_dim, num_layers, num_heads, **options: as in
            `TransformerDecoder`, without `pad_id` and `tie_embeddings`.

    Call arguments:
        target_vectors, memory, training: as in `RNNVectorDecoder`.

    Returns:
        Float `(B, T, C)`.

    Raises:
        ValueError: what `TransformerDecoder` refuses; `target_vectors` of
            another rank or size; embeddings that are tied.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.TransformerVectorEncoder(2, 8, 16, 1, 2)
    >>> decoder = s2s.layers.TransformerVectorDecoder(2, 8, 16, 1, 2)
    >>> memory = encoder(keras.ops.ones((1, 5, 2)))
    >>> tuple(decoder(keras.ops.ones((1, 3, 2)), memory).shape)
    (1, 3, 2)
    """
