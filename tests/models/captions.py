"""A model of captions with random weights and a frozen backbone."""

import functools

import numpy as np

from keras_s2s import layers
from keras_s2s.models import ImageToText
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import laws
from tests.layers import backbones
from tests.layers.backbones import IMAGES
from tests.models.texts import tokenizer


@functools.cache
def image_to_text(size=None):
    encoder = backbones.make_encoder(
        embedding_dim=4, normalized=True, trainable_backbone=False
    )
    size = size or tokenizer().vocabulary_size
    decoder = layers.RNNDecoder(size, 4, 5, cell="gru")
    model = Seq2Seq(*laws.build(encoder, decoder, source=IMAGES))
    random = np.random.default_rng(0)
    for variable in encoder.backbone_layer.variables:
        if variable.dtype == "float32":  # no state of dropout
            variable.assign(random.uniform(0.5, 1.0, variable.shape))
    return ImageToText(InferenceModel(model, max_length=8), tokenizer())
