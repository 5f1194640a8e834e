"""Search where the memory has fewer positions than the source."""

import keras
import numpy as np

import keras_s2s as s2s
from keras_s2s.models import InferenceModel
from tests import encoders
from tests import laws

LISTS = [[5, 6, 7, 8, 9, 4, 5], [6], [7, 8, 9], [4, 5, 6, 7, 8]]


def check_alignments(found, alone):
    """Results of all sources at once, and of each by itself."""
    # Of 7 tokens.
    assert found["alignments"].shape == (4, 1, 5, 4)
    for row, expected in enumerate(alone):
        np.testing.assert_array_equal(found["ids"][row], expected["ids"][0])
        length = (len(LISTS[row]) + 1) // 2
        shown = found["alignments"][row]
        assert expected["alignments"].shape == (1, 1, 5, length)
        laws.assert_close(shown[..., :length], expected["alignments"][0], 1e-5)
        assert not np.any(shown[..., length:])
        np.testing.assert_allclose(shown[0, 0].sum(), 1, rtol=1e-5)


def test_alignments_are_as_long_as_the_memory():
    model = encoders.model_of("pyramidal")
    options = {"max_length": 5, "return_alignments": True}
    inference = InferenceModel(model, **options)
    alone = [laws.numpy(inference(np.array([row]))) for row in LISTS]
    predict = {"batch_size": 2, "verbose": 0}
    check_alignments(inference.predict(LISTS, **predict), alone)
    # More padding than any source needs.
    padded = np.zeros((4, 12), "int32")
    for row, ids in zip(padded, LISTS):
        row[: len(ids)] = ids
    found = inference.predict(padded, **predict)
    assert found["alignments"].shape == (4, 1, 5, 6)
    # Compiled, sources are padded to 64 tokens, the memory to 32.
    inference.compile(jit_compile=True)
    check_alignments(inference.predict(LISTS, **predict), alone)


def test_new_encoders_and_cells_are_trained_and_saved(tmp_path):
    source_ids, target_ids, labels = laws.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    for name in encoders.PAIRS:
        encoder = encoders.make_encoder(name, dropout=0.1)
        decoder = laws.make_decoder("gnmt", num_layers=1)
        model = s2s.models.Seq2Seq(encoder, decoder)
        model.compile("sgd", loss=s2s.losses.SequenceLoss())
        model.fit(inputs, labels, verbose=0)
        inference = InferenceModel(model, max_length=3)
        inference.save(tmp_path / "x.keras")
        loaded = keras.saving.load_model(tmp_path / "x.keras")
        laws.assert_close(loaded(source_ids), inference(source_ids), 1e-6)
