"""A text model with random weights and a tokenizer of a few words."""

import functools

from keras_s2s import layers
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models import TextToText
from keras_s2s.tokenizers import SentencePieceTokenizer
from tests import pairs

TEXTS = ["a dog runs .", "a cat runs .", "", "cat"]


@functools.cache
def tokenizer():
    texts = ["a dog runs .", "a cat runs .", "the dog sees a cat ."]
    return SentencePieceTokenizer.train(
        texts, vocabulary_size=20, model_type="char"
    )


@functools.cache
def text_to_text(**options):
    size = tokenizer().vocabulary_size
    encoder = layers.RNNEncoder(size, 4, 5, cell="gru")
    decoder = layers.RNNDecoder(size, 4, 5, cell="gru", attention="general")
    model = Seq2Seq(*pairs.build(encoder, decoder))
    inference = InferenceModel(model, max_length=8, **options)
    return TextToText(inference, tokenizer(), tokenizer())
