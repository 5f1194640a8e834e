import sys

import keras
import numpy as np
import pytest

from examples import classify


def test_words_are_different_and_ragged():
    random = np.random.default_rng(0)
    languages = classify.make_languages(random)
    np.testing.assert_allclose(languages.sum(axis=-1), 1.0)
    words, labels = classify.make_words(languages, 500, random)
    assert len(set(words)) == len(words) == len(labels) == 500
    lengths = {len(word) for word in words}
    assert min(lengths) == 5 and max(lengths) == 16
    assert set(labels.tolist()) == set(range(8))


def test_letters_count_from_one():
    ids = classify.encode(["abz", "d"])
    assert ids.tolist() == [[1, 2, len(classify.LETTERS)], [3, 0, 0]]


def test_the_best_guess_is_the_likeliest_language():
    size = len(classify.LETTERS)
    languages = np.full((2, size + 1, size), 0.1)
    languages[0, size, 1] = 0.3  # begins with b
    languages[1, 1, 0] = 0.9  # goes on with a
    assert classify.guess_best(["bb", "ba"], languages).tolist() == [0, 1]


@pytest.mark.slow
def test_the_example_runs(monkeypatch, tmp_path, capsys):
    options = ["--words=200", "--epochs=1", "--units=8"]
    monkeypatch.setattr(
        sys, "argv", ["classify.py", *options, f"--output={tmp_path}"]
    )
    monkeypatch.setattr(classify, "NUM_HELD_OUT", 30)
    classify.main()
    assert "Right on 30 held-out words: " in capsys.readouterr().out
    assert (tmp_path / "classify.png").stat().st_size > 1000
    model = keras.saving.load_model(tmp_path / "classify.keras")
    ids = classify.encode(["abz", "dub"])
    assert model.predict(ids, verbose=0).shape == (2, 8)
