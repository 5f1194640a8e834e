import io
import os
import sys

import pytest

from examples import transliterate


def test_letters_are_joined(tmp_path):
    path = tmp_path / "names"
    path.write_text("pacha\tп а ч а\t1\ntaine\tт э н\t4\n", encoding="utf-8")
    sources, targets = transliterate.read_names(path, "", None)
    assert sources == ["pacha", "taine"] and targets == ["пача", "тэн"]
    assert transliterate.read_names(path, "", 1) == (["pacha"], ["пача"])
    path.write_text("pacha\tп а ч а\t1\ntaine т э н\n", encoding="utf-8")
    with pytest.raises(ValueError, match="names, line 2: no name TAB name"):
        transliterate.read_names(path, "", None)


class Clerk:
    def generate(self, names, batch_size, verbose):
        return ["пача", "тэйн"]


def test_a_name_is_right_as_a_whole(tmp_path, capsys):
    path = tmp_path / "names"
    path.write_text("pacha\tп а ч а\t1\ntaine\tт э н\t4\n", encoding="utf-8")
    options = type("Options", (), {"test": path, "names": None})
    transliterate.evaluate(Clerk(), options)
    assert "Accuracy on 2 names: 50.00%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cores", "given", "expected"),
    [(2, None, "1"), (2, "2", "2"), (8, None, None)],
)
def test_each_of_two_cores_has_half_of_a_batch(
    cores, given, expected, monkeypatch
):
    name = "TF_NUM_INTRAOP_THREADS"
    monkeypatch.setenv(name, given or "")  # What it was comes back.
    if given is None:
        monkeypatch.delenv(name)
    found = []
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(
        transliterate, "read", lambda path: found.append(os.environ.get(name))
    )
    monkeypatch.setattr(sys, "argv", ["transliterate.py", "--read=model"])
    transliterate.main()
    assert found == [expected]


@pytest.mark.slow
def test_the_example_runs(briefly, monkeypatch, tmp_path, capsys):
    names = "".join(
        f"{a}{b}\t{c} {d}\t1\n"
        for a, c in zip("abvg", "абвг")
        for b, d in zip("deziklm", "дезиклм")
    )
    path = tmp_path / "names"
    path.write_text(names, encoding="utf-8")
    options = ["--embedding-dim=8", "--epochs=1", "--num-layers=1"]
    files = [f"--{name}={path}" for name in ("train", "test")]
    command = ["transliterate.py", *options, *files, f"--output={tmp_path}"]
    monkeypatch.setattr(sys, "argv", command)
    transliterate.main()
    assert "Accuracy on 28 names: " in capsys.readouterr().out
    assert (tmp_path / "alignment.png").stat().st_size > 1000
    model = tmp_path / "model.keras"
    monkeypatch.setattr(sys, "argv", ["transliterate.py", f"--read={model}"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("ad\nbe\n"))
    transliterate.main()
    assert len(capsys.readouterr().out.splitlines()) == 2
