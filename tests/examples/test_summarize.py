import sys

import keras
import numpy as np
import pytest

from examples import summarize
from keras_s2s.layers import RNNDecoder
from keras_s2s.tokenizers import WordTokenizer


def test_names_are_new_and_summaries_are_of_their_articles():
    random, used = np.random.default_rng(0), set()
    articles, summaries = summarize.make_pairs(50, random, used)
    # Ten names an article, and none twice.
    assert len(used) == 500
    for article, summary in zip(articles, summaries):
        words = summary.split()
        names = [word for word in words if word in used]
        assert len(names) == 5 and words[5] == names[2]
        assert set(names) <= set(article.split())


def test_only_names_in_their_place_are_right():
    tokenizer = WordTokenizer(["sees"])
    answers = ["Ada sees Eve", "sees Bob", "Eve"]
    references = ["Ada sees Bob", "Bob sees", "Eve Ada"]
    share = summarize.share_of_names_right(answers, references, tokenizer)
    assert share == 2 / 5


def test_files_are_read_word_by_word(tmp_path):
    path = tmp_path / "news.tsv"
    path.write_text("It's Ada, again.\tAda!\n", encoding="utf-8")
    pairs = summarize.read_pairs(path, max_words=5)
    assert list(pairs) == [("it ' s ada ,",), ("ada !",)]
    path.write_text("one\ttwo\nthree\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: no article TAB summary"):
        summarize.read_pairs(path, max_words=5)


def test_without_copying_there_is_no_pointer(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["summarize.py", "--no-copy"])
    model = summarize.build_model(20, summarize.parse_options())
    assert type(model.decoder) is RNNDecoder


def test_rouge_is_printed(capsys):
    pytest.importorskip("rouge_score")
    summarize.print_rouge(["a b c", "d"], ["a b c", "e"])
    found = capsys.readouterr().out
    assert found == "rouge1: 50.00\nrouge2: 50.00\nrougeL: 50.00\n"


@pytest.mark.slow
def test_the_example_runs(briefly, monkeypatch, tmp_path, capsys):
    options = ["--examples=40", "--epochs=1", "--units=16", "--min-count=5"]
    monkeypatch.setattr(
        sys, "argv", ["summarize.py", *options, f"--output={tmp_path}"]
    )
    monkeypatch.setattr(summarize, "NUM_HELD_OUT", 5)
    summarize.main()
    found = capsys.readouterr().out
    assert "Names right in 5 held-out summaries: " in found
    picture = tmp_path / "summarizer_alignment.png"
    assert picture.stat().st_size > 1000
    text = keras.saving.load_model(tmp_path / "summarizer.keras")
    assert len(text.generate(["Ada sold a bridge ."])) == 1
