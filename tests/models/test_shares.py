"""Parts of a batch train a model as the whole of it does."""

import functools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import Seq2Seq
from tests import numerics
from tests import pairs

ROOT = Path(__file__).parents[2]

# Parts of 7, 1, 4 tokens; the second has a row of nothing else than padding.
SOURCE_IDS = np.array(
    [[5, 6, 3], [7, 3, 0], [8, 3, 0], [4, 3, 0], [6, 6, 3], [9, 4, 3]], "int32"
)
LABELS = np.array(
    [
        [5, 6, 7, 3],
        [7, 8, 3, 0],
        [3, 0, 0, 0],
        [0, 0, 0, 0],
        [6, 3, 0, 0],
        [9, 3, 0, 0],
    ],
    "int32",
)
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.0, 0.3, 1.0], "float32")


TARGET_IDS = np.pad(LABELS[:, :-1], [(0, 0), (1, 0)], constant_values=2)
INPUTS = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}


@functools.cache
def make_model():
    keras.utils.set_random_seed(0)
    return Seq2Seq(
        s2s.layers.TransformerEncoder(pairs.SOURCE_SIZE, 4, 8, 1, 2),
        s2s.layers.TransformerDecoder(pairs.TARGET_SIZE, 4, 8, 1, 2),
    )


def train(loss, num_parts=1, accumulated=None, **options):
    """Returns what the weights have moved by, and the `loss` shown."""
    model = make_model()
    start = model.get_weights()
    optimizer = keras.optimizers.SGD(
        1e3, gradient_accumulation_steps=accumulated
    )
    model.compile(optimizer, loss=loss, **options)
    history = model.fit(
        INPUTS,
        LABELS,
        batch_size=6 // num_parts,
        sample_weight=WEIGHTS,
        shuffle=False,
        verbose=0,
    ).history
    moved = [
        numerics.numpy(weight.value) - before
        for weight, before in zip(model.weights, start)
    ]
    model.set_weights(start)
    return moved, history["loss"][0]


@pytest.mark.parametrize(
    "normalizer, num_parts",
    [("tokens", 2), ("tokens", 3), ("sequences", 2), ("batch", 3)],
)
def test_micro_batches_move_weights_as_the_whole_batch(normalizer, num_parts):
    loss = SequenceLoss(normalizer, label_smoothing=0.1)
    expected, whole = train(loss, run_eagerly=True)
    moved, shown = train(loss, num_parts, num_parts, run_eagerly=True)
    numerics.assert_close(moved, expected, 1e-5)
    np.testing.assert_allclose(shown, whole, rtol=1e-5)


def test_micro_batches_in_chunks_move_weights_as_the_whole_batch():
    expected, whole = train(SequenceLoss(), run_eagerly=True)
    moved, shown = train(SequenceLoss(chunk_size=2), 3, 3)
    numerics.assert_close(moved, expected, 1e-5)
    np.testing.assert_allclose(shown, whole, rtol=1e-5)


def test_what_is_accumulated_is_saved(tmp_path):
    model = make_model()
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)
    model.compile(optimizer, loss=SequenceLoss(), run_eagerly=True)
    # Compiling once more weighs nothing twice.
    model.compile(optimizer, loss=SequenceLoss(), run_eagerly=True)
    start = model.get_weights()
    parts = [
        (
            {name: ids[rows] for name, ids in INPUTS.items()},
            LABELS[rows],
            WEIGHTS[rows],
        )
        for rows in (slice(0, 2), slice(2, 6))
    ]
    model.train_on_batch(*parts[0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    for one in (model, loaded):
        one.train_on_batch(*parts[1])
    found, expected = loaded.get_weights(), model.get_weights()
    numerics.assert_close(found, expected, 0)
    assert any(np.any(one != other) for one, other in zip(found, start))
    model.set_weights(start)


def test_the_loss_shown_is_the_mean_over_tokens():
    model = make_model()
    perplexity = s2s.metrics.Perplexity()
    options = {"weighted_metrics": [perplexity], "run_eagerly": True}
    model.compile(loss=SequenceLoss(), **options)
    found = model.evaluate(
        INPUTS,
        LABELS,
        batch_size=2,
        sample_weight=WEIGHTS,
        return_dict=True,
        verbose=0,
    )
    expected = np.log(found["perplexity"])
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)


@pytest.mark.skipif(not numerics.TENSORFLOW, reason="replicas of TensorFlow")
def test_replicas_move_weights_as_one():
    """In a process of its own, in which the processor is two devices."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--numprocesses=0", "tests/replica_laws.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-6000:]
