"""Layers: attention, encoders and decoders."""

from keras_s2s.layers.attention import AdditiveAttention
from keras_s2s.layers.attention import Attention
from keras_s2s.layers.attention import MultiplicativeAttention
from keras_s2s.layers.bridge import Bridge
from keras_s2s.layers.conv_encoder import ConvEncoder
from keras_s2s.layers.coverage_attention import CoverageAttention
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.image_encoder import ImageEncoder
from keras_s2s.layers.local_attention import LocalAttention
from keras_s2s.layers.monotonic_attention import MonotonicAttention
from keras_s2s.layers.monotonic_attention import MonotonicChunkwiseAttention
from keras_s2s.layers.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.parallel_attention import ParallelAttention
from keras_s2s.layers.parallel_encoder import ParallelEncoder
from keras_s2s.layers.pointer_generator import PointerGenerator
from keras_s2s.layers.pooling import MemoryPooling
from keras_s2s.layers.pooling_encoder import PoolingEncoder
from keras_s2s.layers.pyramidal_rnn_encoder import PyramidalRNNEncoder
from keras_s2s.layers.rnn_decoder import RNNDecoder
from keras_s2s.layers.rnn_encoder import RNNEncoder
from keras_s2s.layers.rnn_vectors import RNNVectorDecoder
from keras_s2s.layers.rnn_vectors import RNNVectorEncoder
from keras_s2s.layers.stateful_encoder import StatefulEncoder
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.layers.transformer_encoder import TransformerEncoder
from keras_s2s.layers.transformer_vectors import TransformerVectorDecoder
from keras_s2s.layers.transformer_vectors import TransformerVectorEncoder

__all__ = [
    "AdditiveAttention",
    "Attention",
    "Bridge",
    "CoverageAttention",
    "ConvEncoder",
    "Decoder",
    "Encoder",
    "LocalAttention",
    "MonotonicAttention",
    "MonotonicChunkwiseAttention",
    "MemoryPooling",
    "ImageEncoder",
    "MultiHeadAttention",
    "MultiplicativeAttention",
    "ParallelEncoder",
    "ParallelAttention",
    "PoolingEncoder",
    "PyramidalRNNEncoder",
    "PointerGenerator",
    "RNNDecoder",
    "RNNEncoder",
    "RNNVectorDecoder",
    "RNNVectorEncoder",
    "StatefulEncoder",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerVectorDecoder",
    "TransformerVectorEncoder",
]
