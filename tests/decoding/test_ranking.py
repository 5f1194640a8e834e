"""Word reward and coverage penalty, against brute force and by hand."""

import math

import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import RepetitionPenalty
from keras_s2s.decoding.ranking import Ranking
from keras_s2s.decoding.ranking import log_coverage
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import brute_force
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import diverse_beam
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed
from tests.decoding.scores import score_of

BOTH = {"word_reward": 0.5, "coverage_penalty": 1.5}
SETTINGS = [
    ("none", 0.6, True, {"word_reward": 0.9}),
    ("gnmt", 0.9, False, {"word_reward": -0.4}),
    ("power", 1.0, True, {"coverage_penalty": 0.6}),
    ("gnmt", 0.6, False, BOTH),
    ("power", -0.5, True, {"word_reward": -0.2, "coverage_penalty": 0.4}),
]
every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)


def beam_search(beam_size, setting, **options):
    *positional, extras = setting
    options = {"num_hypotheses": beam_size} | extras | options
    return BeamSearch(beam_size, *positional, **options)


@pytest.mark.parametrize("setting", SETTINGS[2:4], ids=str)
def test_a_beam_that_holds_everything_equals_brute_force(setting):
    # 40 finished sequences, 81 unfinished.
    model = HistoryModel(3, 1, vocabulary_size=4, max_length=4, padded=True)
    result = run(beam_search(121, setting), model)
    for sentence in range(3):
        expected = brute_force(model, sentence, setting)
        check_hypotheses(result, sentence, expected, num_ids=20)


@every_setting
def test_a_narrow_beam_equals_a_slow_search_that_never_stops(setting):
    early = [(2, True)] if setting is SETTINGS[3] else []
    for beam_size, early_stopping in [(3, False), *early]:
        model = HistoryModel(
            10, seed=beam_size, max_length=6, eos_bias=2.0, padded=True
        )
        search = beam_search(beam_size, setting, early_stopping=early_stopping)
        result = run(search, model)
        for sentence in range(10):
            expected, _ = plain_beam(
                model, sentence, beam_size, setting, early_stopping
            )
            check_hypotheses(result, sentence, expected)


@pytest.mark.parametrize("setting", SETTINGS[:3], ids=str)
def test_no_step_is_taken_that_cannot_change_the_result(setting):
    model = HistoryModel(3, seed=5, max_length=7, eos_bias=4.0)
    taken, needed = [], []
    for sentence in range(3):
        one = model.rows(slice(sentence, sentence + 1))
        positions = []

        def step(token_ids, state, context, position, one=one, p=positions):
            p.append(int(position))
            return HistoryModel.step(one, token_ids, state, context, position)

        one.step = step
        run(beam_search(2, setting), one)
        taken.append(len(positions))
        needed.append(plain_beam(one, 0, 2, setting)[1])
    assert taken == needed


def test_groups_and_constraints():
    setting = SETTINGS[3]
    model = HistoryModel(8, seed=17, max_length=6, eos_bias=2.0, padded=True)

    def restrict(scores, ids):
        return [
            score * (1.5 if token in ids else 1.0)
            for token, score in enumerate(scores)
        ]

    search = beam_search(
        4,
        setting,
        num_groups=2,
        diversity=0.7,
        constraints=[RepetitionPenalty(1.5)],
    )
    result = run(search, model)
    for sentence in range(8):
        expected = diverse_beam(model, sentence, [2, 2], 0.7, setting, restrict)
        check_hypotheses(result, sentence, expected)


@pytest.mark.parametrize("setting", SETTINGS[1:4], ids=str)
def test_beam_1_is_greedy_and_scored_alike(setting):
    model = HistoryModel(12, seed=3, max_length=5, banned=0.2, padded=True)
    greedy = run(GreedySearch(), model)
    beam = run(beam_search(1, setting), model)
    for name in ("ids", "lengths", "token_scores"):
        np.testing.assert_array_equal(beam[name], greedy[name])
    assert set(beam) == set(NAMES)
    for sentence, length in enumerate(beam["lengths"][:, 0]):
        ids = beam["ids"][sentence, 0, :length].tolist()
        total = greedy["scores"][sentence, 0]
        expected = total
        if length:
            finished = ids[-1] == EOS
            expected = score_of(model, sentence, ids, total, finished, setting)
        found = beam["scores"][sentence, 0]
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_neither_batch_mates_nor_padding_nor_records_change_a_score(beam_size):
    model = HistoryModel(12, seed=8, max_length=6, eos_bias=1.5, padded=True)
    search = beam_search(beam_size, SETTINGS[3])
    together = run(search, model)
    recorded = run(search, model, record_alignments=True)
    assert recorded["alignments"].shape == (12, beam_size, 6, 3)
    alone = run(search, model.rows([4, 9]).pad_sources(2))
    for name in NAMES:
        np.testing.assert_array_equal(recorded[name], together[name])
        np.testing.assert_allclose(
            alone[name], together[name][[4, 9]], atol=1e-5
        )


def test_what_is_left_out_costs():
    # Log of 0.5, of 1 (0.25 + 0.95 is more than that), and of 0.05, on padding.
    attention = np.array([[[0.5, 1.2, 0.05]]], "float32")
    found = log_coverage(attention, np.array([[True, True, False]]))
    np.testing.assert_allclose(found, [[math.log(0.5)]], rtol=1e-6)
    found = log_coverage(attention[:, 0])
    np.testing.assert_allclose(found, [math.log(0.025)], rtol=1e-6)
    # Nothing at all is a number, and what is none ranks behind any.
    found = log_coverage(np.array([[0.0, 1.0], [math.nan, 1.0]], "float32"))
    np.testing.assert_allclose(found, [math.log(1e-7), -math.inf], rtol=1e-6)


def test_what_can_still_be_reached():
    # L tokens: -6 / L + 0.25 L; of 3 to 6: -1.25, -0.5, 0.05, 0.5.
    ranking = Ranking("power", 1.0, 5.0, True, 0.25, 0.0, 6)
    scores = np.array([[-6.0], [-math.inf]], "float32")
    found = ranking.reach(scores, ops.convert_to_tensor(2, "int32"))
    np.testing.assert_allclose(found, [[0.5], [-math.inf]])
    # With -0.5 a word: -3.5, -3.5, -3.7, -4; and once 5 are there, 6.
    ranking = Ranking("power", 1.0, 5.0, True, -0.5, 0.0, 6)
    for length, expected in ((2, -3.5), (4, -3.7), (5, -4.0), (6, -4.0)):
        found = ranking.reach(scores, ops.convert_to_tensor(length, "int32"))
        np.testing.assert_allclose(found[:1], [[expected]], rtol=1e-6)


def test_a_word_reward_lengthens():
    # The end, 0.6, or 3 and then the end, 0.3: better from log 2 a word on.
    logits = np.log([[[0.05, 0.05, 0.6, 0.3], [1e-9, 1e-9, 1.0, 1e-9]]])
    for reward, ids in ((0.69, [EOS, 0]), (0.70, [3, EOS])):
        search = beam_search(2, ("none", 1.0, True, {"word_reward": reward}))
        result = search_fixed(search, logits)
        assert result["ids"][0, 0].tolist() == ids
    expected = math.log(0.3) + 2 * 0.70
    np.testing.assert_allclose(result["scores"][0, 0], expected, rtol=1e-5)


def test_a_done_sentence_ignores_an_alignment_that_is_none():
    logits = np.zeros((2, 5, 4), "float32")
    logits[0, :, EOS], logits[1, :, EOS] = 5.0, -5.0
    alignments = np.full((5, 2, 2, 1), 0.5, "float32")
    results = []
    for late in (0.5, math.nan):
        alignments[3:, 0] = late

        def step(token_ids, state, context, position):
            here = ops.take(context["logits"], position, axis=1)
            alignment = ops.take(context["alignments"], position, axis=0)
            logits = ops.repeat(here[:, None], 2, axis=1)
            return logits, {"alignment": alignment}

        tensors = {"logits": logits, "alignments": alignments}
        found = beam_search(2, SETTINGS[2]).search(
            step,
            {"alignment": alignments[0]},
            {name: ops.convert_to_tensor(one) for name, one in tensors.items()},
            batch_size=2,
            max_length=5,
            bos_id=1,
            eos_id=EOS,
            pad_id=0,
        )
        results.append(
            {name: ops.convert_to_numpy(one) for name, one in found.items()}
        )
    assert (results[0]["lengths"][0] < 4).all()
    assert results[0]["lengths"][1].max() == 5
    for name in NAMES:
        np.testing.assert_array_equal(results[0][name], results[1][name])


def test_a_decoder_that_does_not_attend_is_refused():
    with pytest.raises(ValueError, match="with an entry `alignment`, for a"):
        search_fixed(BeamSearch(2, coverage_penalty=0.2), np.zeros((1, 2, 4)))


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"word_reward": math.inf}, ValueError, "`word_reward` must be a nu"),
        ({"word_reward": "much"}, TypeError, "`word_reward` must be a number"),
        ({"coverage_penalty": -0.1}, ValueError, "`coverage_penalty` must be"),
        ({"offset": 0.0}, ValueError, "`offset` must be a number in"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        BeamSearch(4, **options)
