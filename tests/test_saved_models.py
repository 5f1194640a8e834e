"""Keras' own export: a SavedModel computes the same."""

import tensorflow as tf

import keras_s2s as s2s
from tests import numerics
from tests import pairs
from tests.test_export import model_of
from tests.test_export import padded
from tests.test_export import random_sources


def test_a_model_is_saved_for_tensorflow(tmp_path):
    model = model_of("default")
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    source_ids, target_ids, _ = pairs.sentences()
    for count in (0, 3):
        inputs = {
            "source_ids": pairs.pad(source_ids, count),
            "target_ids": pairs.pad(target_ids, count),
        }
        numerics.assert_close(
            saved.serve(inputs), numerics.numpy(model(inputs)), 1e-5
        )


def test_an_inference_model_is_saved_for_tensorflow(tmp_path):
    inference = s2s.models.InferenceModel(
        model_of("llama"), s2s.decoding.BeamSearch(2), max_length=6
    )
    inference.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    source_ids = padded(random_sources(5))
    for ids in (source_ids, pairs.pad(source_ids, 3), source_ids[:1]):
        expected = numerics.numpy(inference(ids))
        numerics.assert_close(saved.serve(ids), expected, 1e-5)
