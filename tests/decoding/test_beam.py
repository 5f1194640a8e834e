"""Beam search against brute force and against a slow search in NumPy."""

import functools
import math

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import GreedySearch
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import PAD
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import brute_force
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed

# Name, alpha and whether the end token counts.
SETTINGS = [
    ("none", 0.6, True),
    ("gnmt", 0.6, True),
    ("gnmt", 1.5, False),
    ("gnmt", -0.7, True),
    ("power", 1.0, True),
    ("power", 0.8, False),
    ("power", -0.5, True),
    ("power", -1.0, False),
]
# To stop early asks for no setting; what is found is ordered by it.
every_way = pytest.mark.parametrize(
    "setting, early_stopping",
    [(setting, False) for setting in SETTINGS]
    + [(SETTINGS[place], True) for place in (0, 2, 4, 7)],
)


def beam_search(beam_size, setting, **options):
    name, alpha, count_eos = setting
    options = {"num_hypotheses": beam_size} | options
    return BeamSearch(beam_size, name, alpha, count_eos, **options)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_beam_that_holds_everything_equals_brute_force(setting):
    # 341 finished sequences, 1024 unfinished; 1280 candidates at the end.
    model = HistoryModel(3, seed=1, banned=0.05)
    result = run(beam_search(1300, setting, num_hypotheses=400), model)
    for sentence in range(3):
        expected = brute_force(model, sentence, setting)
        check_hypotheses(result, sentence, expected, num_ids=20)


@every_way
def test_a_narrow_beam_equals_a_slow_search_that_never_stops(
    setting, early_stopping
):
    for beam_size, eos_bias in [(2, 0.0), (3, 2.0), (5, 4.0)]:
        model = HistoryModel(
            12, seed=beam_size, max_length=7, eos_bias=eos_bias, banned=0.1
        )
        search = beam_search(beam_size, setting, early_stopping=early_stopping)
        result = run(search, model)
        for sentence in range(12):
            expected, _ = plain_beam(
                model, sentence, beam_size, setting, early_stopping
            )
            check_hypotheses(result, sentence, expected)


@every_way
def test_no_step_is_taken_that_cannot_change_the_result(
    setting, early_stopping
):
    model = HistoryModel(6, seed=5, max_length=7, eos_bias=2.5)
    taken, needed = [], []
    for sentence in range(6):
        one = model.rows(slice(sentence, sentence + 1))
        positions = []

        def step(token_ids, state, context, position, one=one, p=positions):
            p.append(int(position))
            return HistoryModel.step(one, token_ids, state, context, position)

        one.step = step
        search = beam_search(2, setting, early_stopping=early_stopping)
        run(search, one)
        assert positions == list(range(len(positions)))
        taken.append(len(positions))
        needed.append(plain_beam(one, 0, 2, setting, early_stopping)[1])
    assert taken == needed
    assert min(taken) < 7


@functools.cache
def greedy_results():
    model = HistoryModel(50, seed=3, max_length=8, eos_bias=1.0, banned=0.2)
    return model, run(GreedySearch(), model)


@pytest.mark.parametrize("setting", SETTINGS)
def test_beam_1_is_greedy_bit_for_bit(setting):
    model, greedy = greedy_results()
    beam = run(beam_search(1, setting), model)
    for name in ("ids", "lengths", "token_scores"):
        np.testing.assert_array_equal(beam[name], greedy[name])
    if setting[0] == "none":
        np.testing.assert_array_equal(beam["scores"], greedy["scores"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_beam_1_scores_are_penalised(setting):
    name, alpha, count_eos = setting
    logits = np.log([[[0.1, 0.6, 0.3], [0.1, 0.2, 0.7]], [[0.1, 0.6, 0.3]] * 2])
    result = search_fixed(beam_search(1, setting), logits)
    # One ends with its second token, the other is still open after it.
    lengths = [2 if count_eos else 1, 2]
    divisors = {
        "none": [1.0, 1.0],
        "gnmt": [((5 + length) / 6) ** alpha for length in lengths],
        "power": [length**alpha for length in lengths],
    }
    expected = np.log([0.6 * 0.7, 0.6 * 0.6]) / divisors[name]
    np.testing.assert_allclose(result["scores"][:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS[:2])
def test_a_result_is_the_same_alone_and_in_any_batch(setting):
    # Some are done after a step or two, others run to the end.
    model = HistoryModel(30, seed=7, max_length=12, eos_bias=1.5)
    search = beam_search(4, setting)
    together = run(search, model)
    order = np.random.default_rng(0).permutation(30)[:11]
    mixed = run(search, model.rows(order))
    for name in NAMES:
        np.testing.assert_allclose(
            mixed[name], together[name][order], atol=1e-5
        )
    for sentence in range(3):
        alone = run(search, model.rows(slice(sentence, sentence + 1)))
        for name in NAMES:
            np.testing.assert_allclose(
                alone[name][0], together[name][sentence], atol=1e-5
            )


def test_a_done_sentence_ignores_what_the_step_returns_for_it():
    logits = np.zeros((2, 6, 4), "float32")
    logits[0, :, EOS] = 5.0
    logits[1, :, EOS] = -5.0
    search = beam_search(2, ("none", 0.0, True))
    expected = search_fixed(search, logits)
    logits[0, 4:] = math.nan
    result = search_fixed(search, logits)
    assert (expected["lengths"][0] < 4).all()
    assert expected["lengths"][1].max() == 6
    for name in NAMES:
        np.testing.assert_array_equal(result[name], expected[name])


@pytest.mark.parametrize("setting", SETTINGS)
def test_scores_are_those_of_the_sequences(setting):
    name, alpha, count_eos = setting
    model = HistoryModel(20, seed=11, max_length=8, eos_bias=1.0)
    result = run(beam_search(5, setting), model)
    for sentence in range(20):
        for place in range(5):
            length = result["lengths"][sentence, place]
            ids = result["ids"][sentence, place, :length].tolist()
            rescored = [
                model.log_probabilities(sentence, ids[:i])[token]
                for i, token in enumerate(ids)
            ]
            np.testing.assert_allclose(
                result["token_scores"][sentence, place, :length],
                rescored,
                atol=2e-5,
            )
            counted = length - (ids[-1] == EOS and not count_eos)
            divisor = {
                "none": 1.0,
                "gnmt": ((5 + counted) / 6) ** alpha,
                "power": max(1, counted) ** alpha,
            }[name]
            np.testing.assert_allclose(
                result["scores"][sentence, place],
                sum(rescored) / divisor,
                rtol=2e-5,
            )


def test_alignments_follow_the_back_pointers():
    model = HistoryModel(15, seed=13, max_length=7, eos_bias=1.0)
    search = beam_search(4, ("gnmt", 1.0, True), num_hypotheses=3)
    assert "alignments" not in run(search, model)
    result = run(search, model, record_alignments=True)
    assert result["alignments"].shape == (15, 3, 7, 3)
    for sentence in range(15):
        for place in range(3):
            length = result["lengths"][sentence, place]
            ids = result["ids"][sentence, place, :length].tolist()
            found = result["alignments"][sentence, place]
            expected = [
                model.alignment(sentence, ids[:i]) for i in range(length)
            ]
            np.testing.assert_allclose(found[:length], expected, atol=1e-5)
            assert not found[length:].any()


def test_a_word_is_spelled():
    word = [ord(letter) - ord("a") + 3 for letter in "search"] + [EOS]
    logits = np.zeros((1, 10, 30))
    logits[0, np.arange(7), word] = 9.0
    logits[0, 7:, 4] = 9.0
    result = search_fixed(beam_search(3, ("gnmt", 0.6, True)), logits)
    assert result["ids"][0, 0].tolist() == word + [PAD] * 3
    assert result["lengths"][0, 0] == 7


def test_a_finished_hypothesis_is_pushed_out_only_by_a_better_one():
    # Step 1: the end, 0.5. Step 2: the end again, 0.3 * 0.8 and 0.2 * 0.8;
    # the second is worse than both. Without a penalty nothing later is better.
    logits = np.log([[[1e-9, 0.3, 0.5, 0.2], [0.1, 0.05, 0.8, 0.05]]])
    result = search_fixed(beam_search(2, ("none", 1.0, True)), logits)
    assert result["ids"][0].tolist() == [[EOS, PAD], [1, EOS]]
    np.testing.assert_allclose(
        np.exp(result["scores"][0]), [0.5, 0.24], rtol=1e-5
    )
    # Per token, 0.24 ** 0.5 = 0.49 is still below 0.5; 0.16 ** 0.5 is not in.
    result = search_fixed(beam_search(2, ("power", 1.0, True)), logits)
    assert result["ids"][0].tolist() == [[EOS, PAD], [1, EOS]]


def test_an_end_token_counts_only_from_the_first_k_candidates():
    # The end is third at the first step, and first at the second.
    logits = np.log([[[0.4, 0.3, 0.2, 0.1], [0.1, 0.1, 0.7, 0.1]]])
    result = search_fixed(beam_search(2, ("none", 1.0, True)), logits)
    assert result["ids"][0].tolist() == [[0, EOS], [1, EOS]]
    result = search_fixed(beam_search(3, ("none", 1.0, True)), logits)
    assert result["ids"][0].tolist() == [[0, EOS], [1, EOS], [EOS, PAD]]


def test_an_end_token_does_not_starve_the_beam():
    # The end takes a place among the first K, yet K others stay open.
    logits = np.log([[[0.3, 0.1, 0.4, 0.2], [0.01, 0.01, 0.97, 0.01]]])
    result = search_fixed(beam_search(2, ("power", 1.0, True)), logits)
    assert result["ids"][0].tolist() == [[0, EOS], [3, EOS]]


def test_open_hypotheses_rank_behind_every_finished_one():
    logits = np.log([[[0.49, 0.49, 0.01, 0.01], [0.9, 0.05, 0.04, 0.01]]])
    result = search_fixed(beam_search(4, ("none", 1.0, True)), logits)
    finished = (result["ids"][0] == EOS).any(axis=-1)
    assert finished.tolist() == sorted(finished, reverse=True)
    assert 0 < finished.sum() < 4
    scores = result["scores"][0]
    assert scores[finished][-1] < scores[~finished][0]
    assert result["lengths"][0][~finished].tolist() == [2] * (~finished).sum()


def test_early_stopping_stops_at_k_finished_ones():
    # After two steps both ends have finished, with 0.4 and 0.35 * 0.43; per
    # token, what is still open then finishes better: 0.35 * 0.55 * 0.97.
    steps = [
        [0.35, 0.1, 0.4, 0.15],
        [0.55, 0.01, 0.43, 0.01],
        [0.01, 0.01, 0.97, 0.01],
    ]
    setting = ("power", 1.0, True)
    patient = search_fixed(beam_search(2, setting), np.log([steps]))
    hasty = beam_search(2, setting, early_stopping=True)
    hasty = search_fixed(hasty, np.log([steps]))
    end = [EOS, PAD, PAD]
    assert patient["ids"][0].tolist() == [[0, 0, EOS], [3, 0, EOS]]
    assert hasty["ids"][0].tolist() == [end, [0, EOS, PAD]]
