"""A model of captions with random weights and a frozen backbone."""

import functools

import numpy as np

from keras_s2s import layers
from keras_s2s.models import ImageToText
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import pairs
from tests.layers import backbones
from tests.layers.backbones import IMAGES
from tests.models.texts import tokenizer

# Black, dark and light.
PICTURES = (IMAGES * np.reshape([0, 0.3, 1], (3, 1, 1, 1))).astype("uint8")


@functools.cache
def image_to_text(size=None):
    encoder = backbones.make_encoder(
        embedding_dim=4, normalized=True, trainable_backbone=False
    )
    size = size or tokenizer().vocabulary_size
    decoder = layers.RNNDecoder(size, 4, 5, cell="gru")
    pairs.build(encoder, decoder, seed=1, source=PICTURES)
    random = np.random.default_rng(0)
    for variable in encoder.backbone_layer.variables:
        if variable.dtype == "float32":  # no state of dropout
            values = random.normal(size=variable.shape, scale=3.0)
            if variable.name == "moving_variance":
                values = np.abs(values)
            variable.assign(values)
    encoder.projection.kernel.assign(0.2 * encoder.projection.kernel)
    # Only letters, so that each image has a text of its own.
    bias = np.zeros(size, "float32")
    bias[:5] = -30.0
    decoder.output_layer.bias.assign(bias)
    model = Seq2Seq(encoder, decoder)
    return ImageToText(InferenceModel(model, max_length=8), tokenizer())
