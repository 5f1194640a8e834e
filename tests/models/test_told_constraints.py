"""Prefixes, shortlists and phrases of each sentence, in a whole model."""

import keras
import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.decoding import Shortlist
from keras_s2s.models import InferenceModel
from tests import numerics
from tests import pairs
from tests.decoding.rules import holds

MAX_LENGTH = 7
EOS = 3
TOLD = [ForcedPrefix(), RequiredPhrases(), ForbiddenPhrases(), Shortlist()]
SOURCES = [[5, 6, 7, 3], [8, 3], [9, 4, 3], [5, 3]]
INPUTS = {
    "source_ids": SOURCES,
    "prefix_ids": [[5, 6], [], [7], []],
    "required_ids": [[[7], [8, 9]], [[6, 5, 4]], [], []],
    "forbidden_ids": [[], [[4, 4], [7]], [[8]], []],
    "shortlist_ids": [[], [], [7, 8, 9, 3], []],
}


def make(*constraints, **options):
    search = BeamSearch(
        3, "gnmt", num_hypotheses=2, constraints=list(constraints)
    )
    model = pairs.model_of("unfed")
    return InferenceModel(model, search, max_length=MAX_LENGTH, **options)


@pytest.fixture(scope="module")
def inference():
    return make(*TOLD)


@pytest.fixture(scope="module")
def found(inference):
    return inference.predict(INPUTS, batch_size=3, verbose=0)


def test_each_sentence_keeps_to_what_is_said_of_it(found):
    ids = [row[row != 0].tolist() for row in found["ids"][:, 0]]
    assert ids[0][:2] == [5, 6]
    assert holds(ids[0], [7]) and holds(ids[0], [8, 9])
    assert holds(ids[1], [6, 5, 4])
    assert not holds(ids[1], [4, 4]) and 7 not in ids[1]
    assert ids[2][0] == 7 and set(ids[2]) <= {7, 9, EOS}
    assert np.isfinite(found["scores"]).all()


def test_it_is_the_same_alone_and_unconstrained_where_nothing_is_said(
    inference, found
):
    for row in range(4):
        alone = {name: rows[row : row + 1] for name, rows in INPUTS.items()}
        if row == 3:
            alone = {"source_ids": SOURCES[3:]}
        result = inference.predict(alone, verbose=0)
        result = {name: one[0] for name, one in result.items()}
        expected = {name: one[row] for name, one in found.items()}
        numerics.assert_close(result, expected, 1e-5)
    plain = make().predict(SOURCES[3:], verbose=0)
    numerics.assert_close(result, {k: v[0] for k, v in plain.items()}, 1e-5)


def test_forced_tokens_count_as_any_other(inference, found):
    for n in range(2):
        scored = inference.score(SOURCES, found["ids"][:, n], verbose=0)
        numerics.assert_close(scored["scores"], found["scores"][:, n], 1e-5)


def test_it_is_traced_once_and_saved(inference, found, tmp_path):
    function = inference.predict_function
    assert function.experimental_get_tracing_count() == 1
    inference.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.predict(INPUTS, batch_size=3, verbose=0)
    numerics.assert_close(again, found, 1e-6)


@pytest.mark.parametrize(
    "told, message",
    [
        (
            {"prefix_ids": [[5] * 8, [], [], []]},
            "`prefix_ids` must be of at most max_length, 7, tokens. "
            "Received: prefix_ids=8.",
        ),
        ({"prefix_ids": [[5, 3], [], [], []]}, "must be without eos_id, 3"),
        ({"prefix_ids": [[5, 0, 6], [], [], []]}, "without pad_id, 0, inside"),
        ({"required_ids": [[[5, 3]], [], [], []]}, "must be without eos_id, 3"),
        ({"required_ids": [[[5, 0, 6]], [], [], []]}, "without pad_id, 0, in"),
        (
            {"required_ids": [[[5] * 4, [6] * 3], [], [], []]},
            "`required_ids` must be of fewer tokens than max_length, 7, "
            "together for a sentence. Received: required_ids='7 tokens'",
        ),
        (
            {
                "required_ids": [[], [[8], [5, 6, 7]], [], []],
                "forbidden_ids": [[[5]], [[9], [6, 7]], [], []],
            },
            "`required_ids` must be without a phrase that is forbidden. "
            r"Received: required_ids=\[5, 6, 7\]",
        ),
        (
            {"shortlist_ids": [[5, 3], [], [5, 6], []]},
            "`shortlist_ids` must be rows with eos_id, 3, in each. "
            r"Received: shortlist_ids=\[5, 6\]",
        ),
        ({"shortlist_ids": [[5, 0, 3], [], [], []]}, "without pad_id, 0, in"),
        ({"forbidden_ids": [[[5, 0, 3]], [], [], []]}, "without pad_id, 0, in"),
    ],
)
def test_what_cannot_be_is_refused_before_any_decoding(
    inference, told, message
):
    with pytest.raises(ValueError, match=message):
        inference.predict({"source_ids": SOURCES, **told})


@pytest.mark.parametrize(
    "constraints, told",
    [
        ([RequiredPhrases([[5, 6]]), ForbiddenPhrases()], "forbidden_ids"),
        ([ForbiddenPhrases([[6], [7]]), RequiredPhrases()], "required_ids"),
    ],
    ids=["required of all", "forbidden to all"],
)
def test_what_is_told_is_compared_with_what_is_of_all(constraints, told):
    inference = make(*constraints)
    phrases = [[], [], [], [[6], [8]]]
    with pytest.raises(ValueError, match="a phrase that is forbidden"):
        inference.predict({"source_ids": SOURCES, told: phrases})


@pytest.mark.parametrize(
    "constraint, message",
    [
        (ForcedPrefix([5] * 8), "`ids` must be of at most max_length, 7"),
        (ForcedPrefix([5, 3]), "`ids` must be without eos_id, 3"),
        (ForcedPrefix([0, 5]), "`ids` must be without pad_id, 0"),
        (ForcedPrefix([99]), r"`ids` must hold ids in \[0, "),
        (Shortlist([5, 6]), "`ids` must be ids with eos_id, 3, among them"),
        (Shortlist([3, 99]), r"`ids` must hold ids in \[0, "),
        (RequiredPhrases([[5] * 7]), "`phrases` must be of fewer tokens"),
        (RequiredPhrases([[5], [3]]), r"`phrases\[1\]` must be without eos_id"),
        (ForbiddenPhrases([[5], [99]]), r"`phrases\[1\]` must hold ids in"),
    ],
)
def test_what_no_model_can_do_is_refused_as_it_is_made(constraint, message):
    with pytest.raises(ValueError, match=message):
        make(constraint)


def test_a_prefix_of_max_length_leaves_no_room():
    search = GreedySearch(constraints=[ForcedPrefix()])
    model = pairs.model_of("unfed")
    inference = InferenceModel(model, search, max_length=3)
    told = {"source_ids": SOURCES[:1], "prefix_ids": [[5, 6, 7]]}
    found = inference.predict(told, verbose=0)
    assert found["ids"][0, 0].tolist() == [5, 6, 7]
    assert np.isfinite(found["scores"]).all()
