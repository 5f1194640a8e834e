import csv
import pathlib
import sys

import pytest

from tests.benchmarks import recipes


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the benchmark, its trainings done by a function of options."""

    def call(train, *arguments):
        def do(command, stdout, stderr):
            stdout.write("epoch 1\n")
            return train([pathlib.Path(part).name for part in command], stdout)

        monkeypatch.setattr(recipes.subprocess, "call", do)
        arguments = ["recipes.py", f"--folder={tmp_path}", *arguments]
        monkeypatch.setattr(sys, "argv", arguments)
        recipes.main()
        return capsys.readouterr().out.splitlines()[-2:]

    return call


def leave(folder, log, validation, test):
    """Leaves what a run of `translate.py` does."""
    with open(folder / "history.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "val_bleu"])
        writer.writerows(enumerate(validation, 1))
    log.write(f"BLEU|nrefs:1 = {test} 60.0/30.0 (BP = 1.000)\n")
    return 0


def test_each_part_is_run_once_and_compared(run, tmp_path):
    seen = []

    def train(command, log):
        seen.append(command[1:])
        if command[1] == "distill.py":
            return leave(tmp_path / "distillation", log, [30, 32.5], 33.25)
        return leave(tmp_path / "recipe", log, [10, 31.25, 30], 32)

    parts = ["--only", "recipe", "distillation", "--seed=3", "--epochs=3"]
    expected = [
        "| as it is | 3 | 0 | 31.25 | 32.00 |",
        "| distilled, of its own teacher | 2 | 0 | 32.50 (+1.25) "
        "| 33.25 (+1.25) |",
    ]
    assert run(train, *parts) == expected
    assert run(train, *parts) == expected
    options = ["--tokenized", "--seed=3"]
    assert seen == [
        ["translate.py", *options, "recipe", "--epochs=3"],
        ["distill.py", *options, "distillation", "--epochs=3", "model.keras"],
    ]


def test_a_stopped_run_goes_on(run, tmp_path):
    def die(command, log):
        leave(tmp_path / "untied", log, [20], 21)
        return 1

    with pytest.raises(SystemExit, match="untied failed. .*log.txt"):
        run(die, "--only", "untied")

    def resume(command, log):
        assert command[-2:] == ["--untied", "--resume"]
        return leave(tmp_path / "untied", log, [20, 22], 23)

    line = "| output weights of its own | 2 |  | 22.00 | 23.00 |"
    assert run(resume, "--only", "untied")[-1] == line


def test_an_average_is_judged_itself(run, tmp_path):
    def train(command, log):
        log.write("Average of epochs: val_bleu 29.50\n")
        return leave(tmp_path / "average", log, [20, 30], 31)

    line = "| average of the last 4 epochs | 2 | 0 | 29.50 | 31.00 |"
    assert run(train, "--only", "average")[-1] == line
