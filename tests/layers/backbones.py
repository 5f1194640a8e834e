"""Images, small backbones, and encoders of images for the laws."""

import functools

import keras
import numpy as np

import keras_s2s as s2s
from tests import laws

IMAGE_SHAPE = (8, 6, 3)
GRID = (4, 3)
IMAGES = np.random.default_rng(7).integers(0, 256, (3, *IMAGE_SHAPE), "uint8")


def make_backbone(normalized=False, **options):
    """A grid of 4 x 3 cells of 4 units."""
    layers = [keras.layers.Conv2D(4, 2, strides=2, **options)]
    if normalized:
        layers += [
            keras.layers.BatchNormalization(**options),
            keras.layers.Dropout(0.5, **options),
        ]
    return keras.Sequential([*layers, keras.layers.ReLU(**options)])


def make_encoder(dtype="float32", normalized=False, **options):
    backbone = make_backbone(normalized, dtype=dtype)
    options = {"image_shape": IMAGE_SHAPE, "dtype": dtype, **options}
    return s2s.layers.ImageEncoder(backbone, **options)


@functools.cache
def pair(name, dtype="float32"):
    """Returns a built encoder of images and the decoder of a pair's name."""
    encoder = make_encoder(dtype, embedding_dim=8, positions="sinusoidal")
    decoder = laws.make_decoder(name, dtype=dtype)
    return laws.build(encoder, decoder, source=IMAGES)


@functools.cache
def model_of(name):
    return s2s.models.Seq2Seq(*pair(name))
