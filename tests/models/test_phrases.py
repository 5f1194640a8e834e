"""Prefixes and phrases in words: as their ids would be, and what is wrong."""

import keras
import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.models import TextToText
from tests import numerics
from tests.models.captions import PICTURES
from tests.models.captions import image_to_text
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


def test_they_are_what_their_ids_are(text):
    expected = predict_ids(text.inference)
    decode = tokenizer().decode
    best = decode(expected["ids"][:, 0])
    found = text.generate(TEXTS, batch_size=2, **ASKED)
    assert found == [*best[:2], "", best[2]]
    assert found[0].startswith("a d") and " c" in found[0]
    assert " t" in f" {found[3]}"
    assert not any(phrase in one for phrase in FORBIDDEN for one in found)
    n_best = text.n_best(TEXTS, **ASKED)
    assert n_best.pop(2) == []
    assert all(one.text.startswith("a d") for one in n_best[0])
    for row, hypotheses in enumerate(n_best):
        texts = decode(expected["ids"][row])
        assert [one.text for one in hypotheses] == texts
        scores = np.array([one.score for one in hypotheses], "float32")
        numerics.assert_close(scores, expected["scores"][row], 1e-5)


def test_one_for_all_is_one_for_each(text):
    found = text.generate(TEXTS, prefixes="the", required=["d"])
    each = {"prefixes": ["the"] * 4, "required": [["d"]] * 4}
    assert text.generate(TEXTS, **each) == found
    assert text.generate([], **{name: [] for name in each}) == []


def test_what_is_not_asked_costs_nothing(text):
    plain = text.generate(TEXTS)
    before = text.add_constraints.cache_info()
    for nothing in (
        {"prefixes": "", "required": [], "forbidden": ()},
        {"prefixes": [None] * 4, "required": [None] * 4},
        {"forbidden": ["Ω"]},  # has no id
    ):
        assert text.generate(TEXTS, **nothing) == plain
    assert text.add_constraints.cache_info() == before


def test_a_search_is_kept_until_its_graph_changes():
    text = make_text()
    for _ in range(2):
        text.generate(["cat"], prefixes="a")
    assert text.add_constraints.cache_info().currsize == 1
    text.inference.compile(jit_compile=True)
    assert text.find_inference(("prefix_ids",)).jit_compile
    # What the search knows already is told to it.
    text = make_text([ForcedPrefix()])
    assert text.find_inference(("prefix_ids",)) is text.inference
    assert text.generate(["cat"], prefixes="the")[0].startswith("the")
    assert text.generate(["cat"]) == make_text().generate(["cat"])


def test_a_file_holds_no_more_for_it(text, tmp_path):
    expected = text.generate(TEXTS, **ASKED)
    text.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert not loaded.inference.search.constraints
    assert len(loaded.weights) == len(text.weights)
    loaded.inference.compile(run_eagerly=True)
    assert loaded.generate(TEXTS, **ASKED) == expected


def test_captions_take_them_too():
    captioner = image_to_text()
    plain = captioner.generate(PICTURES)
    prefixes = ["the", "", "a c"]
    found = captioner.generate(PICTURES, prefixes=prefixes, batch_size=2)
    assert found[1] == plain[1]
    assert all(map(str.startswith, found, prefixes))
    words = ["dog"]
    assert "dog" in captioner.generate(PICTURES[:1], required=words)[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"prefixes": ["a dog runs"]},
            "`prefixes` must be of at most max_length, 8, tokens. Received: "
            "prefixes='a dog runs'. It has 11",
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
