"""Constraints, alone and together, in every search, against slow NumPy."""

import itertools
import json
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import Constraint
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import MinimumLength
from keras_s2s.decoding import NoRepeatNgrams
from keras_s2s.decoding import RandomSampling
from keras_s2s.decoding import RepetitionPenalty
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.decoding import Shortlist
from keras_s2s.decoding import StochasticBeamSearch
from tests.decoding.oracles import EOS
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import brute_force
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed
from tests.decoding.rules import RULES
from tests.decoding.rules import TOLD
from tests.decoding.rules import Together
from tests.decoding.rules import without

# Lengths alone are in `test_length_limits.py`.
SINGLE = [(name,) for name in RULES if name not in ("not short", "not long")]
# Of another, with another number.
VARIANTS = ["no token twice", "no such size", "more frequent"]
# Each kind with each other.
SEVERAL = [
    ("rarer", "no token twice", "not short"),
    ("phrases", "no bigram twice", "not short"),
    ("more frequent", "phrases", "not long"),
    ("told",),
    ("no bigram twice", "told"),
    ("told", "rarer"),
    ("told", "phrases"),
    ("not short", "told"),
    ("told", "not long"),
]
every_set = pytest.mark.parametrize("names", SINGLE + SEVERAL, ids=str)
several_and_new = pytest.mark.parametrize(
    "names", SEVERAL + [("prefix",), ("shortlist",), ("required",)], ids=str
)


@pytest.mark.parametrize(
    "names",
    [names for names in SINGLE if names[0] not in VARIANTS] + SEVERAL,
    ids=str,
)
def test_a_beam_that_holds_everything_equals_brute_force(names):
    setting = ("gnmt", 0.8, True)
    # 85 finished sequences, 256 unfinished; 320 candidates at the end.
    together = Together(names, 4)
    count = 16 if "told" in names else 2
    model = HistoryModel(count, seed=1, max_length=4, banned=0.05)
    search = BeamSearch(
        330, *setting, num_hypotheses=330, constraints=together.constraints
    )
    result = run(search, model, inputs=together.inputs(count))
    for sentence in range(count):
        restrict = together.restrict(sentence)
        expected = brute_force(model, sentence, setting, restrict)
        check_hypotheses(result, sentence, expected, num_ids=20)


def check_narrow(names, beam_size, setting, count):
    """Holds a search to a slow one that never stops."""
    together = Together(names, 6)
    model = HistoryModel(
        count, seed=beam_size, max_length=6, eos_bias=1.0, banned=0.1
    )
    search = BeamSearch(
        beam_size,
        *setting,
        num_hypotheses=beam_size,
        constraints=together.constraints,
    )
    result = run(search, model, inputs=together.inputs(count))
    for sentence in range(count):
        arrange = list
        if beam_size > 1:
            arrange = together.arrange(sentence, beam_size)
        # With one beam, the first end token ends the search.
        expected, _ = plain_beam(
            model,
            sentence,
            beam_size,
            setting,
            beam_size == 1,
            together.restrict(sentence),
            arrange,
        )
        check_hypotheses(result, sentence, expected)


@every_set
def test_a_narrow_beam_equals_a_slow_search_that_never_stops(names):
    if names in SINGLE:
        check_narrow(names, 3, ("gnmt", 0.8, True), 12)
        return
    count = 32 if "told" in names else 8
    check_narrow(names, 1, ("none", 0.6, True), count)
    check_narrow(names, 4, ("power", -0.5, False), count)


@several_and_new
def test_beam_1_is_greedy(names):
    together = Together(names, 5)
    inputs = together.inputs(30)
    model = HistoryModel(30, seed=7, max_length=5, eos_bias=1.0, banned=0.1)
    search = GreedySearch(constraints=together.constraints)
    greedy = run(search, model, inputs=inputs)
    search = BeamSearch(1, constraints=together.constraints)
    beam = run(search, model, inputs=inputs)
    for name, value in greedy.items():
        np.testing.assert_array_equal(beam[name], value)


@several_and_new
def test_samples_keep_to_it_and_have_the_score_of_the_model(names):
    together = Together(names, 7)
    model = HistoryModel(10, seed=3, max_length=7, scale=1.0)
    search = RandomSampling(
        top_p=0.9, num_samples=8, seed=1, constraints=together.constraints
    )
    result = run(search, model, inputs=together.inputs(10))
    for sentence, sample in itertools.product(range(10), range(8)):
        length = result["lengths"][sentence, sample]
        if length == 0:
            assert result["scores"][sentence, sample] == -math.inf
            continue
        ids = result["ids"][sentence, sample, :length].tolist()
        restrict, total = together.restrict(sentence), 0.0
        for place, token in enumerate(ids):
            prefix = tuple(ids[:place])
            scores = model.log_probabilities(sentence, prefix)
            assert restrict(scores, prefix)[token] > -math.inf
            total += scores[token]
        found = result["scores"][sentence, sample]
        np.testing.assert_allclose(found, total, atol=2e-5)


@pytest.mark.parametrize(
    "names", [("rarer", "no token twice"), ("no bigram twice", "told")], ids=str
)
def test_a_result_depends_on_its_own_sentence_alone(names):
    together = Together(names, 6)
    model = HistoryModel(16, seed=5, max_length=6, eos_bias=1.0)
    search = BeamSearch(3, num_hypotheses=3, constraints=together.constraints)
    result = run(search, model, inputs=together.inputs(16))
    for sentence in (3, 6, 13):
        rows = slice(sentence, sentence + 1)
        # Nor on how far what it is told is padded.
        inputs = {
            name: told[rows] for name, told in together.inputs(16, 3).items()
        }
        alone = run(search, model.rows(rows), inputs=inputs)
        assert alone["lengths"][0, 0] > 0
        for name, value in alone.items():
            np.testing.assert_allclose(
                value[0], result[name][sentence], atol=2e-5
            )


def test_weights_change_the_order_but_not_the_token_scores():
    # Token 3 is likeliest each time, at a penalty of 3 only once.
    probs = np.array([1e-9, 1e-9, 0.1, 0.5, 0.4])
    logits = np.broadcast_to(np.log(probs), (1, 2, 5))
    search = GreedySearch(constraints=[RepetitionPenalty(3.0)])
    result = search_fixed(search, logits)
    assert result["ids"].tolist() == [[[3, 4]]]
    np.testing.assert_allclose(
        result["token_scores"], np.log([[[0.5, 0.4]]]), rtol=1e-5
    )
    logits = np.broadcast_to(np.log(probs), (1, 3, 5))
    result = search_fixed(search, logits)
    # 0.4 ** 3 = 0.064 and 0.5 ** 3 = 0.125 against 0.1.
    assert result["ids"].tolist() == [[[3, 4, 3]]]
    expected = math.log(0.5) + math.log(0.4) + 3 * math.log(0.5)
    np.testing.assert_allclose(result["scores"], [[expected]], rtol=1e-5)
    np.testing.assert_allclose(
        result["token_scores"], np.log([[[0.5, 0.4, 0.5]]]), rtol=1e-5
    )


@pytest.mark.parametrize(
    "search_type",
    [GreedySearch, BeamSearch, RandomSampling, StochasticBeamSearch],
)
def test_where_nothing_is_legal_there_is_no_hypothesis(search_type):
    logits = np.zeros((2, 4, 3))
    logits[0, :, EOS] = -math.inf
    search = search_type(constraints=[NoRepeatNgrams(1)])
    result = search_fixed(search, logits)
    assert not result["lengths"][0].any()
    assert (result["scores"][0] == -math.inf).all()
    assert not result["ids"][0].any() and not result["token_scores"][0].any()
    assert result["lengths"][1, 0] > 0
    assert np.isfinite(result["scores"][1, 0])


class NeverTheSameTwice(Constraint):
    """What a user may write."""

    def restrict(self, log_probs, hypotheses):
        again = ops.arange(log_probs.shape[-1]) == hypotheses.last(1)
        return ops.where(again, -math.inf, log_probs)


def test_a_constraint_of_a_user_is_one_like_the_others():
    model = HistoryModel(5, seed=9, max_length=6, eos_bias=-2.0)
    result = run(BeamSearch(3, constraints=[NeverTheSameTwice()]), model)
    expected = [
        plain_beam(
            model,
            sentence,
            3,
            ("none", 0.6, True),
            restrict=without(lambda ids: ids[-1:] == ids[-2:-1]),
        )[0][:1]
        for sentence in range(5)
    ]
    for sentence, entries in enumerate(expected):
        check_hypotheses(result, sentence, entries)
    with pytest.raises(NotImplementedError, match="must implement `restrict`"):
        run(GreedySearch(constraints=[Constraint()]), model)


@pytest.mark.parametrize(
    "search_type",
    [GreedySearch, BeamSearch, RandomSampling, StochasticBeamSearch],
)
def test_constraints_are_saved_with_their_search(search_type):
    constraints = [rule.constraint for rule in RULES.values()]
    constraints += [
        rule.constraint for rule in TOLD if rule.name != "required_ids"
    ]
    search = search_type(constraints=constraints)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(search)))
    again = keras.saving.deserialize_keras_object(config)
    assert len(again.constraints) == len(constraints)
    for found, expected in zip(again.constraints, constraints):
        assert type(found) is type(expected)
        assert found.get_config() == expected.get_config()


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: NoRepeatNgrams(0), ValueError, "`size` must be an integer"),
        (lambda: RepetitionPenalty(0.0), ValueError, "`penalty` must be"),
        (lambda: ForbiddenPhrases([]), ValueError, "`phrases` must be a list"),
        (lambda: ForbiddenPhrases([[3], []]), ValueError, r"`phrases\[1\]`"),
        (lambda: ForbiddenPhrases([3]), TypeError, r"`phrases\[0\]`"),
        (lambda: ForbiddenPhrases([[-1]]), ValueError, r"`phrases\[0\]`"),
        (lambda: ForcedPrefix([]), ValueError, "`ids` must be a list of ids"),
        (lambda: Shortlist([2.5]), TypeError, "`ids` must be an integer"),
        (lambda: RequiredPhrases([]), ValueError, "`phrases` must be a list"),
        (
            lambda: BeamSearch(
                constraints=[
                    RequiredPhrases([[4], [5, 6, 7]]),
                    ForbiddenPhrases([[5, 7], [6, 7]]),
                ]
            ),
            ValueError,
            r"a phrase that is forbidden. Received: phrases=\[5, 6, 7\]",
        ),
        (
            lambda: BeamSearch(
                constraints=[RequiredPhrases([[4]]), RequiredPhrases()]
            ),
            ValueError,
            "one `RequiredPhrases` at most. Received: constraints=2",
        ),
        (
            lambda: BeamSearch(constraints=NoRepeatNgrams(2)),
            TypeError,
            "`constraints` must be a list",
        ),
        (
            lambda: BeamSearch(constraints=["no"]),
            TypeError,
            r"`constraints\[0\]` must be a keras_s2s.decoding.Constraint",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "constraint, message",
    [
        (MinimumLength(6), "`length` must be at most max_length, 5"),
        (ForbiddenPhrases([[2], [9, 5]]), r"`phrases\[1\]` must hold ids in"),
    ],
)
def test_what_fits_no_search_is_refused_before_it_runs(constraint, message):
    model = HistoryModel(1)
    with pytest.raises(ValueError, match=message):
        run(BeamSearch(2, constraints=[constraint]), model)
