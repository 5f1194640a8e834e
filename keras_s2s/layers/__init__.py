"""Layers: attention, encoders and decoders."""

from keras_s2s.layers.attention import AdditiveAttention
from keras_s2s.layers.attention import Attention
from keras_s2s.layers.attention import MultiplicativeAttention
from keras_s2s.layers.bridge import Bridge
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.rnn_decoder import RNNDecoder
from keras_s2s.layers.rnn_encoder import RNNEncoder

__all__ = [
    "AdditiveAttention",
    "Attention",
    "Bridge",
    "Decoder",
    "Encoder",
    "MultiplicativeAttention",
    "RNNDecoder",
    "RNNEncoder",
]
