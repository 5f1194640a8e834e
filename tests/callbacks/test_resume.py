"""A training that was stopped ends as one that was not."""

import json
import resource

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.callbacks import Resume
from keras_s2s.data import SequencePairs
from tests import pairs

TARGETS = [[5, 6, 7], [7, 8], [8, 9], [5, 5, 5, 5], [6, 4]]
EPOCHS = 3


class Stop(keras.callbacks.Callback):
    """Stops in the middle of an epoch, as a kill does: without a word."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 1:
            raise KeyboardInterrupt


def make_model(units=4):
    keras.utils.set_random_seed(0)
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("source_ids", "target_ids")
    }
    vectors = [
        keras.layers.Embedding(pairs.TARGET_SIZE, units)(ids)
        for ids in inputs.values()
    ]
    source = keras.layers.GlobalAveragePooling1D(keepdims=True)(vectors[0])
    hidden = keras.layers.Dropout(0.3)(source + vectors[1])
    logits = keras.layers.Dense(pairs.TARGET_SIZE)(hidden)
    return keras.Model(inputs, logits)


def fit(folder, *callbacks, patience=9, epochs=EPOCHS, keep=1):
    """Returns the weights, and the history with what EarlyStopping knows.

    All is made anew, as a new program does.
    """
    model, data = make_model(), SequencePairs(TARGETS, TARGETS, batch_size=2)
    model.compile(
        keras.optimizers.Adam(0.1),
        loss=s2s.losses.SequenceLoss(),
        run_eagerly=keras.backend.backend() == "tensorflow",
    )
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=patience, mode="max"
    )
    resume = Resume(folder, data, [stopping], keep)
    with np.errstate(all="raise"):
        history = model.fit(
            data,
            epochs=epochs,
            shuffle=False,
            callbacks=[*callbacks, stopping, resume],
            verbose=0,
        )
    best = [stopping.best, stopping.best_epoch, stopping.wait]
    state = [
        keras.ops.convert_to_numpy(variable)
        for variable in (*model.weights, *model.optimizer.variables)
    ]
    return state, [history.epoch, *history.history.values(), best]


@pytest.mark.parametrize("epoch", [0, 2])
def test_it_ends_as_if_it_had_not_been_stopped(epoch, tmp_path):
    expected, expected_history = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "parts", Stop(epoch))
    found, history = fit(tmp_path / "parts")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(history, expected_history, rtol=1e-6)
    names = ["epoch-3.weights.h5", "state.json"]
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == names
    # All is done: nothing is trained any more.
    again, history = fit(tmp_path / "parts", Stop(2))
    for one, other in zip(again, found, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(history, expected_history, rtol=1e-6)


def test_a_stopped_fit_leaves_the_next_one_alone(tmp_path):
    fit(tmp_path, epochs=1)
    model, data = make_model(), SequencePairs(TARGETS, TARGETS, batch_size=2)
    model.compile(
        keras.optimizers.Adam(0.1),
        loss=s2s.losses.SequenceLoss(),
        run_eagerly=keras.backend.backend() == "tensorflow",
    )
    with pytest.raises(KeyboardInterrupt):
        callbacks = [Stop(1), Resume(tmp_path, data)]
        model.fit(data, epochs=2, callbacks=callbacks, verbose=0)
    assert model.fit(data, epochs=1, verbose=0).epoch == [0]


def test_what_a_program_sets_anew_holds(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, Stop(2))
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["epochs"] == 2
    assert "best" in state["callbacks"][0]
    assert "patience" not in state["callbacks"][0]


@pytest.mark.parametrize("part", ["weights", "state"])
def test_a_full_disk_leaves_the_epoch_before(part, tmp_path, monkeypatch):
    fit(tmp_path, epochs=1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    if part == "state":
        # Weights go through, a state does not.
        dump = json.dumps
        monkeypatch.setattr(
            json, "dumps", lambda state: dump(state) + " " * 100_000
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = {"weights": 10_000, "state": 90_000}[part]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            fit(tmp_path, epochs=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    monkeypatch.undo()
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content
    assert not (tmp_path / "new-epoch-2.weights.h5").exists()
    fit(tmp_path, epochs=2)


def test_the_weights_of_the_last_epochs_stay(tmp_path):
    fit(tmp_path, keep=2)
    names = ["epoch-2.weights.h5", "epoch-3.weights.h5", "state.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    with pytest.raises(ValueError, match="`keep` must be an integer >= 1"):
        Resume(tmp_path, keep=0)


def test_other_and_damaged_folders_are_refused(tmp_path):
    fit(tmp_path, epochs=1)
    other = make_model(units=6)
    other.compile(loss=s2s.losses.SequenceLoss())
    data = SequencePairs(TARGETS, TARGETS)
    with pytest.raises(ValueError, match="`folder` must be new, or of this mo"):
        other.fit(data, callbacks=[Resume(tmp_path)], verbose=0)
    path = tmp_path / "epoch-1.weights.h5"
    path.write_bytes(path.read_bytes()[:100])
    rule = "`folder` must be a folder with a whole epoch-1.weights.h5"
    with pytest.raises(ValueError, match=rule):
        fit(tmp_path)
    (tmp_path / "state.json").write_text('{"epochs": 1')
    with pytest.raises(ValueError, match="with a whole state.json"):
        fit(tmp_path)
