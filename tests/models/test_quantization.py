"""Weights of 8 bits: close, saved, and not trained."""

import gc

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import encoders
from tests import numerics
from tests import pairs

SOURCE_IDS, TARGET_IDS, LABELS = pairs.sentences()
INPUTS = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}


@pytest.fixture(autouse=True, scope="module")
def small_heap():
    """Keras collects garbage at each layer that it quantizes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def make_model(name="grouped"):
    return Seq2Seq(*pairs.build(*pairs.make_layers(name)))


def count_int8(model):
    return sum(numerics.dtype_of(weight) == "int8" for weight in model.weights)


def test_dense_weights_become_int8_and_results_stay_close():
    """Four matrices in an encoder layer, seven in one of a decoder."""
    model = make_model("llama")
    expected = numerics.numpy(model(INPUTS))
    model.quantize("int8")
    assert count_int8(model) == 4 + 7
    found = numerics.numpy(model(INPUTS))
    is_real = TARGET_IDS != 0
    error = np.abs(found - expected)[is_real]
    assert 0 < np.mean(error) < 0.02 * np.std(expected[is_real][:, 1:])


def test_what_is_quantized_is_saved_and_loaded(tmp_path):
    model = make_model()
    inference = InferenceModel(model, max_length=4)
    inference.quantize("int8")
    expected = (
        numerics.numpy(model(INPUTS)),
        numerics.numpy(inference(SOURCE_IDS)),
    )
    model.save(tmp_path / "model.keras")
    inference.save(tmp_path / "inference.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    inference = keras.saving.load_model(tmp_path / "inference.keras")
    assert count_int8(model) == count_int8(inference) == 11
    found = model(INPUTS), inference(SOURCE_IDS)
    numerics.assert_close(found, expected, 1e-6)


def test_a_bridge_and_a_convolutional_encoder_are_saved(tmp_path):
    """Two matrices of the encoder, one for each tensor of an LSTM's state."""
    model = Seq2Seq(*encoders.make_layers("convolutional"))
    model.quantize("int8")
    assert count_int8(model) == 2 + 2
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert count_int8(loaded) == 4
    numerics.assert_close(loaded(INPUTS), model(INPUTS), 1e-6)


def test_layers_may_be_chosen_and_none_is_trained(tmp_path):
    model = make_model()
    model.quantize("int8", filters="inner|outer")
    assert count_int8(model) == 4
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert count_int8(loaded) == 4
    numerics.assert_close(loaded(INPUTS), model(INPUTS), 1e-6)
    model.compile("sgd", loss=s2s.losses.SequenceLoss())
    with pytest.raises(
        ValueError,
        match="`model` must be of float weights to be trained. Received: "
        r"model='int8 in .*'. Train first, then `quantize`.",
    ):
        model.fit(INPUTS, LABELS, verbose=0)
