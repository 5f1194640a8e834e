"""A state that is carried while a model is trained, saved and searched."""

import keras
import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s.data import StreamPairs
from keras_s2s.decoding import GreedySearch
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import loops
from tests import numerics
from tests import pairs

random = np.random.default_rng(0)
TEXTS = random.integers(4, 11, (2, 6)).astype("int32")


@pytest.fixture(scope="module")
def model():
    """Reads two streams, and writes from its state alone."""
    encoder = loops.make_encoder("float32", bidirectional=False)
    decoder = layers.RNNDecoder(11, 4, 5, attention=None, bridge="pass")
    pairs.build(encoder, decoder)
    return Seq2Seq(layers.StatefulEncoder(encoder, 2), decoder)


def carried(model):
    return numerics.numpy([one.value for one in model.encoder.carried])


def sources_of(part):
    """A piece of `TEXTS`, half of each."""
    ids = TEXTS[:, 3 * part : 3 * part + 3]
    return {"source_ids": ids, "resets": np.array([part == 0] * 2)}


def test_training_leaves_the_state_of_the_whole(model):
    data = StreamPairs(list(TEXTS), list(TEXTS), 2, 3)
    optimizer = keras.optimizers.SGD(0.0)
    model.compile(optimizer, loss=SequenceLoss(), run_eagerly=True)
    first = model.fit(data, epochs=1, verbose=0).history["loss"]
    whole = model.encoder.encoder(TEXTS)["state"]
    numerics.assert_close(carried(model), whole, 1e-5)
    # The first batch begins anew, whatever was left behind.
    found = model.evaluate(data, verbose=0)
    assert abs(found - first[0]) < 1e-5
    numerics.assert_close(carried(model), whole, 1e-5)
    model.reset_states()
    assert not np.any(carried(model)[0])


def test_a_search_goes_on_and_the_file_holds_the_state(model, tmp_path):
    inference = InferenceModel(model, GreedySearch(), max_length=4)
    plain = Seq2Seq(model.encoder.encoder, model.decoder)
    expected = InferenceModel(plain, GreedySearch(), max_length=4)(TEXTS)
    inference(sources_of(0))
    inference.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.encoder.batch_size == 2
    found = loaded.predict(sources_of(1), 2, verbose=0)
    np.testing.assert_array_equal(found["ids"], expected["ids"])
    scores = numerics.numpy(expected["token_scores"])
    numerics.assert_close(found["token_scores"], scores, 1e-5)
    rule = "`model` must be one that carries no state, to score"
    with pytest.raises(ValueError, match=rule):
        inference.score(sources_of(1), [[5], [6]])


def test_what_a_carried_state_cannot_do_is_named(model):
    data = StreamPairs(TEXTS[0], TEXTS[0], 2, 3)
    with pytest.raises(ValueError, match="`r_drop` must be 0 where the state"):
        model.compile("sgd", loss=SequenceLoss(), r_drop=1.0)
    model.compile("sgd", loss=SequenceLoss())
    with pytest.raises(ValueError, match="`shuffle` must be False where the"):
        model.fit(data, shuffle=True)
    rule = "`batch_size` must be that of the model, 2. Received: batch_size=3"
    with pytest.raises(ValueError, match=rule):
        model.fit(StreamPairs(TEXTS[0], TEXTS[0], 3, 3))
    rule = r"`sources\['source_ids'\]` must hold ids in \[0, 13\)"
    with pytest.raises(ValueError, match=rule):
        model.fit(StreamPairs([13], [5], 2, 3))
