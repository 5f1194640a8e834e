import importlib
import pathlib
import sys
import types

import keras
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SOURCES = ["a dog", "a cat", "no", "two men"]
REFERENCES = ["ein hund", "eine katze", "nein", "zwei männer"]


class Teacher:
    """Writes capitals, nothing of "no", and dies at the word "die"."""

    calls = []

    def generate(self, texts, batch_size):
        self.calls.append((list(texts), batch_size))
        if "die" in texts:
            raise KeyboardInterrupt
        return ["" if text == "no" else text.upper() for text in texts]


@pytest.fixture
def distill(monkeypatch):
    """The example, its teacher a fake one."""
    monkeypatch.syspath_prepend(EXAMPLES)
    module = importlib.import_module("distill")
    monkeypatch.setattr(keras.saving, "load_model", lambda path: Teacher())
    monkeypatch.setattr(Teacher, "calls", [])
    monkeypatch.setattr(module, "CHUNK", 2)
    yield module
    for name in ("distill", "translate"):
        sys.modules.pop(name, None)


@pytest.fixture
def folder(tmp_path):
    """A folder laid out as Multi30k is, with a teacher beside it."""
    (tmp_path / "raw").mkdir()
    for split in ("train", "val", "test_2016_flickr"):
        for language, lines in (("en", SOURCES), ("de", REFERENCES)):
            path = tmp_path / "raw" / f"{split}.{language}"
            path.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "teacher.keras").write_bytes(b"weights")
    return tmp_path


def test_translations_go_on_with_the_line_they_had_come_to(distill, tmp_path):
    path = tmp_path / "translations"
    lines = ["a", "b", "c", "die", "e"]
    with pytest.raises(KeyboardInterrupt):
        distill.translate_lines("teacher", lines, path, 64)
    assert path.read_text() == "A\nB\n"
    with open(path, "a") as file:
        file.write("half of a li")
    lines[3] = "d"
    found = distill.translate_lines("teacher", lines, path, 64)
    assert found == ["A", "B", "C", "D", "E"]
    asked = [texts for texts, _ in Teacher.calls]
    assert asked == [["a", "b"], ["c", "die"], ["c", "d"], ["e"]]
    distill.translate_lines("teacher", lines, path, 64)
    assert len(Teacher.calls) == 4


def run(distill, monkeypatch, folder, *more):
    """Returns what the student is trained on, and all its options."""
    arguments = ["--teacher", folder / "teacher.keras", "--data", folder]
    arguments += ["--output", folder / "student", *more]
    monkeypatch.setattr(sys, "argv", ["distill.py", *map(str, arguments)])
    found = types.SimpleNamespace()

    def train():
        found.options = distill.translate.parse_options()
        found.splits = {
            split: distill.translate.read_split(split, found.options)
            for split in ("train", "val", "test_2016_flickr")
        }

    monkeypatch.setattr(distill.translate, "main", train)
    distill.main()
    return found


def test_a_student_is_trained_on_translations(distill, monkeypatch, folder):
    found = run(distill, monkeypatch, folder, "--units=8", "--resume")
    assert found.splits["train"] == [
        SOURCES,
        ["A DOG", "A CAT", "nein"] + ["TWO MEN"],
    ]
    assert found.splits["val"] == [SOURCES, REFERENCES]
    assert found.splits["test_2016_flickr"] == [SOURCES, REFERENCES]
    assert found.options.units == 8 and found.options.resume
    assert found.options.output == folder / "student"
    run(distill, monkeypatch, folder)
    assert len(Teacher.calls) == 2
    # Another teacher's are not mixed with them.
    (folder / "teacher.keras").write_bytes(b"others")
    run(distill, monkeypatch, folder)
    assert len(Teacher.calls) == 4


def test_a_student_may_learn_from_both(distill, monkeypatch, folder):
    more = ["--both", "--examples=2", "--teacher-batch-size=7"]
    found = run(distill, monkeypatch, folder, *more)
    assert found.splits["train"] == [
        2 * SOURCES[:2],
        ["A DOG", "A CAT", *REFERENCES[:2]],
    ]
    assert found.options.examples == 4
    assert Teacher.calls == [(SOURCES[:2], 7)]
