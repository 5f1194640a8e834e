"""A forecast is the decoder's own output, fed to it step by step."""

import functools

import keras
import numpy as np
import pytest

from keras_s2s import losses
from keras_s2s.layers import RNNVectorDecoder
from keras_s2s.layers import TransformerVectorDecoder
from keras_s2s.layers import TransformerVectorEncoder
from keras_s2s.models import Forecaster
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import numerics
from tests import pairs

HORIZON = 4
NAN = np.nan
NAMES = ["R to R", "T to T"]
every_name = pytest.mark.parametrize("name", NAMES)


@functools.cache
def forecaster(name, start="last"):
    return Forecaster(pairs.model_of(name), HORIZON, start)


def sources():
    return pairs.as_vectors(pairs.sentences()[0], seed=0)


def last(source):
    """The last value of each channel, in slow loops."""
    found = np.zeros((len(source), 1, source.shape[2]), "float32")
    for row, step, channel in np.ndindex(source.shape):
        if not np.isnan(source[row, step, channel]):
            found[row, 0, channel] = source[row, step, channel]
    return found


@every_name
def test_it_is_the_decoder_reading_what_it_wrote(name):
    check_it_reads_what_it_wrote(name)


def check_it_reads_what_it_wrote(name):
    source = sources()
    source[0, -1, 1] = NAN  # the last of a channel may stand earlier
    write = numerics.compiled(forecaster(name))
    found = numerics.numpy(write(source))
    assert found.shape == (3, HORIZON, 3) and found.dtype == "float32"
    # One call on the whole forecast, shifted, gives it again.
    target = np.concatenate([last(source), found[:, :-1]], axis=1)
    inputs = {"source_vectors": source, "target_vectors": target}
    read = numerics.compiled(pairs.model_of(name))
    numerics.assert_close(read(inputs), found, 1e-5)


def test_it_may_start_from_zeros_and_from_words():
    source_ids = pairs.sentences()[0]
    model = pairs.model_of("words to R")
    found = numerics.numpy(Forecaster(model, HORIZON, "zeros")(source_ids))
    target = np.concatenate([np.zeros((3, 1, 3)), found[:, :-1]], axis=1)
    inputs = {"source_ids": source_ids, "target_vectors": target}
    numerics.assert_close(model(inputs), found, 1e-5)


@every_name
def test_padding_and_the_rest_of_the_batch_change_nothing(name):
    model, source = forecaster(name), sources()
    expected = numerics.numpy(model(source))
    numerics.assert_close(model(pairs.pad(source, 4)), expected, 1e-5)
    numerics.assert_close(model(source[[2, 0, 1]]), expected[[2, 0, 1]], 1e-5)
    for row, length in enumerate([5, 1, 3]):
        alone = model(source[row : row + 1, :length])
        numerics.assert_close(alone, expected[row : row + 1], 1e-5)


def test_lists_are_padded_and_batches_are_put_together():
    model, source = forecaster("R to R"), sources()
    rows = [source[0], source[1, :1], source[2, :3].tolist()]
    found = model.predict(rows, batch_size=2, verbose=0)
    numerics.assert_close(found, model(source), 1e-5)


def test_it_is_compiled(tmp_path):
    model = Forecaster(pairs.model_of("R to R"), HORIZON)
    expected = model(sources())
    model.compile(jit_compile=True)
    numerics.assert_close(model.predict(sources(), verbose=0), expected, 1e-5)
    # An optimizer that never trained is no hindrance.
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.generator.compiled
    numerics.assert_close(loaded(sources()), expected, 1e-5)


def test_it_is_saved_and_loaded(tmp_path):
    model = Forecaster(pairs.model_of("T to T"), HORIZON, "zeros")
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert (loaded.horizon, loaded.start) == (HORIZON, "zeros")
    numerics.assert_close(loaded(sources()), model(sources()), 0)


def test_constant_series_and_missing_channels_have_a_forecast():
    source = np.ones((3, 6, 3), "float32")
    source[1, :, 0] = NAN
    source[2, 2:5] = NAN
    for name in NAMES:
        found = forecaster(name).predict(source, verbose=0)
        assert np.all(np.isfinite(found))


def test_it_learns_from_its_own_output(tmp_path):
    """A rotation by a fixed angle, which no repetition of the past is."""
    random = np.random.default_rng(0)
    angles = random.uniform(0, 2 * np.pi, (256, 1)) + 0.7 * np.arange(6)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1).astype("float32")
    source, target = circle[:, :3], circle[:, 3:]
    keras.utils.set_random_seed(0)
    options = {"attention": None, "cell": "gru"}
    decoder = RNNVectorDecoder(2, 8, 16, **options)
    model = Seq2Seq(TransformerVectorEncoder(2, 8, 8, 1, 1), decoder)
    forecaster = Forecaster(model, 3)
    forecaster.compile(
        keras.optimizers.Adam(0.02), loss=losses.SequenceRegressionLoss()
    )
    forecaster.fit(source, target, epochs=10, verbose=0)
    naive = np.abs(source[:, -1:] - target).mean()
    ours = np.abs(numerics.numpy(forecaster(source)) - target).mean()
    assert ours < 0.2 * naive
    # It goes on with the state of its optimizer.
    forecaster.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    for one, other in zip(
        loaded.optimizer.variables, forecaster.optimizer.variables, strict=True
    ):
        numerics.assert_close(one.value, other.value, 0)
    with pytest.raises(ValueError, match="`labels` must be an array of numb"):
        forecaster.fit(source, target[..., :1])


@pytest.mark.parametrize(
    "source, message",
    [
        (np.zeros((2, 5)), r"`source_vectors` must be an array of numbers"),
        (np.zeros((2, 5, 2)), r"array of numbers \(B, S, 3\).*\(2, 5, 2\)"),
        (np.full((2, 5, 3), "a"), "must be an array of numbers"),
        (np.full((2, 5, 3), NAN), "one value that is not NaN.*NaN in row 0"),
        (np.full((2, 5, 3), np.inf), "finite, or NaN.*value in row 0"),
        ([np.zeros((2, 3)), np.zeros((1, 2))], r"`rows\[1\]` must be of sha"),
    ],
    ids=["rank", "size", "text", "nothing", "infinite", "ragged"],
)
def test_bad_sources_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        forecaster("R to R").predict(source, verbose=0)


@pytest.mark.parametrize(
    "name, value",
    [
        ("source_vectors", np.zeros((3, 5, 2))),
        ("target_vectors", np.full((3, 4, 3), np.inf)),
        ("labels", np.zeros((3, 4))),
    ],
)
def test_bad_training_data_is_refused(name, value):
    model = pairs.model_of("R to R")
    model.compile("sgd", loss=losses.SequenceRegressionLoss())
    source, target, labels = pairs.examples(model.encoder, model.decoder)
    data = {"source_vectors": source, "target_vectors": target}
    data = {**data, "labels": labels, name: value}
    labels = data.pop("labels")
    with pytest.raises(ValueError, match=f"`{name}` must be "):
        model.fit(data, labels, verbose=0)


def test_what_does_not_fit_is_named():
    words = pairs.model_of("R to words")
    with pytest.raises(ValueError, match="`model` must be one that writes ve"):
        Forecaster(words, 3)
    with pytest.raises(ValueError, match="`model` must be one that writes ids"):
        InferenceModel(pairs.model_of("R to R"))
    with pytest.raises(ValueError, match="`loss` must be of vectors, such as"):
        pairs.model_of("R to R").compile(loss=losses.SequenceLoss())
    with pytest.raises(ValueError, match="`start` must be 'zeros' where the"):
        Forecaster(pairs.model_of("words to R"), 3)
    with pytest.raises(ValueError, match="`start` must be one of"):
        Forecaster(pairs.model_of("R to R"), 3, "mean")
    with pytest.raises(ValueError, match="`horizon` must be an integer >= 1"):
        Forecaster(pairs.model_of("R to R"), 0)


def test_learned_positions_bound_source_and_horizon():
    learned = {"positions": "learned", "max_positions": 5}
    encoder = pairs.make_encoder("T to T", **learned)
    decoder = TransformerVectorDecoder(3, 8, 6, 1, 2, **learned)
    model = Seq2Seq(encoder, decoder)
    with pytest.raises(ValueError, match="`horizon` must be at most 5 tokens"):
        Forecaster(model, 6)
    with pytest.raises(ValueError, match="`source_vectors` must be at most 5"):
        Forecaster(model, 5).predict(np.zeros((1, 6, 3)), verbose=0)
    data = {
        "source_vectors": np.zeros((1, 5, 3)),
        "target_vectors": np.zeros((1, 6, 3)),
    }
    model.compile("sgd", loss=losses.SequenceRegressionLoss())
    with pytest.raises(ValueError, match="`target_vectors` must be at most 5"):
        model.fit(data, np.zeros((1, 6, 3)), verbose=0)
