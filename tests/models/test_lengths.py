"""More tokens than a model has learned positions for: refused at the door."""

import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.data import SequencePairs
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import numerics
from tests import pairs

RULE = "must be at most 12 tokens, the learned positions. Received: "


def trained_model():
    model = Seq2Seq(*pairs.make_layers("grouped"))
    model.compile("sgd", loss=s2s.losses.SequenceLoss())
    return model


def arrays(source_length, target_length):
    inputs = {
        "source_ids": np.full((2, source_length), 5),
        "target_ids": np.full((2, target_length), 5),
    }
    return inputs, np.full((2, target_length), 5)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(
    "lengths, name", [((13, 4), "source_ids"), ((4, 13), "target_ids")]
)
def test_long_arrays_and_pairs_are_refused(method, lengths, name):
    call = getattr(trained_model(), method)
    message = f"`{name}` {RULE}{name}=13."
    with pytest.raises(ValueError, match=message):
        call(*arrays(*lengths), verbose=0)
    source_length, target_length = lengths
    data = SequencePairs(
        [[5]] + [[5] * source_length],
        [[5]] + [[5] * (target_length - 1)],
        bucket_lengths=range(1, 14),
    )
    with pytest.raises(ValueError, match=message):
        call(data, verbose=0)


def test_what_just_fits_is_taken(eagerly):
    model = trained_model()
    model.fit(*arrays(12, 12), verbose=0)
    inference = InferenceModel(model, max_length=12)
    found = inference.predict([[5] * 12], verbose=0)
    assert found["ids"].shape == (1, 1, 12)
    # So is what more padding stands behind.
    padded = inference.predict(np.array([[5] * 12 + [0] * 4]), verbose=0)
    numerics.assert_close(padded, found, 1e-5)


def test_long_sources_are_refused():
    inference = InferenceModel(pairs.model_of("grouped"), max_length=4)
    for ids in ([[5] * 13], np.full((1, 13), 5)):
        with pytest.raises(ValueError, match=f"`source_ids` {RULE}source_ids"):
            inference.predict(ids, verbose=0)


def test_a_search_beyond_the_learned_positions_is_refused():
    with pytest.raises(ValueError, match=f"`max_length` {RULE}max_length=13."):
        InferenceModel(pairs.model_of("grouped"), max_length=13)


def test_a_small_cache_is_refused():
    encoder, decoder = pairs.pair("transformer")
    memory = encoder(pairs.sentences()[0])
    with pytest.raises(
        ValueError,
        match=r"`state` must be made with a cache \(B, C, T, ...\) of T >= "
        r"max_length, 4. Received: state=\(3, 2, 3, 1, 4\)",
    ):
        s2s.decoding.GreedySearch().search(
            decoder.step,
            decoder.initial_state(memory, 1, 3),
            decoder.prepare(memory),
            batch_size=3,
            max_length=4,
            bos_id=2,
            eos_id=3,
            pad_id=0,
        )
