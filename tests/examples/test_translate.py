import csv
import io
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest

from examples import translate

ROOT = pathlib.Path(translate.__file__).parents[1]
ARTICLES = {"a": "ein", "the": "der", "one": "mancher"}
ANIMALS = {"dog": "hund", "bird": "vogel", "bear": "bär", "fish": "fisch"}
VERBS = {"runs": "rennt", "eats": "isst", "sleeps": "schläft", "sits": "sitzt"}
SMALL = [
    "--units=8",
    "--embedding-dim=8",
    "--vocabulary-size=60",
    "--dropout=0.5",
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
            lines = "".join(f"{pair[side]}\n" for pair in pairs)
            path = folder / "raw" / f"{split}.{language}"
            path.write_text(lines, encoding="utf-8")
    return folder


def command(*options):
    return [translate.__file__, *SMALL, *(str(option) for option in options)]


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", command(*options))
    translate.main()


def read_history(folder):
    with open(folder / "history.csv", newline="") as file:
        return [list(map(float, row.values())) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The output folder of three epochs without interruption."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(monkeypatch, "--data", data, "--output", folder, "--epochs=3")
    return folder


@pytest.mark.slow
def test_a_run_keeps_the_best_model_and_its_history(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "epoch-3.weights.h5",
        "history.csv",
        "model.keras",
        "source.model",
        "target.model",
    }
    assert [row[0] for row in read_history(finished)] == [1, 2, 3]


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    data, finished, tmp_path, monkeypatch, capsys
):
    options = ["--data", data, "--output", tmp_path]
    process = subprocess.Popen(
        [sys.executable, *command(*options, "--epochs=1000")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end_time = time.monotonic() + 120  # s
    while not (tmp_path / "history.csv").exists():
        assert process.poll() is None and time.monotonic() < end_time
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    epochs_done = len(read_history(tmp_path))
    # What a kill during the next epoch's writing may leave behind.
    (tmp_path / "new-history.csv").write_text("epoch,lo")
    (tmp_path / "new-model.keras").write_bytes(b"PK")
    (tmp_path / f"epoch-{epochs_done + 1}.weights.h5").write_bytes(b"no HDF")
    run(monkeypatch, *options, "--resume", f"--epochs={max(3, epochs_done)}")
    assert "BLEU|nrefs:1|case:mixed" in capsys.readouterr().out
    for row, expected in zip(read_history(tmp_path), read_history(finished)):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-3)


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
def test_a_transformer_ends_as_the_average_of_its_last_epochs(
    briefly, data, tmp_path, monkeypatch
):
    run(
        monkeypatch,
        "--architecture=transformer",
        "--num-layers=1",
        "--num-heads=2",
        "--average=2",
        "--epochs=3",
        "--data",
        data,
        "--output",
        tmp_path,
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "epoch-2.weights.h5",
        "epoch-3.weights.h5",
        "history.csv",
        "model.keras",
        "shared.model",
    }
    tokenizer = translate.build_tokenizer("shared", [], options_of(tmp_path))
    weights = []
    for epoch in (2, 3):
        model = translate.build_model(
            tokenizer, tokenizer, options_of(tmp_path)
        )
        model.optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / f"epoch-{epoch}.weights.h5")
        weights.append(model.get_weights())
    model.set_weights([(one + other) / 2 for one, other in zip(*weights)])
    text = keras.saving.load_model(tmp_path / "model.keras")
    for name in ("encoder", "decoder"):
        expected = getattr(model, name).get_weights()
        found = getattr(text.inference, name).get_weights()
        assert len(found) == len(expected) > 10
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_training_may_read_own_words_and_compare_two_passes(monkeypatch):
    monkeypatch.setattr(sys, "argv", command("--own-words=0.3", "--r-drop=2"))
    tokenizer = types.SimpleNamespace(vocabulary_size=20)
    model = translate.build_model(
        tokenizer, tokenizer, translate.parse_options()
    )
    assert model.objectives.r_drop == 2.0
    schedule = model.objectives.scheduled_sampling.probability
    assert float(schedule(6000)) == np.float32(0.3)


def options_of(folder):
    """The options of the test's transformer, with `folder` as its output."""
    options = ["--architecture=transformer", "--num-layers=1", "--num-heads=2"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, "argv", command(*options, "--output", folder))
        return translate.parse_options()
