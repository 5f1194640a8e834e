"""Sequence-to-sequence learning for Keras 3."""

from keras_s2s import callbacks
from keras_s2s import data
from keras_s2s import decoding
from keras_s2s import export
from keras_s2s import layers
from keras_s2s import losses
from keras_s2s import metrics
from keras_s2s import models
from keras_s2s import plots
from keras_s2s import schedules
from keras_s2s import tokenizers

__version__ = "0.1.0"

__all__ = [
    "callbacks",
    "data",
    "decoding",
    "export",
    "layers",
    "losses",
    "metrics",
    "models",
    "plots",
    "schedules",
    "tokenizers",
]
