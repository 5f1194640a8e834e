"""A grid of features as a memory."""

import keras
import numpy as np
import pytest

from keras_s2s.layers import ImageEncoder
from keras_s2s.layers import image_encoder
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import Seq2Seq
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import backbones
from tests.layers.backbones import IMAGE_SHAPE
from tests.layers.backbones import IMAGES


def test_it_equals_a_slow_one():
    backbones.check_equals_a_slow_one("float64")


@pytest.mark.parametrize("positions", ["learned", None])
def test_it_keeps_what_a_layer_keeps(positions):
    size = 6 if positions else None
    layer_checks.check_layer(
        lambda **options: backbones.make_encoder(
            **options, embedding_dim=size, positions=positions
        ),
        IMAGES.astype("float32"),
    )


def test_learned_positions_tell_each_cell():
    encoder = backbones.make_encoder(positions="learned")
    outputs = numerics.numpy(encoder(np.zeros((1, *IMAGE_SHAPE)))["outputs"])
    assert len(np.unique(outputs.round(6), axis=1)[0]) == 12


@pytest.mark.parametrize("kind", backbones.PREPROCESSED)
def test_pixels_are_preprocessed(kind):
    backbones.check_preprocessing(kind)


def test_a_name_brings_its_network_and_its_preprocessing():
    shape = (32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, (1, *shape), "uint8")
    encoder = ImageEncoder("VGG16", shape, trainable_backbone=False)
    memory = encoder(images)
    assert tuple(memory["outputs"].shape) == (1, 1, 512)
    assert encoder.trainable_weights == []
    # VGG takes blue, green, red, less their means.
    caffe = images[..., ::-1] - [103.939, 116.779, 123.68]
    expected = encoder.backbone_layer(caffe.astype("float32"))
    numerics.assert_close(memory["outputs"][0], expected[0, 0], 1e-4)
    config = encoder.get_config()
    assert config["backbone"] == "VGG16" and not config["backbone_weights"]


def test_a_name_makes_a_network_of_its_precision(monkeypatch):
    def make(include_top, weights, input_shape):
        assert not include_top and weights == "some.weights.h5"
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Conv2D(2, 2)]
        )

    make.__module__ = keras.applications.EfficientNetB0.__module__
    monkeypatch.setitem(image_encoder.APPLICATIONS, "Small", make)
    encoder = ImageEncoder(
        "Small", IMAGE_SHAPE, "some.weights.h5", dtype="mixed_bfloat16"
    )
    assert encoder.backbone_layer.layers[0].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    outputs = encoder(IMAGES)["outputs"]
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"


def compiled(encoder, decoder):
    model = Seq2Seq(encoder, decoder)
    model.compile(
        keras.optimizers.SGD(0.1), loss=SequenceLoss(), run_eagerly=True
    )
    return model


def train(encoder):
    """Returns the weights of the backbone before and after a step."""
    decoder = pairs.make_decoder("default")
    model = compiled(encoder, decoder)
    before = encoder.backbone_layer.get_weights()
    _, target_ids, labels = pairs.sentences()
    model.train_on_batch({"images": IMAGES, "target_ids": target_ids}, labels)
    return before, encoder.backbone_layer.get_weights()


def test_a_frozen_backbone_runs_as_in_inference():
    encoder = backbones.make_encoder(normalized=True, trainable_backbone=False)
    before, after = train(encoder)
    for one, other in zip(before, after):
        np.testing.assert_array_equal(one, other)
    still, trained = (
        numerics.numpy(encoder(IMAGES, training=training)["outputs"])
        for training in (False, True)
    )
    np.testing.assert_array_equal(still, trained)


def test_another_is_fine_tuned():
    encoder = backbones.make_encoder(normalized=True)
    before, after = train(encoder)
    for one, other in zip(before, after):
        assert np.any(one != other)
    still, trained = (
        numerics.numpy(encoder(IMAGES, training=training)["outputs"])
        for training in (False, True)
    )
    assert np.any(still != trained)


def test_what_is_frozen_stays_so_in_a_file(tmp_path):
    inputs = keras.Input(IMAGE_SHAPE)
    first = keras.layers.Conv2D(4, 2, strides=2, trainable=False)
    outputs = keras.layers.Conv2D(4, 2)(first(inputs))
    encoder = ImageEncoder(keras.Model(inputs, outputs))
    assert encoder.image_shape == IMAGE_SHAPE
    model = compiled(encoder, pairs.make_decoder("default"))
    _, target_ids, labels = pairs.sentences()
    batch = {"images": IMAGES, "target_ids": target_ids}
    model.train_on_batch(batch, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    numerics.assert_close(loaded(batch), model(batch), 1e-6)
    assert len(encoder.backbone_layer.trainable_weights) == 2
    assert len(loaded.encoder.backbone_layer.trainable_weights) == 2
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    found, expected = (
        one.train_on_batch(batch, labels) for one in (loaded, model)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_its_weights_are_counted_by_hand():
    encoder = backbones.make_encoder(embedding_dim=5, positions="learned")
    encoder(IMAGES)
    convolution, projection = 2 * 2 * 3 * 4 + 4, 4 * 5 + 5
    assert encoder.count_params() == convolution + projection + 4 * 2 + 3 * 3


BAD_ARGUMENTS = [
    (
        {"backbone": "ResNet"},
        ValueError,
        r"`backbone` must be one of \[.*'ResNet50'.*\]. Received: "
        "backbone='ResNet'.",
    ),
    (
        {"backbone": 5},
        TypeError,
        "`backbone` must be a name in keras.applications, or a Keras model",
    ),
    (
        {"image_shape": None},
        ValueError,
        r"`image_shape` must be three integers > 0, \(H, W, C\). Received: "
        "image_shape=None.",
    ),
    ({"image_shape": (None, None, 3)}, ValueError, "`image_shape` must be thr"),
    ({"image_shape": (8, 6)}, ValueError, "`image_shape` must be three integ"),
    ({"embedding_dim": 0}, ValueError, "`embedding_dim` must be an integer >="),
    ({"preprocessing": "keras"}, ValueError, "`preprocessing` must be one of"),
    ({"positions": "rotary"}, ValueError, "`positions` must be one of"),
]


@pytest.mark.parametrize("options, error, message", BAD_ARGUMENTS)
def test_bad_arguments_are_named_at_once(options, error, message):
    options = {"image_shape": IMAGE_SHAPE, **options}
    options.setdefault("backbone", keras.Sequential([keras.layers.ReLU()]))
    with pytest.raises(error, match=message):
        ImageEncoder(**options)


def test_a_backbone_that_gives_no_grid_is_refused():
    encoder = ImageEncoder(keras.layers.Flatten(), IMAGE_SHAPE)
    with pytest.raises(
        ValueError,
        match=r"`backbone` must be a layer whose result is a grid \(B, H, W, "
        r"C\). Received: backbone=\(None, 144\).",
    ):
        encoder(IMAGES)
