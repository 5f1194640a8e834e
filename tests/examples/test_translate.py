import contextlib
import csv
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_s2s as s2s
from examples import translate
from examples.translate import translators
from tests.examples import killed_translate
from tests.examples.translating import command
from tests.examples.translating import parse
from tests.examples.translating import run
from tests.examples.translating import write_data

# Of `tf.data`, where nothing else makes graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config")

ROOT = pathlib.Path(translate.__file__).parents[1]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
# Several batches an epoch, of unlike numbers of rows; with R-Drop in the epochs
# behind the first.
TRANSFORMER = [
    "--architecture=transformer",
    "--hidden-dim=8",
    "--num-layers=1",
    "--num-heads=2",
    "--warmup-steps=4",
    "--average=1",
    "--score-every=1",
    "--batch-tokens=200",
    "--examples=47",
    "--epochs=3",
    "--r-drop-after=1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@contextlib.contextmanager
def no_graphs():
    """Has TensorFlow run a few small steps without making graphs of them."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def start(epoch, *options, **environment):
    """Starts a process that is killed in an epoch, from 1; 0: in none."""
    return subprocess.Popen(
        [sys.executable, killed_translate.__file__, str(epoch)]
        + command(*options)[1:],
        env={**os.environ, "PYTHONPATH": PATHS, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process):
    """Waits until a process has ended; returns its standard error."""
    try:
        return process.communicate(timeout=300)[1]
    finally:
        process.kill()


def read_history(folder):
    with open(folder / "history.csv", newline="") as file:
        return [list(map(float, row.values())) for row in csv.DictReader(file)]


def read_weights(folder):
    """The weights and the optimizer's state after three epochs, by name."""
    arrays = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(folder / "epoch-3.weights.h5") as file:
        file.visititems(keep)
    return arrays


def assert_like(folder, expected_folder, tolerance, rounding=0.0):
    """Holds two runs of three epochs equal: weights, optimizer, history.

    `rounding`: of what values below it may differ by as much: the bias of
    keys has no gradient, and Adam moves it by what rounding makes of that.
    """
    rows, expected_rows = map(read_history, (folder, expected_folder))
    np.testing.assert_allclose(rows, expected_rows, rtol=tolerance)
    expected = read_weights(expected_folder)
    found = read_weights(folder)
    assert found.keys() == expected.keys() and len(found) > 20
    for name, value in expected.items():
        size = np.abs(value)
        limit = np.where(size < rounding, rounding, tolerance * (1 + size))
        assert np.all(np.abs(found[name] - value) <= limit), name


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The output folder of three epochs without interruption."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch, no_graphs():
        run(monkeypatch, *TRANSFORMER, "--data", data, "--output", folder)
    return folder


@pytest.mark.slow
def test_a_run_keeps_the_best_model_and_its_history(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "epoch-3.weights.h5",
        "history.csv",
        "model.keras",
        "shared.model",
        "state.json",
    }
    assert [row[0] for row in read_history(finished)] == [1, 2, 3]


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    data, finished, tmp_path, monkeypatch, capsys
):
    options = [*TRANSFORMER, "--data", data, "--output", tmp_path]
    process = start(2, *options)
    errors = wait_for(process)
    assert process.returncode == -signal.SIGKILL, errors
    assert len(read_history(tmp_path)) == 1
    # What a kill during the next epoch's writing may leave behind.
    (tmp_path / "new-state.json").write_text('{"epo')
    (tmp_path / "epoch-2.weights.h5").write_bytes(b"no HDF")
    with no_graphs():
        run(monkeypatch, *options, "--resume")
    assert "BLEU|nrefs:1|case:mixed" in capsys.readouterr().out
    assert_like(tmp_path, finished, 1e-6)


@pytest.mark.slow
def test_two_workers_train_as_one_until_one_is_lost(
    data, tmp_path, monkeypatch
):
    """The first and the last epoch of three are those of one."""
    same = [*TRANSFORMER, "--data", data, "--dropout=0"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = [*same, "--output", parts, "--resume"]
    with no_graphs(), monkeypatch.context() as context:
        copy = killed_translate.end_in(2, lambda: shutil.copytree(whole, parts))
        context.setattr(
            translate.Progress, "on_train_batch_end", copy, raising=False
        )
        run(context, *same, "--output", whole)
    workers = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index, epoch in enumerate([0, 3]):
        config = {
            "cluster": {"worker": workers},
            "task": {"type": "worker", "index": index},
        }
        processes.append(start(epoch, *options, TF_CONFIG=json.dumps(config)))
    errors = [wait_for(process) for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [1, -signal.SIGKILL], errors
    rows = [
        list(map(int, re.findall("^rows (.*)$", text, re.M))) for text in errors
    ]
    steps = len(rows[1]) - 2  # in an epoch
    halves = np.array([part[:steps] for part in rows])
    assert halves.sum() == 47 and np.ptp(halves, axis=0).max() <= 1
    assert "must be of workers that all train until the end" in errors[0]
    assert "The same commands with --resume go on." in errors[0]
    assert len(read_history(parts)) == 2
    with no_graphs():
        run(monkeypatch, *options)
    assert_like(parts, whole, 1e-5, rounding=1e-4)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("localhost", 0)))
            for _ in range(count)
        ]
        return [one.getsockname()[1] for one in sockets]


@pytest.mark.slow
def test_a_run_is_not_overwritten_unasked(data, finished, monkeypatch):
    with pytest.raises(SystemExit, match="--resume"):
        run(monkeypatch, "--data", data, "--output", finished)


@pytest.mark.slow
def test_lines_are_translated(briefly, finished, monkeypatch, capsys):
    lines = io.StringIO("a dog runs\n\nthe bird sits\n")
    monkeypatch.setattr(sys, "stdin", lines)
    run(monkeypatch, "--translate", finished / "model.keras")
    output = capsys.readouterr().out.splitlines()
    assert len(output) == 3
    assert output[1] == ""


@pytest.mark.slow
def test_a_run_ends_as_the_average_of_its_last_epochs(
    briefly, data, tmp_path, monkeypatch, capsys
):
    scored = []

    def evaluate(scores):
        scored.extend(scores.text_to_text.inference.get_weights())
        return {"val_bleu": 12.345}

    monkeypatch.setattr(s2s.callbacks.GenerationMetrics, "evaluate", evaluate)
    run(
        monkeypatch,
        "--average=2",
        "--epochs=3",
        "--data",
        data,
        "--output",
        tmp_path,
    )
    assert "\nAverage of epochs: val_bleu 12.3" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        "epoch-2.weights.h5",
        "epoch-3.weights.h5",
        "history.csv",
        "model.keras",
        "shared.model",
        "state.json",
    }
    options = parse(monkeypatch, "--output", tmp_path)
    tokenizers = translate.build_tokenizers([], [], options)
    weights = []
    for epoch in (2, 3):
        model, optimizer = translators.build_model(*tokenizers, options)
        model.compile(optimizer)
        optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / f"epoch-{epoch}.weights.h5")
        weights.append(model.get_weights())
    model.set_weights([(one + other) / 2 for one, other in zip(*weights)])
    text = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_equal(scored, text.inference.get_weights())
    for name in ("encoder", "decoder"):
        expected = getattr(model, name).get_weights()
        found = getattr(text.inference, name).get_weights()
        assert len(found) == len(expected) > 5
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("stops, expected", [(False, 2), (True, 1)])
def test_r_drop_comes_after_some_epochs(
    stops, expected, data, tmp_path, monkeypatch
):
    seen, optimizers = [], set()

    def fit(model, data, epochs, **options):
        seen.append((epochs, model.objectives.r_drop))
        optimizers.add(model.optimizer)
        model.stop_training = stops

    monkeypatch.setattr(s2s.models.Seq2Seq, "fit", fit)
    monkeypatch.setattr(translate, "evaluate", lambda options: None)
    arguments = ["--epochs=5", "--r-drop=2", "--r-drop-after=3"]
    run(monkeypatch, *arguments, "--data", data, "--output", tmp_path)
    assert seen == [(3, 0.0), (5, 2.0)][:expected]
    assert len(optimizers) == 1


def test_own_words_rise_over_all_updates(data, tmp_path, monkeypatch):
    def compile_model(model, optimizer, num_updates, r_drop, options):
        assert num_updates == 5 * 3  # epochs of 48 pairs
        raise InterruptedError

    monkeypatch.setattr(translators, "compile_model", compile_model)
    arguments = ["--epochs=5", "--batch-size=20", "--data", data]
    with pytest.raises(InterruptedError):
        run(monkeypatch, *arguments, "--output", tmp_path)
