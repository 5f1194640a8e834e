"""Prefixes and phrases in words: as their ids would be, and what is wrong."""

import keras
import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.models import InferenceModel
from keras_s2s.models import TextToText
from keras_s2s.models import to_text
from keras_s2s.models.phrases import CONSTRAINTS
from tests import numerics
from tests.models.texts import TEXTS
from tests.models.texts import text_to_text
from tests.models.texts import tokenizer

FORBIDDEN = ["u", "e a"]
ASKED = {
    "prefixes": ["a d", None, "the", " "],
    "required": [["c"], [], None, ["t"]],
    "forbidden": FORBIDDEN,
}


def make_text(constraints=()):
    """Returns a text model that is not compiled, which is faster here."""
    search = BeamSearch(3, num_hypotheses=2, constraints=constraints)
    inference = text_to_text().inference.with_search(search)
    inference.compile(run_eagerly=True)
    return TextToText(inference, tokenizer(), tokenizer())


@pytest.fixture(scope="module")
def text():
    return make_text()


@pytest.fixture(scope="module")
def generated(text):
    return text.generate(TEXTS, batch_size=2, **ASKED)


def predict_ids(inference):
    """Returns what is found by a search that is told ids, of the texts that
    are not empty."""
    constraints = [ForbiddenPhrases(), RequiredPhrases(), ForcedPrefix()]
    search = BeamSearch(3, num_hypotheses=2, constraints=constraints)
    encode = tokenizer().encode
    sources = encode([one for one in TEXTS if one], add_eos=True)
    told = {
        "source_ids": sources,
        "prefix_ids": encode(["a d", "", ""]),
        "required_ids": [encode(["c"]), [], encode(["t"])],
        "forbidden_ids": [encode(FORBIDDEN)] * 3,
    }
    return inference.with_search(search).predict(told, verbose=0)


def test_they_are_what_their_ids_are(text, generated):
    expected = predict_ids(text.inference)
    decode = tokenizer().decode
    best = decode(expected["ids"][:, 0])
    assert generated == [*best[:2], "", best[2]]
    assert generated[0].startswith("a d") and " c" in generated[0]
    assert " t" in f" {generated[3]}"
    assert not any(one in found for one in FORBIDDEN for found in generated)
    n_best = text.n_best(TEXTS, **ASKED)
    assert n_best.pop(2) == []
    assert all(one.text.startswith("a d") for one in n_best[0])
    for row, hypotheses in enumerate(n_best):
        texts = decode(expected["ids"][row])
        assert [one.text for one in hypotheses] == texts
        scores = np.array([one.score for one in hypotheses], "float32")
        numerics.assert_close(scores, expected["scores"][row], 1e-5)


def test_one_for_all_is_one_for_each(text):
    a, dog = tokenizer().encode(["a", "dog"])
    expected = {"prefix_ids": [a, a], "required_ids": [[dog], [dog]]}
    assert text.encode_phrases(2, {}, "a", ["dog"], None) == expected
    each = ["a", "a"], [["dog"], ["dog"]], None
    assert text.encode_phrases(2, {}, *each) == expected
    # What a prefix holds takes no more room.
    found = text.encode_phrases(1, {}, "a dog", ["dog", "a"], None)
    assert found["required_ids"] == [[dog, a]]


@pytest.mark.parametrize(
    "nothing",
    [
        ("", [], ()),
        ([None, " "], [None, []], None),
        (None, None, ["Ω"]),  # has no id, so it is never written
    ],
)
def test_what_is_not_asked_costs_nothing(text, nothing):
    assert text.encode_phrases(2, {}, *nothing) == {}
    assert text.find_inference(()) is text.inference


def test_a_search_is_kept_until_its_graph_changes(text, monkeypatch):
    kept = text.find_inference(("prefix_ids",))
    assert text.find_inference(("prefix_ids",)) is kept
    assert kept.run_eagerly
    text = make_text([ForcedPrefix()])
    assert text.find_inference(("prefix_ids",)) is text.inference
    assert list(text.find_inference(tuple(CONSTRAINTS)).search.inputs) == [
        "prefix_ids",
        "forbidden_ids",
        "required_ids",
    ]
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        text.inference.compile()
        assert not text.find_inference(("forbidden_ids",)).jit_compile
        text.inference.compile(**options)
        kept = text.find_inference(("forbidden_ids",))
        assert all(getattr(kept, name) for name in options)
    quantized = {"dense": {"mode": "int8"}}
    monkeypatch.setattr(to_text, "find_quantized", lambda *_: quantized)
    assert text.find_inference(("forbidden_ids",)) is not kept


def test_a_file_holds_no_more_for_it(text, generated, tmp_path):
    text.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert not loaded.inference.search.constraints
    layers = text._flatten_layers()
    models = [one for one in layers if isinstance(one, InferenceModel)]
    assert models == [text.inference]
    loaded.inference.compile(run_eagerly=True)
    assert loaded.generate(TEXTS, **ASKED) == generated


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"prefixes": ["a dog runs"]},
            "`prefixes` must be of at most max_length, 8, tokens. Received: "
            "prefixes='a dog runs'. It has 11",
        ),
        (
            {"prefixes": "the", "required": ["dog"]},
            "`required` must be of at most max_length, 8, tokens with the "
            r"prefix. Received: required=\['dog'\]. With 'the' and an end "
            "token they have 9",
        ),
        (
            {"required": ["a cat"], "forbidden": ["cat", "dog"]},
            "`required` must be free of what is forbidden, 'cat'. Received: "
            "required='a cat'",
        ),
        (
            {"prefixes": "the", "forbidden": [["the"]]},
            "`prefixes` must be free of what is forbidden, 'the'",
        ),
        (
            {"required": [["a", "Ω dog"]]},
            r"`required` must be of words that the target tokenizer knows, "
            r"unlike \['Ω'\]. Received: required='Ω dog'",
        ),
        ({"prefixes": "aΩ"}, r"unlike \['aΩ'\]. Received: prefixes='aΩ'"),
        ({"required": [""]}, "of texts of at least one token. .*required=''"),
        (
            {"prefixes": ["a", "the"]},
            "`prefixes` must be of 1 entries, one for each text.*'the'",
        ),
        ({"forbidden": [["a"], []]}, "`forbidden` must be of 1 entries, one"),
    ],
)
def test_what_no_target_can_do_is_refused(text, asked, message):
    with pytest.raises(ValueError, match=message):
        text.n_best(["cat"], **asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"prefixes": [5]}, "`prefixes` must be a str, or a list of str or N"),
        ({"prefixes": 5}, "`prefixes` must be a str, or a list"),
        ({"required": "dog"}, "`required` must be a list of str, or a list of"),
        ({"forbidden": [["a", 5]]}, "`forbidden` must be a list of str, or a"),
        ({"forbidden": [["a"], "dog"]}, "`forbidden` must be a list of str"),
    ],
)
def test_what_is_no_list_of_phrases_is_refused(text, asked, message):
    with pytest.raises(TypeError, match=message):
        text.generate(["cat"], **asked)
