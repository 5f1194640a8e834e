"""What `translate.py` makes of its options before it trains."""

import os

import keras
import pytest

from examples import translate
from tests.examples.translating import parse
from tests.examples.translating import run


def test_tokenized_text_is_read_from_its_own_files(tmp_path, monkeypatch):
    (tmp_path / "tok").mkdir()
    for language in ("en", "fr"):
        path = tmp_path / "tok" / f"val.lc.norm.tok.{language}"
        path.write_text(f"in {language} .\n")
    arguments = ["--data", tmp_path, "--tokenized", "--target", "fr"]
    options = parse(monkeypatch, *arguments)
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
    lines = translate.read_split("val", parse(monkeypatch, *tokenized))
    assert lines == [["a line"], ["a line"]]
    assert origins[0].endswith(f"multi30k/dataset/master{address}")


def test_batches_are_of_pairs_or_of_tokens(monkeypatch, capsys):
    for arguments, batch in [
        ([], {"batch_size": 64}),
        (["--batch-tokens=900"], {"batch_tokens": 900}),
        (["--architecture=transformer"], {"batch_tokens": 8192}),
        (
            ["--architecture=transformer", "--batch-size=9"],
            {"batch_size": 9},
        ),
    ]:
        assert parse(monkeypatch, *arguments).batch == batch
    with pytest.raises(SystemExit):
        parse(monkeypatch, "--batch-tokens=900", "--batch-size=9")
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked, policies",
    [("--mixed-precision", ["mixed_bfloat16"]), ("--no-mixed-precision", [])],
)
def test_the_policy_is_set_before_a_model_is_made(
    asked, policies, monkeypatch, capsys
):
    made = []
    monkeypatch.setattr(keras.config, "set_dtype_policy", made.append)
    monkeypatch.setattr(
        translate, "train", lambda options: made.append("model")
    )
    monkeypatch.setattr(translate, "evaluate", lambda options: None)
    run(monkeypatch, asked)
    assert made == [*policies, "model"]
    said = "with --no-mixed-precision in float32" in capsys.readouterr().out
    assert said == bool(policies)


@pytest.mark.parametrize(
    "cores, arguments, expected",
    [
        (2, [], "1"),
        (2, ["--translate=model.keras"], "1"),
        (2, ["--jit"], None),
        (2, ["--architecture=transformer"], "1"),
        (8, [], None),
    ],
)
def test_each_of_two_cores_has_half_of_a_batch(
    cores, arguments, expected, monkeypatch
):
    name = "TF_NUM_INTRAOP_THREADS"
    monkeypatch.setenv(name, "")  # What it was comes back.
    monkeypatch.delenv(name)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    found = []
    for part in ("train", "translate"):
        monkeypatch.setattr(
            translate, part, lambda options: found.append(os.environ.get(name))
        )
    monkeypatch.setattr(translate, "evaluate", lambda options: None)
    run(monkeypatch, "--no-mixed-precision", *arguments)
    assert found == [expected]
    monkeypatch.setenv(name, "2")
    run(monkeypatch, "--no-mixed-precision", *arguments)
    assert found == [expected, "2"]
