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
import types

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import translate
from tests.examples import killed_translate

# Of `tf.data`, where nothing else makes graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config")

ROOT = pathlib.Path(translate.__file__).parents[1]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
ARTICLES = {"a": "ein", "the": "der", "one": "mancher"}
ANIMALS = {"dog": "hund", "bird": "vogel", "bear": "bär", "fish": "fisch"}
VERBS = {"runs": "rennt", "eats": "isst", "sleeps": "schläft", "sits": "sitzt"}
SMALL = [
    "--units=8",
    "--embedding-dim=8",
    "--vocabulary-size=60",
    "--dropout=0.5",
    "--max-length=4",
    "--beam-size=2",
]
# Several batches an epoch, of unlike numbers of rows.
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
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder laid out as Multi30k is, with 48 sentences of three words."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "raw").mkdir()
    pairs = [
        (f"{article} {animal} {verb}", f"{article_de} {animal_de} {verb_de}")
        for article, article_de in ARTICLES.items()
        for animal, animal_de in ANIMALS.items()
        for verb, verb_de in VERBS.items()
    ]
    for split in ("train", "val", "test_2016_flickr"):
        for side, language in enumerate(("en", "de")):
            some = pairs if split == "train" else pairs[::5]
            lines = "".join(f"{pair[side]}\n" for pair in some)
            path = folder / "raw" / f"{split}.{language}"
            path.write_text(lines, encoding="utf-8")
    return folder


def command(*options):
    return [translate.__file__, *SMALL, *(str(option) for option in options)]


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", command(*options))
    translate.main()


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


def test_tokenized_text_is_read_from_its_own_files(tmp_path, monkeypatch):
    (tmp_path / "tok").mkdir()
    for language in ("en", "fr"):
        path = tmp_path / "tok" / f"val.lc.norm.tok.{language}"
        path.write_text(f"in {language} .\n")
    arguments = ["--data", tmp_path, "--tokenized", "--target", "fr"]
    monkeypatch.setattr(sys, "argv", command(*arguments))
    options = translate.parse_options()
    assert translate.read_split("val", options) == [["in en ."], ["in fr ."]]


@pytest.mark.parametrize(
    "tokenized, address",
    [
        ([], "/data/task1/raw/val.en.gz"),
        (["--tokenized"], "/data/task1/tok/val.lc.norm.tok.en"),
    ],
)
def test_data_are_downloaded_from_their_home(
    tokenized, address, tmp_path, monkeypatch
):
    origins = []

    def get_file(fname, origin):
        origins.append(origin)
        path = tmp_path / "lines"
        path.write_text("a line\n")
        return path

    monkeypatch.setattr(translate.keras.utils, "get_file", get_file)
    monkeypatch.setattr(sys, "argv", command(*tokenized))
    lines = translate.read_split("val", translate.parse_options())
    assert lines == [["a line"], ["a line"]]
    assert origins[0].endswith(f"multi30k/dataset/master{address}")


@pytest.mark.slow
def test_a_run_ends_as_the_average_of_its_last_epochs(
    briefly, data, tmp_path, monkeypatch, capsys
):
    run(
        monkeypatch,
        "--average=2",
        "--epochs=3",
        "--data",
        data,
        "--output",
        tmp_path,
    )
    assert "\nAverage of epochs: val_bleu " in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        "epoch-2.weights.h5",
        "epoch-3.weights.h5",
        "history.csv",
        "model.keras",
        "source.model",
        "state.json",
        "target.model",
    }
    monkeypatch.setattr(sys, "argv", command("--output", tmp_path))
    options = translate.parse_options()
    tokenizers = translate.build_tokenizers([], [], options)
    weights = []
    for epoch in (2, 3):
        model = translate.translators.build_model(*tokenizers, 9, options)
        model.optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / f"epoch-{epoch}.weights.h5")
        weights.append(model.get_weights())
    model.set_weights([(one + other) / 2 for one, other in zip(*weights)])
    text = keras.saving.load_model(tmp_path / "model.keras")
    for name in ("encoder", "decoder"):
        expected = getattr(model, name).get_weights()
        found = getattr(text.inference, name).get_weights()
        assert len(found) == len(expected) > 5
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_training_may_read_own_words_and_compare_two_passes(monkeypatch):
    monkeypatch.setattr(sys, "argv", command("--own-words=0.3", "--r-drop=2"))
    tokenizer = types.SimpleNamespace(vocabulary_size=20)
    model = translate.translators.build_model(
        tokenizer, tokenizer, 600, translate.parse_options()
    )
    assert model.objectives.r_drop == 2.0
    schedule = model.objectives.scheduled_sampling.probability
    assert float(schedule(300)) == np.float32(0.15)
    assert float(schedule(600)) == np.float32(0.3)


def test_attention_may_be_guided_by_alignments_that_are_kept(
    data, tmp_path, monkeypatch
):
    arguments = ["--guided-alignment=0.5", "--batch-size=20", "--data", data]
    monkeypatch.setattr(sys, "argv", command(*arguments, "--output", tmp_path))
    options = translate.parse_options()
    pairs = translate.read_split("train", options)
    tokenizers = translate.build_tokenizers(*pairs, options)
    model = translate.translators.build_model(*tokenizers, 9, options)
    assert model.objectives.guided_alignment == 0.5
    guided = translate.build_data(*pairs, tokenizers, options)
    options.guided_alignment = 0.0
    plain = translate.build_data(*pairs, tokenizers, options)
    assert len(guided) == len(plain) > 1
    for (inputs, labels, weights), expected in zip(guided, plain):
        alignments = inputs.pop("alignments")
        np.testing.assert_equal([inputs, labels, weights], [*expected])
        shape = (*labels.shape, inputs["source_ids"].shape[1])
        assert alignments.shape == shape and alignments.any()
    lines = "0-1\n" + "\n" * 47
    (tmp_path / "alignments.txt").write_text(lines)
    options.guided_alignment = 0.5
    guided = translate.build_data(*pairs, tokenizers, options)
    assert sum(inputs["alignments"].sum() for inputs, _, _ in guided) == 1.0


def test_alignments_are_of_words_that_are_always_cut_alike(monkeypatch, capsys):
    arguments = ["--guided-alignment=0.5", "--sampling-alpha=0.1"]
    monkeypatch.setattr(sys, "argv", command(*arguments))
    with pytest.raises(SystemExit):
        translate.parse_options()
    assert "always cut alike" in capsys.readouterr().err


def test_words_are_aligned_in_both_directions():
    sources = ["the house", "the book", "a book", "old house", "old book"]
    targets = ["das haus", "das buch", "ein buch", "haus alt", "buch alt"]
    lines = translate.alignments.align(
        [text.split() for text in sources], [text.split() for text in targets]
    )
    assert lines == 3 * ["0-0 1-1"] + 2 * ["0-1 1-0"]
    # Nothing is in common with nothing.
    assert translate.alignments.align([["x"], []], [["y"], ["z"]])[1] == ""


def test_batches_are_of_pairs_or_of_tokens(monkeypatch, capsys):
    for arguments, batch in [
        ([], {"batch_size": 64}),
        (["--batch-tokens=900"], {"batch_tokens": 900}),
        (["--architecture=transformer"], {"batch_tokens": 4096}),
        (
            ["--architecture=transformer", "--batch-size=9"],
            {"batch_size": 9},
        ),
    ]:
        monkeypatch.setattr(sys, "argv", command(*arguments))
        assert translate.parse_options().batch == batch
    arguments = ["--batch-tokens=900", "--batch-size=9"]
    monkeypatch.setattr(sys, "argv", command(*arguments))
    with pytest.raises(SystemExit):
        translate.parse_options()
    assert "not allowed with" in capsys.readouterr().err


def test_output_weights_and_the_schedule_may_differ(monkeypatch):
    monkeypatch.setattr(sys, "argv", command("--untied", "--schedule=noam"))
    tokenizer = types.SimpleNamespace(vocabulary_size=20)
    model = translate.translators.build_model(
        tokenizer, tokenizer, 9, translate.parse_options()
    )
    assert not model.decoder.tie_embeddings
    # The first of 2,000 updates to the highest rate.
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-6)


def test_a_recurrent_model_may_share_its_vocabulary(monkeypatch):
    arguments = ["--shared", "--cell=conditional_gru", "--readout=deep"]
    monkeypatch.setattr(sys, "argv", command(*arguments))
    options = translate.parse_options()
    read = []

    def build_tokenizer(name, texts, options):
        read.append((name, texts))
        return types.SimpleNamespace(vocabulary_size=20)

    monkeypatch.setattr(translate, "build_tokenizer", build_tokenizer)
    tokenizers = translate.build_tokenizers(["a"], ["b"], options)
    assert read == [("shared", ["a", "b"])]
    model = translate.translators.build_model(*tokenizers, 9, options)
    assert model.get_config()["share_embeddings"]
    cells = model.encoder.cell, model.decoder.cell
    assert cells == ("gru", "conditional_gru")
    assert model.decoder.readout == "deep"
