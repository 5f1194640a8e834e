"""Layers: attention, encoders and decoders."""

from keras_s2s.layers.attention import AdditiveAttention
from keras_s2s.layers.attention import Attention
from keras_s2s.layers.attention import MultiplicativeAttention
from keras_s2s.layers.bridge import Bridge
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.image_encoder import ImageEncoder
from keras_s2s.layers.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.rnn_decoder import RNNDecoder
from keras_s2s.layers.rnn_encoder import RNNEncoder
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.layers.transformer_encoder import TransformerEncoder

__all__ = [
    "AdditiveAttention",
    "Attention",
    "Bridge",
    "Decoder",
    "Encoder",
    "ImageEncoder",
    "MultiHeadAttention",
    "MultiplicativeAttention",
    "RNNDecoder",
    "RNNEncoder",
    "TransformerDecoder",
    "TransformerEncoder",
]
