import io
import sys

import pytest

from examples import pronounce

WORDS = {"ON": ["AA N", "AO N"], "NO": ["N OW"], "NOON": ["N UW N"]}


def test_errors_are_counted_to_the_closest_pronunciation():
    assert pronounce.count_errors("AO N", WORDS["ON"]) == (0, 2)
    # One phone replaced, one left out, one too many.
    assert pronounce.count_errors("AH N", WORDS["ON"]) == (1, 2)
    assert pronounce.count_errors("N UW", WORDS["NOON"]) == (1, 3)
    assert pronounce.count_errors("N OW N", WORDS["NO"]) == (1, 2)
    assert pronounce.count_errors("", WORDS["NO"]) == (2, 2)


class Speaker:
    def generate(self, words, batch_size, verbose):
        return ["AO N", "N OW N", "N UW"]


def test_rates_are_over_words_and_phones(tmp_path, capsys):
    path = tmp_path / "errors.tsv"
    pronounce.evaluate(Speaker(), WORDS, path)
    # 2 of 3 words, and 2 errors in 2 + 2 + 3 phones.
    assert "WER 66.67%, PER 28.57%" in capsys.readouterr().out
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == ["NO\tN OW N\tN OW", "NOON\tN UW\tN UW N"]


def test_a_dictionary_keeps_all_pronunciations(tmp_path, monkeypatch):
    monkeypatch.setattr(pronounce, "NUM_HELD_OUT", 1)
    path = tmp_path / "words"
    path.write_text("ON\tAA N\nNO\tN OW\nON\tAO N\n", encoding="utf-8")
    found = pronounce.read_dictionary(path)
    assert found == {"ON": ["AA N", "AO N"], "NO": ["N OW"]}
    path.write_text("ON\tAA N\n", encoding="utf-8")
    rule = "words must hold more words than the 1 .* Received: 1 words"
    with pytest.raises(ValueError, match=rule):
        pronounce.read_dictionary(path)


@pytest.mark.parametrize("line", ["NO N OW", "NO\t", "NO\tN OW\t1", ""])
def test_what_is_no_pronunciation_is_named(line, tmp_path):
    path = tmp_path / "words"
    path.write_text(f"ON\tAA N\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="words, line 2: no word TAB phones"):
        pronounce.read_dictionary(path)


@pytest.mark.slow
def test_the_example_runs(briefly, monkeypatch, tmp_path, capsys):
    lines = [
        f"{word}{number * 'O'}\t{phones}{number * ' OW'}"
        for number in range(6)
        for word, all_phones in WORDS.items()
        for phones in all_phones
    ]
    (tmp_path / "words").write_text("\n".join(lines), encoding="utf-8")
    options = ["--units=8", "--epochs=1", "--embedding-dim=8"]
    files = [f"--data={tmp_path / 'words'}", f"--output={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["pronounce.py", *options, *files])
    monkeypatch.setattr(pronounce, "NUM_HELD_OUT", 4)
    pronounce.main()
    assert "4 held-out words: WER" in capsys.readouterr().out
    assert (tmp_path / "alignment.png").stat().st_size > 1000
    model = tmp_path / "model.keras"
    monkeypatch.setattr(sys, "argv", ["pronounce.py", f"--read={model}"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("on\n\nNo\n"))
    pronounce.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["ON", "NO"]
