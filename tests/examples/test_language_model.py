import io
import sys

import pytest

from examples import language_model

PARTS = {
    "train": ["a <unk> dog", "a cat"] * 8,
    "valid": ["a dog"] * 3,
    "test": ["a bird and a dog", "a cat"],
}


def test_a_text_is_one_document_of_sentences():
    tokenizer = language_model.make_tokenizer(PARTS["train"])
    assert sorted(tokenizer.words) == ["a", "cat", "dog"]
    stream = language_model.make_stream(PARTS["test"], tokenizer, 1, 20)
    inputs, labels, weights = stream[0]
    a, cat, dog = tokenizer.encode(["a cat dog"])[0]
    # 1 is unknown, 3 stands behind a sentence and before the first.
    text = [a, 1, 1, a, dog, 3, a, cat, 3]
    assert labels[0, :9].tolist() == text and weights.sum() == 9
    assert inputs["target_ids"][0, :9].tolist() == [3, *text[:-1]]


@pytest.mark.slow
def test_the_example_runs(monkeypatch, tmp_path, capsys):
    for part, lines in PARTS.items():
        text = "".join(f" {line} \n" for line in lines)
        (tmp_path / f"ptb.{part}.txt").write_text(text, encoding="utf-8")
    options = ["--epochs=1", "--units=4", "--num-layers=1", "--samples=2"]
    files = [f"--data={tmp_path}", f"--output={tmp_path}"]
    options.append("--batch-size=2")
    files.append(f"--resume={tmp_path / 'run'}")
    monkeypatch.setattr(sys, "argv", ["language_model.py", *options, *files])
    language_model.main()
    assert "Perplexity of 9 test words: " in capsys.readouterr().out
    assert (tmp_path / "run" / "epoch-1.weights.h5").exists()
    model = tmp_path / "model.keras"
    monkeypatch.setattr(sys, "argv", ["language_model.py", f"--talk={model}"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("a dog\n\na\n"))
    language_model.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "a"]
