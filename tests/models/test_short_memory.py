"""Models of the encoders of `tests/encoders.py`: saved, and searched where
the memory has fewer positions than the source."""

import keras
import numpy as np

from keras_s2s.models import InferenceModel
from tests import encoders
from tests import numerics
from tests import pairs

LISTS = [[5, 6, 7, 8, 9, 4, 5], [6], [7, 8, 9]]


def test_alignments_are_as_long_as_the_memory(monkeypatch):
    model = encoders.model_of("pyramidal")
    inference = InferenceModel(model, max_length=3, return_alignments=True)
    options = {"batch_size": 2, "verbose": 0}
    found = inference.predict(LISTS, **options)["alignments"]
    # Of 7 tokens, 1 and 3.
    assert found.shape == (3, 1, 3, 4)
    for row, length in enumerate((4, 1, 2)):
        alone = numerics.numpy(inference(np.array([LISTS[row]])))["alignments"]
        assert alone.shape == (1, 1, 3, length)
        numerics.assert_close(found[row, ..., :length], alone[0], 1e-5)
        assert not np.any(found[row, ..., length:])
        np.testing.assert_allclose(alone[0, 0, 0].sum(), 1, rtol=1e-5)
    # More padding than any source needs.
    padded = pairs.pad(np.array(LISTS[:1]), 3)
    padded = inference.predict(padded, verbose=0)["alignments"]
    assert padded.shape == (1, 1, 3, 5)
    # So is what a compiled search pads by itself, which nobody sees.
    monkeypatch.setattr(inference, "_pad", lambda x, told: pairs.pad(x, 5))
    again = inference.predict(LISTS, **options)["alignments"]
    numerics.assert_close(again, found, 1e-5)


def test_encoders_are_saved_and_loaded(tmp_path):
    source = keras.Input((None,), dtype="int32")
    made = [encoders.make_encoder(name) for name in encoders.ENCODERS]
    model = keras.Model(source, [one(source)["outputs"] for one in made])
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    source_ids = pairs.sentences()[0]
    numerics.assert_close(loaded(source_ids), model(source_ids), 1e-6)
