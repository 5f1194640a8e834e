"""What is saved here gives the same results in a process that is new."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s2s import decoding
from keras_s2s.models import InferenceModel
from keras_s2s.models import OneToMany
from keras_s2s.models import TextToText
from tests import numerics
from tests import pairs
from tests.layers import test_parallel_encoder
from tests.models import test_ensemble
from tests.models import test_language_model
from tests.models import test_one_to_many
from tests.models.captions import PICTURES
from tests.models.captions import image_to_text
from tests.models.texts import TEXTS
from tests.models.texts import text_to_text

LOAD = """
import json, sys
import numpy as np
import keras
import keras_s2s

def as_arrays(ids):
    if isinstance(ids, dict):
        return {name: as_arrays(value) for name, value in ids.items()}
    return np.array(ids, "int32")

folder, inputs = sys.argv[1], json.loads(sys.stdin.read())
results = {}
for name in inputs["names"]:
    model = keras.saving.load_model(f"{folder}/{name}-model.keras")
    logits = model({k: np.array(inputs[k], "int32") for k in inputs["ids"]})
    results[f"{name}-model"] = keras.ops.convert_to_numpy(logits).tolist()
for name in inputs["searched"]:
    inference = keras.saving.load_model(f"{folder}/{name}-inference.keras")
    found = inference(as_arrays(inputs["source_ids"]))
    found = {k: keras.ops.convert_to_numpy(v) for k, v in found.items()}
    results[f"{name}-inference"] = {k: v.tolist() for k, v in found.items()}
for name in ("to_many", "of_many", "ensemble", "prompts"):
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    found = keras.tree.flatten(model(as_arrays(inputs[name])))
    results[name] = [part.numpy().tolist() for part in found]
text = keras.saving.load_model(f"{folder}/text.keras")
text.inference.run_eagerly = True  # else both are traced
results["text"] = text.generate(inputs["texts"])
captioner = keras.saving.load_model(f"{folder}/captioner.keras")
captioner.inference.run_eagerly = True
results["captions"] = captioner.generate(np.array(inputs["images"], "uint8"))
encoder = captioner.inference.encoder
results["trained"] = [weight.path for weight in encoder.trainable_weights]
print(json.dumps(results))
"""
CONSTRAINTS = [
    decoding.ForcedPrefix([5]),
    decoding.RequiredPhrases([[7, 6]]),
    decoding.ForbiddenPhrases([[6, 6]]),
    decoding.Shortlist([3, 5, 6, 7]),
]
NAMES = ["default", "normalized", "cho", "grouped", "heads over transformer"]
SEARCHED = ["default", "grouped"]


def test_a_new_process_gives_the_same_results(tmp_path, eagerly):
    source_ids, target_ids, _ = pairs.sentences()
    expected = {}
    for name in NAMES:
        model = pairs.model_of(name)
        model.save(tmp_path / f"{name}-model.keras")
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        expected[f"{name}-model"] = model(inputs)
    for name in SEARCHED:
        constraints = CONSTRAINTS if name == "default" else None
        search = decoding.BeamSearch(
            3, "gnmt", 0.8, num_hypotheses=2, constraints=constraints
        )
        inference = InferenceModel(pairs.model_of(name), search, max_length=5)
        inference.save(tmp_path / f"{name}-inference.keras")
        expected[f"{name}-inference"] = inference(source_ids)
    text = text_to_text()
    text.save(tmp_path / "text.keras")
    captioner = image_to_text()
    captioner.save(tmp_path / "captioner.keras")
    to_many, _ = test_one_to_many.make_batch()
    of_two = test_one_to_many.model_of_two()
    several = {
        # Another than that which tests compile: this one never was.
        "to_many": (OneToMany(of_two.encoder, of_two.decoders), to_many),
        "of_many": (
            InferenceModel(test_parallel_encoder.model_of_two(), max_length=5),
            test_parallel_encoder.SOURCES,
        ),
        "ensemble": (
            InferenceModel(test_ensemble.ensemble_of(), max_length=5),
            source_ids,
        ),
        "prompts": (
            InferenceModel(test_language_model.make_model(), max_length=5),
            source_ids,
        ),
    }
    as_lists = {}
    for name, (model, arrays) in several.items():
        model.save(tmp_path / f"{name}.keras")
        expected[name] = keras.tree.flatten(model(arrays))
        as_lists[name] = keras.tree.map_structure(np.ndarray.tolist, arrays)
    inputs = {
        **as_lists,
        "names": NAMES,
        "searched": SEARCHED,
        "ids": ["source_ids", "target_ids"],
        "source_ids": source_ids.tolist(),
        "target_ids": target_ids.tolist(),
        "texts": TEXTS,
        "images": PICTURES.tolist(),
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path)],
        input=json.dumps(inputs),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name in several:
        values = [np.array(part) for part in found.pop(name)]
        numerics.assert_close(values, expected[name], 1e-5)
    assert found.pop("text") == text.generate(TEXTS)
    assert any(text.generate(TEXTS))
    assert found.pop("captions") == captioner.generate(PICTURES)
    assert any(captioner.generate(PICTURES))
    # The projection; the backbone is frozen.
    assert len(found.pop("trained")) == 2
    for name in NAMES:
        logits = np.array(found[f"{name}-model"])
        numerics.assert_close(logits, expected[f"{name}-model"], 1e-5)
    for name in SEARCHED:
        for key, value in expected[f"{name}-inference"].items():
            values = np.array(found[f"{name}-inference"][key])
            numerics.assert_close(values, value, 1e-5)


def test_a_missing_file_raises_what_keras_raises(tmp_path):
    with pytest.raises(ValueError, match="File not found"):
        keras.saving.load_model(tmp_path / "none.keras")


def test_a_damaged_file_raises_what_keras_raises(tmp_path):
    path = tmp_path / "damaged.keras"
    pairs.model_of("cho").save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="File not found"):
        keras.saving.load_model(path)


def test_a_loaded_model_trains_on(tmp_path):
    from keras_s2s.losses import SequenceLoss

    model = pairs.model_of("cho")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile("adam", loss=SequenceLoss())
    # It is not saved: what is loaded trains in a graph.
    copy.run_eagerly = True
    source_ids, target_ids, labels = pairs.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    copy.train_on_batch(inputs, labels)
    copy.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    found, expected = (m.train_on_batch(inputs, labels) for m in (loaded, copy))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_text_model_holds_its_parts(tmp_path, eagerly):
    text = text_to_text()
    text.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert isinstance(loaded, TextToText)
    assert loaded.inference.max_length == text.inference.max_length
    assert loaded.generate(TEXTS) == text.generate(TEXTS)
