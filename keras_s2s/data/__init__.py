"""Pairs and streams to batches: what `fit` trains on."""

from keras_s2s.batching import pad_rows
from keras_s2s.data.alignments import AlignedPairs
from keras_s2s.data.images import ImagePairs
from keras_s2s.data.pairs import SequencePairs
from keras_s2s.data.stream import Stream
from keras_s2s.data.stream_pairs import StreamPairs
from keras_s2s.data.texts import TextPairs
from keras_s2s.data.token_files import TokenizedText
from keras_s2s.data.token_files import tokenize_file
from keras_s2s.tokenizers import read_lines

__all__ = [
    "AlignedPairs",
    "ImagePairs",
    "SequencePairs",
    "Stream",
    "StreamPairs",
    "TextPairs",
    "TokenizedText",
    "pad_rows",
    "read_lines",
    "tokenize_file",
]
