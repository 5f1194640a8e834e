"""The hypothesis of the highest expected utility."""

import sys

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sacrebleu.metrics import CHRF

from keras_s2s import decoding
from keras_s2s.data import pad_rows
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models import TextToText
from keras_s2s.models import minimum_bayes_risk
from keras_s2s.models.minimum_bayes_risk import choose_texts
from keras_s2s.models.minimum_bayes_risk import expected_utilities
from tests.models.texts import text_to_text
from tests.models.texts import tokenizer


def same(text, other):
    return text == other


def look_up(table):
    return lambda text, other: table[text + other]


@pytest.mark.parametrize(
    "texts, utility, weights, expected",
    [
        (["x"], same, None, [1]),
        (["x", "y", "y"], same, None, [1 / 3, 2 / 3, 2 / 3]),
        (["x", "y", "y"], same, [6, 1, 1], [0.75, 0.25, 0.25]),
        (["x", "y"], same, [0, 2], [0, 1]),
        # The first is good where it is meant, the second in both cases.
        (
            ["x", "y"],
            look_up({"xx": 1.0, "xy": 0.0, "yx": 0.5, "yy": 0.75}),
            None,
            [0.5, 0.625],
        ),
        (
            ["x", "y"],
            look_up({"xx": 1.0, "xy": 0.0, "yx": 0.5, "yy": 0.75}),
            [3, 1],
            [0.75, 0.5625],
        ),
    ],
)
def test_what_is_expected_is_the_weighted_sum(
    texts, utility, weights, expected
):
    found = expected_utilities(texts, utility, weights)
    np.testing.assert_allclose(found, expected)
    chosen = minimum_bayes_risk(texts, utility, weights)
    assert chosen == expected.index(max(expected))


def test_it_is_brute_force_and_compares_each_pair_of_texts_once():
    random = np.random.default_rng(0)
    for _ in range(20):
        texts = [str(n) for n in random.integers(4, size=7)]
        weights = random.random(7)
        table = random.normal(size=(4, 4))
        calls = []

        def utility(text, other, table=table, calls=calls):
            calls.append((text, other))
            return table[int(text), int(other)]

        found = expected_utilities(texts, utility, weights)
        expected = [
            sum(w * table[int(a), int(b)] for w, b in zip(weights, texts))
            / sum(weights)
            for a in texts
        ]
        np.testing.assert_allclose(found, expected)
        assert len(calls) == len(set(texts)) ** 2


@pytest.mark.parametrize(
    "name, metric", [("chrf", CHRF()), ("bleu", BLEU(effective_order=True))]
)
def test_a_named_utility_is_that_of_sacrebleu(name, metric):
    texts = ["a dog runs", "the dog ran home", "a dog ran"]
    found = expected_utilities(texts, name, [1, 2, 1])
    expected = [
        sum(
            weight * metric.sentence_score(text, [other]).score / 4
            for weight, other in zip([1, 2, 1], texts)
        )
        for text in texts
    ]
    np.testing.assert_allclose(found, expected)


def inference_with(search):
    parts = text_to_text().inference
    model = Seq2Seq(parts.encoder, parts.decoder)
    return InferenceModel(model, search, max_length=6)


@pytest.mark.parametrize("kind", ["samples", "list"])
def test_a_text_model_chooses_by_it(kind):
    search = {
        "samples": decoding.RandomSampling(num_samples=5, seed=2),
        "list": decoding.BeamSearch(5, num_hypotheses=5),
    }[kind]
    inference, words = inference_with(search), tokenizer()
    text = TextToText(inference, words, words)

    def utility(one, other):
        return len(one) / (1 + abs(len(one) - len(other)))

    found = text.generate(["", "a dog runs ."], utility=utility)
    source = pad_rows(words.encode(["a dog runs ."], add_eos=True), 0, 8)
    result = inference.predict_on_batch(source)
    texts = words.decode(result["ids"][0])
    weights = np.exp(result["token_scores"][0].sum(-1))
    weights = np.ones(5) if kind == "samples" else weights
    expected = [
        sum(w * utility(one, other) for w, other in zip(weights, texts))
        for one in texts
    ]
    assert len(set(texts)) > 1
    assert found == ["", texts[int(np.argmax(expected))]]


def test_a_text_model_without_choice_has_no_utility():
    greedy = inference_with(decoding.GreedySearch())
    text = TextToText(greedy, tokenizer(), tokenizer())
    with pytest.raises(ValueError, match="`utility` must be None where the se"):
        text.generate(["a"], utility="chrf")


def test_what_cannot_be_generated_is_never_chosen():
    result = {
        "token_scores": np.log([[[0.1], [0.9], [1.0]], [[1.0], [1.0], [1.0]]]),
        "lengths": np.array([[1, 1, 0], [0, 0, 0]]),
    }
    texts = [["x", ""], ["y", ""], ["z", ""]]
    assert choose_texts(texts, result, same, False) == ["y", ""]
    assert choose_texts(texts, result, same, True) == ["x", ""]


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_the_missing_extra_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    message = r"need sacrebleu.*`pip install \"keras_s2s\[metrics\]\"`"
    with pytest.raises(ImportError, match=message):
        minimum_bayes_risk(["x"], name)


@pytest.mark.parametrize(
    "texts, options, error, message",
    [
        ([], {}, ValueError, "`hypotheses` must be a list of at least one"),
        ("x", {}, TypeError, "`hypotheses` must be a list of str"),
        ([5], {}, TypeError, r"`hypotheses\[0\]` must be a str"),
        (["x"], {"utility": "ter"}, ValueError, "`utility` must be one of"),
        (["x"], {"weights": [1, 1]}, ValueError, "`weights` must be one for"),
        (["x"], {"weights": [-1]}, ValueError, r"`weights\[0\]` must be a nu"),
        (["x"], {"weights": [0]}, ValueError, "`weights` must be not all 0"),
        (
            ["x"],
            {"utility": lambda *pair: np.nan},
            ValueError,
            "`utility` must be a function that returns a finite number",
        ),
    ],
)
def test_bad_arguments_are_refused(texts, options, error, message):
    with pytest.raises(error, match=message):
        minimum_bayes_risk(texts, **{"utility": same, **options})
