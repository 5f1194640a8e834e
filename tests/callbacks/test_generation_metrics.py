import csv
import sys

import keras
import numpy as np
import pytest

from keras_s2s.callbacks import GenerationMetrics

TEXTS = ["a man runs", "a dog sleeps on the grass", "two men sit", "no"]


class FakeTextToText:
    """Returns its input, spoilt as the next entry of `spoils` says."""

    def __init__(self, *spoils):
        self.spoils = list(spoils)
        self.calls = []

    def generate(self, texts, batch_size=64):
        self.calls.append(list(texts))
        spoil = self.spoils.pop(0) if self.spoils else None
        return [spoil(text) for text in texts] if spoil else list(texts)


def keep(text):
    return text


def drop_last_letter(text):
    return text[:-1]


def say_nothing(text):
    return ""


def make_callback(text_to_text, texts=TEXTS, **options):
    options = {"metrics": ("exact_match",), "verbose": 0, **options}
    return GenerationMetrics(text_to_text, texts, texts, **options)


def fit(callbacks, epochs, initial_epoch=0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    data = np.ones((2, 1), "float32")
    return model.fit(
        data,
        data,
        epochs=epochs,
        initial_epoch=initial_epoch,
        verbose=0,
        callbacks=callbacks,
    ).history


def test_exact_match_by_hand():
    fake = FakeTextToText(lambda text: text.replace("two", "Two"))
    assert make_callback(fake).evaluate() == {"val_exact_match": 3 / 4}
    fake = FakeTextToText(lambda text: text.upper())
    callback = make_callback(fake, lowercase=True, prefix="test_")
    assert callback.evaluate() == {"test_exact_match": 1.0}


def test_bleu_by_hand():
    # 4-gram BLEU of one sentence: precisions 4/5, 3/4, 2/3, 1/2; as long.
    fake = FakeTextToText(lambda text: "a b c d x")
    options = {"texts": ["a b c d e"], "metrics": ("bleu",)}
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    value = make_callback(fake, **options).evaluate()["val_bleu"]
    assert value == pytest.approx(expected)


def test_ter_by_hand():
    fake = FakeTextToText(lambda text: "a b c x")
    callback = make_callback(fake, ["a b c d"], metrics=("ter",))
    assert callback.evaluate()["val_ter"] == pytest.approx(25.0)


def test_error_rates_and_rouge_by_hand():
    """One word of 4 substituted: 1 of 7 letters; bigrams "a b", "b c"."""
    fake = FakeTextToText(lambda text: "a b c X")
    metrics = ("wer", "cer", "rouge1", "rouge2", "rougeL")
    callback = make_callback(fake, ["a b c d"], metrics=metrics, prefix="")
    expected = [25.0, 100 / 7, 75.0, 200 / 3, 75.0]
    expected = dict(zip(metrics, expected))
    assert callback.evaluate() == pytest.approx(expected)
    fake = FakeTextToText(str.upper)
    options = {"metrics": ("wer",), "lowercase": True, "prefix": ""}
    assert make_callback(fake, **options).evaluate() == {"wer": 0.0}


def test_chrf_of_right_and_empty_texts():
    callback = make_callback(FakeTextToText(keep), metrics=("chrf",))
    assert callback.evaluate()["val_chrf"] == pytest.approx(100.0)
    callback = make_callback(FakeTextToText(say_nothing), metrics=("chrf",))
    assert callback.evaluate()["val_chrf"] == 0.0


def test_tokenize_and_lowercase_reach_bleu():
    texts = ["a man runs , and a dog ."]
    spoilt = FakeTextToText(lambda text: "A man runs, and a dog.")
    for options, is_perfect in (
        ({"tokenize": "13a", "lowercase": True}, True),
        ({"tokenize": "13a"}, False),
        ({"tokenize": "none", "lowercase": True}, False),
    ):
        spoilt.spoils = [lambda text: "A man runs, and a dog."]
        callback = make_callback(spoilt, texts, metrics=("bleu",), **options)
        value = callback.evaluate()["val_bleu"]
        assert (value == pytest.approx(100.0)) == is_perfect


def test_functions_are_logged_under_their_names():
    def length_ratio(hypotheses, references):
        return sum(map(len, hypotheses)) / sum(map(len, references))

    fake = FakeTextToText(drop_last_letter)
    callback = make_callback(fake, ["ab", "cd"], metrics=[length_ratio])
    assert callback.evaluate() == {"val_length_ratio": 0.5}


def test_batches_keep_the_pairs_together():
    def first_letters(hypotheses, references):
        assert hypotheses == references == TEXTS
        return 1.0

    fake = FakeTextToText()
    callback = make_callback(fake, metrics=[first_letters], batch_size=3)
    callback.evaluate()
    by_length = [TEXTS[3], TEXTS[0], TEXTS[2], TEXTS[1]]
    assert fake.calls == [by_length[:3], by_length[3:]]


@pytest.mark.parametrize("size", [1, 3, 7, 10, 12])
def test_sample_is_spread_over_the_texts(size):
    fake = FakeTextToText()
    texts = [f"{number:02}" for number in range(10)]
    make_callback(fake, texts, sample_size=size).evaluate()
    chosen = [int(text) for text in fake.calls[0]]
    assert len(chosen) == len(set(chosen)) == min(size, 10)
    if size == 3:
        assert chosen == [0, 3, 6]


# Keras 3.15 saves variables through an old signature of NumPy's.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_history_and_later_callbacks_see_the_scores(tmp_path):
    fake = FakeTextToText(say_nothing, drop_last_letter, keep)
    callbacks = [
        make_callback(fake, metrics=("chrf", "exact_match")),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "{val_exact_match:.0f}.weights.h5",
            monitor="val_exact_match",
            mode="max",
            save_best_only=True,
            save_weights_only=True,
        ),
    ]
    history = fit(callbacks, epochs=3)
    assert history["val_exact_match"] == [0.0, 0.0, 1.0]
    assert history["val_chrf"][0] == 0.0
    assert history["val_chrf"][2] == pytest.approx(100.0)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_exact_match"]) for row in rows] == [0, 0, 1]
    assert (tmp_path / "1.weights.h5").exists()


def test_early_stopping_stops_on_bleu():
    fake = FakeTextToText(say_nothing, keep, drop_last_letter, say_nothing)
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_bleu", mode="max", patience=2
    )
    history = fit([make_callback(fake, metrics=("bleu",)), stopping], 10)
    assert len(history["val_bleu"]) == 4
    assert history["val_bleu"][1] == pytest.approx(100.0)
    assert stopping.best_epoch == 1


def test_every_epochs_keeps_the_last_scores_in_between():
    spoils = [say_nothing, keep, say_nothing]
    fake = FakeTextToText(*spoils)
    history = fit([make_callback(fake, every_epochs=3)], epochs=6)
    # After epochs 1 and 4, and after the last.
    assert history["val_exact_match"] == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    assert len(fake.calls) == 3


def test_every_steps_puts_scores_into_the_logs_of_batches():
    fake = FakeTextToText(say_nothing, keep, say_nothing, say_nothing)
    seen = []
    spy = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(
            logs.get("val_exact_match")
        )
    )
    fit([make_callback(fake, every_steps=2, every_epochs=9), spy], epochs=5)
    # One batch an epoch; the first epoch and the last generate besides.
    assert seen == [None, 1.0, None, 0.0, None]
    assert len(fake.calls) == 4


def test_a_second_fit_generates_at_once():
    fake = FakeTextToText(say_nothing, keep, say_nothing)
    callback = make_callback(fake, every_epochs=5)
    assert fit([callback], epochs=1)["val_exact_match"] == [0.0]
    history = fit([callback], epochs=4, initial_epoch=1)
    assert history["val_exact_match"] == [1.0, 1.0, 0.0]


def test_prints_scores_and_examples(capsys):
    fake = FakeTextToText(drop_last_letter)
    make_callback(fake, verbose=2, num_examples=1).evaluate()
    assert capsys.readouterr().out == (
        "val_exact_match: 0.0000\n"
        "  source:     a man runs\n"
        "  reference:  a man runs\n"
        "  hypothesis: a man run\n"
    )
    make_callback(FakeTextToText(), verbose=1, num_examples=0).evaluate()
    printed = capsys.readouterr().out
    assert "4/4" in printed and printed.endswith("val_exact_match: 1.0000\n")
    make_callback(FakeTextToText()).evaluate()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("metric", "module", "package"),
    [
        ("bleu", "sacrebleu.metrics", "sacrebleu"),
        ("chrf", "sacrebleu.metrics", "sacrebleu"),
        ("ter", "sacrebleu.metrics", "sacrebleu"),
        ("wer", "jiwer", "jiwer"),
        ("cer", "jiwer", "jiwer"),
        ("rougeL", "rouge_score.rouge_scorer", "rouge-score"),
    ],
)
def test_names_the_extra_that_is_missing(metric, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"need {package}.*`pip install \"keras_s2s\[metrics\]\"`"
    with pytest.raises(ImportError, match=message):
        make_callback(FakeTextToText(), metrics=(metric,))
    make_callback(FakeTextToText(), metrics=("exact_match",)).evaluate()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"text_to_text": 3},
            TypeError,
            "`text_to_text` must be an object with a method `generate`. "
            "Received: text_to_text=3.",
        ),
        (
            {"source_texts": []},
            ValueError,
            r"`source_texts` must be a sequence of at least one text. "
            r"Received: source_texts=\[\].",
        ),
        (
            {"reference_texts": "a b"},
            ValueError,
            "`reference_texts` must be a sequence of .* reference_texts='a b'",
        ),
        (
            {"source_texts": [3, 4]},
            TypeError,
            "`source_texts` must be a sequence of str. Received: "
            "source_texts=3.",
        ),
        (
            {"reference_texts": ["a"]},
            ValueError,
            r"`len\(reference_texts\)` must be as many as the 2 source texts. "
            r"Received: len\(reference_texts\)=1.",
        ),
        (
            {"metrics": ["rouge"]},
            ValueError,
            r"`metrics` must be one of \['bleu', .* metrics='rouge'.",
        ),
        (
            {"metrics": "bleu"},
            ValueError,
            "`metrics` must be a sequence of at least one name or function. "
            "Received: metrics='bleu'.",
        ),
        (
            {"metrics": [3]},
            TypeError,
            "`metrics` must be names, or functions with a `__name__`. "
            "Received: metrics=3.",
        ),
        (
            {"metrics": ["bleu", "bleu"]},
            ValueError,
            "`metrics` must be different names. Received: metrics='bleu'.",
        ),
        (
            {"tokenize": "14a"},
            ValueError,
            "`tokenize` must be one of .* Received: tokenize='14a'.",
        ),
        (
            {"every_epochs": 0},
            ValueError,
            "`every_epochs` must be an integer >= 1. .* every_epochs=0.",
        ),
        (
            {"every_steps": 0},
            ValueError,
            "`every_steps` must be an integer >= 1. .* every_steps=0.",
        ),
        (
            {"metrics": ["wer"], "reference_texts": ["a", " "]},
            ValueError,
            r"`reference_texts\[1\]` must be not empty for an error rate",
        ),
        (
            {"sample_size": 0},
            ValueError,
            "`sample_size` must be an integer >= 1. .* sample_size=0.",
        ),
        (
            {"num_examples": -1},
            ValueError,
            "`num_examples` must be an integer >= 0. .* num_examples=-1.",
        ),
        (
            {"batch_size": 1.5},
            TypeError,
            "`batch_size` must be an integer >= 1. .* batch_size=1.5.",
        ),
        (
            {"num_pictures": -1},
            ValueError,
            "`num_pictures` must be an integer >= 0. .* num_pictures=-1.",
        ),
        (
            {"num_pictures": 1},
            ValueError,
            "`num_pictures` must be at most 0, the examples that go to "
            "`log_dir`. Received: num_pictures=1.",
        ),
        (
            {"num_pictures": 4, "log_dir": "log"},
            ValueError,
            "`num_pictures` must be at most 3, the examples that",
        ),
        (
            {"verbose": "auto"},
            ValueError,
            r"`verbose` must be one of \[0, 1, 2\]. .* verbose='auto'.",
        ),
    ],
)
def test_refuses_arguments(options, error, message):
    arguments = {
        "text_to_text": FakeTextToText(),
        "source_texts": ["a", "b"],
        "reference_texts": ["a", "b"],
        **options,
    }
    with pytest.raises(error, match=message):
        GenerationMetrics(**arguments)


def test_refuses_another_number_of_texts():
    fake = FakeTextToText()
    fake.generate = lambda texts, batch_size: texts[1:]
    message = "`text_to_text.generate` must be a list of 4 texts. Received: "
    with pytest.raises(ValueError, match=message):
        make_callback(fake).evaluate()
