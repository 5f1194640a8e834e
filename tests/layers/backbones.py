"""Images, small backbones, and encoders of images for the laws."""

import functools

import keras
import numpy as np

import keras_s2s as s2s
from tests import numerics
from tests import pairs
from tests.layers import transformers

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
    decoder = pairs.make_decoder(name, dtype=dtype)
    return pairs.build(encoder, decoder, source=IMAGES)


@functools.cache
def model_of(name):
    return s2s.models.Seq2Seq(*pair(name))


def check_equals_a_slow_one(dtype):
    """Convolution, projection and positions, cell by cell in NumPy."""
    encoder = make_encoder(dtype, embedding_dim=5, positions="sinusoidal")
    memory = numerics.numpy(encoder(IMAGES))
    kernel, bias, projection, more_bias = encoder.get_weights()
    expected = np.zeros((3, 12, 5))
    for image in range(3):
        for row, column in np.ndindex(*GRID):
            y, x = 2 * row, 2 * column
            patch = IMAGES[image, y : y + 2, x : x + 2] / 255
            features = np.einsum("yxc,yxcd->d", patch, kernel) + bias
            cell = np.maximum(features, 0) @ projection + more_bias
            place = [
                *transformers.sinusoid(row, 2),
                *transformers.sinusoid(column, 3),
            ]
            expected[image, row * 3 + column] = cell + place
    numerics.assert_close(
        memory["outputs"], expected, numerics.TOLERANCE[dtype]
    )
    assert memory["mask"].shape == (3, 12) and memory["mask"].all()
    assert set(memory) == {"outputs", "mask"}


PIXELS = np.array([[[[0, 51, 255], [255, 0, 102]]]], "uint8")
MEAN, DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
PREPROCESSED = {
    None: [[0, 51, 255], [255, 0, 102]],
    "unit": [[0, 0.2, 1], [1, 0, 0.4]],
    "auto": [[0, 0.2, 1], [1, 0, 0.4]],
    "tf": [[-1, -0.6, 1], [1, -1, -0.2]],
    "torch": (np.array([[0, 0.2, 1], [1, 0, 0.4]]) - MEAN) / DEVIATION,
    # Blue, green, red.
    "caffe": np.array([[255, 51, 0], [102, 0, 255]])
    - [103.939, 116.779, 123.68],
}


def check_preprocessing(kind):
    """A backbone that changes nothing shows what pixels are made to."""
    encoder = s2s.layers.ImageEncoder(
        keras.layers.Identity(), (1, 2, 3), preprocessing=kind
    )
    floats = keras.ops.convert_to_tensor(PIXELS.astype("float32"))
    for pixels in (floats, PIXELS):
        found = numerics.numpy(encoder(pixels)["outputs"])
        np.testing.assert_allclose(found, [PREPROCESSED[kind]], atol=1e-4)
    # Nothing was done in place.
    np.testing.assert_array_equal(numerics.numpy(floats), PIXELS)
