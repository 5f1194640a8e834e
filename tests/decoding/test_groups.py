"""Groups of beams that differ, against a slow search in NumPy."""

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import RepetitionPenalty
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import diverse_beam
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed


def diverse_search(sizes, diversity, setting, **options):
    name, alpha, count_eos = setting
    options = {"num_hypotheses": sum(sizes)} | options
    return BeamSearch(
        sum(sizes),
        name,
        alpha,
        count_eos,
        num_groups=len(sizes),
        diversity=diversity,
        **options,
    )


@pytest.mark.parametrize(
    "sizes, diversity, setting, eos_bias",
    [
        ([2, 2], 0.5, ("none", 0.6, True), 0.0),
        ([1, 1, 1], 2.0, ("gnmt", 1.0, False), 1.0),
        ([3, 3], 100.0, ("power", 0.8, True), 2.0),
        ([2, 2, 2], 0.7, ("power", -0.5, True), 3.0),
    ],
)
def test_groups_equal_slow_ones(sizes, diversity, setting, eos_bias):
    model = HistoryModel(
        15, seed=17, max_length=7, eos_bias=eos_bias, banned=0.1
    )
    search = diverse_search(sizes, diversity, setting)
    result = run(search, model, record_alignments=True)
    for sentence in range(15):
        expected = diverse_beam(model, sentence, sizes, diversity, setting)
        check_hypotheses(result, sentence, expected)
        for place, (ids, _, _) in enumerate(expected[:2]):
            np.testing.assert_allclose(
                result["alignments"][sentence, place, : len(ids)],
                [model.alignment(sentence, ids[:n]) for n in range(len(ids))],
                atol=1e-5,
            )


def test_groups_are_constrained_alike():
    setting, penalty = ("none", 0.6, True), 1.5
    model = HistoryModel(20, seed=4, max_length=6, eos_bias=1.0, banned=0.1)

    def restrict(scores, ids):
        return [
            score * (penalty if token in ids else 1.0)
            for token, score in enumerate(scores)
        ]

    search = diverse_search(
        [2, 2], 0.8, setting, constraints=[RepetitionPenalty(penalty)]
    )
    result = run(search, model)
    for sentence in range(20):
        expected = diverse_beam(model, sentence, [2, 2], 0.8, setting, restrict)
        check_hypotheses(result, sentence, expected)


def test_groups_that_need_not_differ_are_one_search_twice():
    setting = ("gnmt", 0.6, True)
    model = HistoryModel(20, seed=6, max_length=7, eos_bias=1.0)
    result = run(diverse_search([2, 2], 0.0, setting), model)
    for sentence in range(20):
        expected, _ = plain_beam(model, sentence, 2, setting)
        twice = [entry for entry in expected for _ in range(2)]
        check_hypotheses(result, sentence, twice)


def test_a_result_is_the_same_alone_and_in_any_batch():
    model = HistoryModel(12, seed=8, max_length=8, eos_bias=1.5)
    search = diverse_search([2, 2], 0.5, ("gnmt", 0.6, True), num_hypotheses=3)
    together = run(search, model)
    for rows in ([3], [11, 0, 5]):
        found = run(search, model.rows(rows))
        for name in NAMES:
            np.testing.assert_allclose(
                found[name], together[name][rows], atol=1e-5
            )


def test_what_diversity_costs():
    # The first group takes 0. For the second it costs log 2, so that 3 is
    # better: 0.4 / 2 < 0.3; of an end token nothing is taken.
    logits = np.log([[[0.4, 0.1, 0.2, 0.3], [1e-9, 1e-9, 1.0, 1e-9]]])
    search = diverse_search([1, 1], np.log(2), ("none", 0.6, True))
    result = search_fixed(search, logits)
    assert result["ids"][0].tolist() == [[0, EOS], [3, EOS]]
    np.testing.assert_allclose(np.exp(result["scores"][0]), [0.4, 0.3], 1e-5)
    search = diverse_search([1, 1], np.log(1.25), ("none", 0.6, True))
    result = search_fixed(search, logits)
    assert result["ids"][0].tolist() == [[0, EOS], [0, EOS]]
    # What ranks is lower, the log-probability is not.
    np.testing.assert_allclose(np.exp(result["scores"][0]), [0.4, 0.32], 1e-5)
    total = result["token_scores"][0].sum(-1)
    np.testing.assert_allclose(np.exp(total), [0.4, 0.4], 1e-5)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"num_groups": 0}, ValueError, "`num_groups` must be an integer >= 1"),
        (
            {"num_groups": 3},
            ValueError,
            "`num_groups` must be a divisor of `beam_size`, 4. Received: num_g",
        ),
        ({"diversity": -0.5}, ValueError, "`diversity` must be a number in"),
        ({"diversity": "0.5"}, TypeError, "`diversity` must be a number in"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        BeamSearch(4, **options)
