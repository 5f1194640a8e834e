"""Encoders and decoders of vectors, beside those of ids."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import RNNVectorDecoder
from keras_s2s.layers import RNNVectorEncoder
from keras_s2s.layers import TransformerVectorDecoder
from keras_s2s.layers import TransformerVectorEncoder
from keras_s2s.layers.embedding import VectorEmbedding
from tests import layer_checks
from tests import numerics
from tests import pairs
from tests.layers import recurrences

NAN = np.nan
ENCODERS = {
    "recurrent": lambda **o: RNNVectorEncoder(3, 4, 5, **o),
    "transformer": lambda **o: TransformerVectorEncoder(3, 8, 6, 1, 2, **o),
}
DECODERS = {
    "recurrent": lambda **o: RNNVectorDecoder(3, 4, 5, **o),
    "transformer": lambda **o: TransformerVectorDecoder(3, 8, 6, 1, 2, **o),
}
every_encoder = pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)
every_decoder = pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS)


def sources():
    return pairs.as_vectors(pairs.sentences()[0], seed=0)


@pytest.mark.parametrize("scale", [False, True])
def test_a_missing_value_is_zero_and_adds_its_vector(scale):
    layer = VectorEmbedding(2, 4, scale=scale)
    layer.build()
    random = np.random.default_rng(0)
    kernel, missing, bias = (
        random.normal(size=shape) for shape in ((2, 4), (2, 4), (4,))
    )
    layer.set_weights([kernel, missing, bias])
    factor = 2.0 if scale else 1.0  # the root of 4
    found = numerics.numpy(layer(np.array([[[3.0, 5.0], [3.0, NAN]]])))
    expected = 3 * kernel[0] + 5 * kernel[1] + bias
    np.testing.assert_allclose(found[0, 0], factor * expected, rtol=1e-5)
    expected = 3 * kernel[0] + missing[1] + bias
    np.testing.assert_allclose(found[0, 1], factor * expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [False, True])
def test_an_embedding_starts_with_variance_one_and_missing_as_zero(scale):
    keras.utils.set_random_seed(0)
    layer = VectorEmbedding(5, 300, scale=scale)
    vectors = np.random.default_rng(0).normal(size=(200, 5))
    assert np.var(numerics.numpy(layer(vectors))) == pytest.approx(1.0, rel=0.1)
    vectors[:, 2] = NAN
    holes = numerics.numpy(layer(vectors))
    vectors[:, 2] = 0.0
    np.testing.assert_array_equal(holes, numerics.numpy(layer(vectors)))


def test_an_embedding_keeps_what_a_layer_keeps():
    layer_checks.check_layer(
        lambda **o: VectorEmbedding(3, 4, **o), sources(), free_axes=2
    )


def test_a_recurrent_encoder_is_a_slow_loop_over_embedded_vectors():
    encoder, _ = pairs.pair("R to R", "float64")
    source = sources()
    memory = numerics.numpy(encoder(source))
    np.testing.assert_array_equal(memory["mask"], pairs.is_real(source))
    kernel, missing, bias = encoder.embedding.get_weights()
    holes = np.isnan(source)
    embedded = np.where(holes, 0, source) @ kernel + holes @ missing + bias
    for row, length in enumerate([5, 1, 3]):
        outputs, states = recurrences.encode_vectors(
            encoder, embedded[row, :length]
        )
        found = memory["outputs"][row]
        np.testing.assert_allclose(found[:length], outputs, rtol=1e-6)
        assert not np.any(found[length:])
        for one, other in zip(memory["state"], states, strict=True):
            np.testing.assert_allclose(one[row], other, rtol=1e-6)


@every_encoder
def test_encoders_keep_what_layers_keep(make):
    layer_checks.check_layer(make, sources(), free_axes=2)


@every_decoder
def test_decoders_keep_what_layers_keep(make):
    memory = ENCODERS["recurrent"]()(sources())
    target = pairs.as_vectors(pairs.sentences()[1], seed=1)
    layer_checks.check_layer(make, target, memory)


@every_encoder
def test_a_mask_says_what_is_padding(make):
    encoder = make()
    source = np.nan_to_num(sources())
    real = pairs.is_real(sources())
    expected = numerics.numpy(encoder(np.where(real[..., None], source, NAN)))
    # As an argument, and as what Keras hands on by itself.
    found = [encoder(source, mask=real)]
    found.append(encoder(keras.layers.Masking()(source)))
    for memory in found:
        numerics.assert_close(memory, expected, 1e-6)
    # A value of 0 and a vector of zeros are none without it.
    assert np.all(numerics.numpy(encoder(source)["mask"]))


@every_encoder
def test_a_mask_is_an_input_of_a_functional_model(make):
    encoder = make()
    source, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    model = keras.Model([source, mask], encoder(source, mask=mask)["outputs"])
    vectors, real = np.nan_to_num(sources()), pairs.is_real(sources())
    expected = encoder(vectors, mask=real)["outputs"]
    numerics.assert_close(model([vectors, real]), expected, 1e-6)


@every_encoder
def test_constant_and_missing_series_give_no_nan(make):
    encoder = make()
    series = np.ones((4, 5, 3), "float32")
    series[1, :, 0] = NAN  # a channel that is never there
    series[2, 1:4] = NAN  # a gap
    series[3] = NAN  # nothing at all
    memory = numerics.numpy(encoder(series))
    for tensor in (memory["outputs"], *memory.get("state", [])):
        assert np.all(np.isfinite(tensor))
    assert memory["mask"].sum(axis=1).tolist() == [5, 5, 2, 0]
    target = np.full((4, 2, 3), NAN, "float32")
    for make_decoder in DECODERS.values():
        assert np.all(
            np.isfinite(numerics.numpy(make_decoder()(target, memory)))
        )


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 2), (3, 5, 3, 1)])
def test_sources_and_targets_of_another_shape_are_refused(shape):
    rule = r"must be of shape \(B, S, 3\). Received: {}=\({}"
    vectors = np.zeros(shape, "float32")
    memory = ENCODERS["recurrent"]()(sources())
    symbol = keras.KerasTensor((None, *shape[1:]))
    for make in ENCODERS.values():
        with pytest.raises(ValueError, match=rule.format("source_vectors", 3)):
            make()(vectors)
        name = "source_vectors"
        with pytest.raises(ValueError, match=rule.format(name, "None")):
            make()(symbol)
    for make in DECODERS.values():
        name = "target_vectors"
        with pytest.raises(ValueError, match=rule.format(name, 3)):
            make()(vectors, memory)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"vector_dim": 0}, "`vector_dim` must be an integer >= 1"),
        ({"embedding_dim": 0}, "`embedding_dim` must be an integer >= 1"),
        ({"pad_id": 7}, "`pad_id` must be left out where padding is NaN"),
        (
            {"tie_embeddings": True},
            "`tie_embeddings` must be False where a decoder writes vectors",
        ),
    ],
)
def test_bad_arguments_are_named(options, message):
    sizes = {"vector_dim": 3, "embedding_dim": 4, "units": 5, **options}
    with pytest.raises(ValueError, match=message):
        RNNVectorDecoder(**sizes)


def test_ids_and_vectors_have_inputs_of_their_own():
    for layer, name in (
        (ENCODERS["recurrent"](), "source_vectors"),
        (DECODERS["transformer"](), "target_vectors"),
    ):
        found = layer.make_input()
        assert (found.name, tuple(found.shape)) == (name, (None, None, 3))
        assert not hasattr(layer, "vocabulary_size")
        assert "pad_id" not in layer.get_config()


def test_a_gap_is_no_step_of_a_recurrent_encoder():
    encoder = ENCODERS["recurrent"](bidirectional=False)
    source = np.random.default_rng(0).normal(size=(1, 3, 3)).astype("float32")
    gap = np.insert(source, 1, NAN, axis=1)
    found, expected = (encoder(x)["state"] for x in (gap, source))
    numerics.assert_close(found, expected, 1e-6)
    assert ops.shape(encoder(gap)["outputs"])[1] == 4
