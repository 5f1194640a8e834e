"""Random sampling: what is drawn, how often, and how it is scored."""

import math

import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import RandomSampling
from keras_s2s.decoding.sampling import draw_places
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed

PROBABILITIES = np.array([0.05, 0.4, 0.1, 0.3, 0.15])
NUM_SAMPLES = 20000


def frequencies(**options):
    """Returns how often each token is the first of a sample."""
    search = RandomSampling(num_samples=NUM_SAMPLES, seed=1, **options)
    result = search_fixed(search, np.log([[PROBABILITIES]]))
    return np.bincount(result["ids"][0, :, 0], minlength=5) / NUM_SAMPLES


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PROBABILITIES),
        ({"temperature": 0.5}, PROBABILITIES**2),
        ({"temperature": 2.0}, PROBABILITIES**0.5),
        ({"top_k": 2}, [0, 0.4, 0, 0.3, 0]),
        ({"top_k": 9}, PROBABILITIES),
        # 0.4 + 0.3 is less than 0.75: it takes a third.
        ({"top_p": 0.75}, [0, 0.4, 0, 0.3, 0.15]),
        ({"top_p": 0.65}, [0, 0.4, 0, 0.3, 0]),
        ({"top_p": 1e-6}, [0, 1, 0, 0, 0]),
        ({"top_p": 1.0}, PROBABILITIES),
        # Of the best two, the first has 4 / 7, that is 0.57.
        ({"top_k": 2, "top_p": 0.5}, [0, 1, 0, 0, 0]),
        ({"top_k": 2, "top_p": 0.6}, [0, 0.4, 0, 0.3, 0]),
        ({"epsilon": 0.12}, [0, 0.4, 0, 0.3, 0.15]),
        ({"epsilon": 0.01}, PROBABILITIES),
        ({"epsilon": 0.9}, [0, 1, 0, 0, 0]),
        # 0.3 / 0.7 is 0.43, 0.3 / 0.85 is 0.35.
        ({"epsilon": 0.4, "top_k": 2}, [0, 0.4, 0, 0.3, 0]),
        ({"epsilon": 0.4, "top_p": 0.75}, [0, 1, 0, 0, 0]),
        # Of squares, 0.3 has 0.3 and 0.15 has 0.08.
        ({"epsilon": 0.2, "temperature": 0.5}, [0, 0.16, 0, 0.09, 0]),
        # At temperature 0.5 it has 16 / 25, that is 0.64.
        ({"top_k": 2, "top_p": 0.6, "temperature": 0.5}, [0, 1, 0, 0, 0]),
    ],
)
def test_tokens_come_as_often_as_they_should(options, expected):
    expected = np.asarray(expected) / np.sum(expected)
    found = frequencies(**options)
    assert ((found > 0) == (expected > 0)).all()
    # Five standard errors.
    deviation = np.sqrt(expected * (1 - expected) / NUM_SAMPLES)
    assert (np.abs(found - expected) <= 5 * deviation).all()


@pytest.mark.parametrize("size", [2003, 4000])
def test_a_long_row_is_drawn_from_in_two_steps_with_the_same_odds(size):
    weights = np.zeros((NUM_SAMPLES, size), "float32")
    columns = [0, 3, 777, size // 2, size - 1]
    weights[:, columns] = PROBABILITIES
    noise = (np.arange(NUM_SAMPLES)[:, None] + 0.5) / NUM_SAMPLES
    places = draw_places(
        ops.convert_to_tensor(weights), ops.cast(noise, "float32")
    )
    counts = np.bincount(ops.convert_to_numpy(places)[:, 0], minlength=size)
    np.testing.assert_allclose(
        counts[columns] / NUM_SAMPLES, PROBABILITIES, atol=2e-4
    )
    assert counts.sum() == counts[columns].sum()


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_nothing_without_weight_is_drawn(noise):
    weights = np.zeros((3, 1500), "float32")
    weights[0, 7] = 1e-20
    weights[1, 1499] = 3.0
    weights[2, [0, 800]] = [2.0, 1e-9]
    places = draw_places(
        ops.convert_to_tensor(weights), ops.full((3, 1), noise)
    )
    places = ops.convert_to_numpy(places)[:, 0]
    assert places[0] == 7
    assert places[1] == 1499
    assert places[2] in (0, 800)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 3.0},
        {"top_k": 3},
        {"top_p": 0.8, "epsilon": 0.1},
    ],
)
def test_scores_are_those_of_the_model(options):
    model = HistoryModel(8, seed=31, max_length=6, eos_bias=0.5, banned=0.1)
    search = RandomSampling(num_samples=5, seed=3, **options)
    result = run(search, model, record_alignments=True)
    for sentence in range(8):
        for place in range(5):
            length = result["lengths"][sentence, place]
            ids = result["ids"][sentence, place].tolist()
            rescored = [
                model.log_probabilities(sentence, ids[:i])[ids[i]]
                for i in range(length)
            ]
            np.testing.assert_allclose(
                result["token_scores"][sentence, place],
                rescored + [0.0] * (6 - length),
                atol=2e-5,
            )
            np.testing.assert_allclose(
                result["scores"][sentence, place], sum(rescored), rtol=2e-5
            )
            np.testing.assert_allclose(
                result["alignments"][sentence, place, :length],
                [model.alignment(sentence, ids[:i]) for i in range(length)],
                atol=1e-5,
            )


def test_the_best_comes_first_and_finished_ones_before_open_ones():
    model = HistoryModel(20, seed=37, max_length=4, eos_bias=0.5)
    result = run(RandomSampling(num_samples=8, seed=0), model)
    finished = (result["ids"] == EOS).any(axis=-1)
    assert 0 < finished.sum() < finished.size
    for sentence in range(20):
        ranks = list(zip(finished[sentence], result["scores"][sentence]))
        assert ranks == sorted(ranks, reverse=True)


def test_a_low_temperature_is_greedy():
    model = HistoryModel(20, seed=41, max_length=6)
    result = run(RandomSampling(temperature=1e-6, seed=0), model)
    greedy = run(GreedySearch(), model)
    for name in NAMES:
        np.testing.assert_allclose(result[name], greedy[name], atol=1e-5)


def test_a_seed_fixes_what_is_drawn():
    model = HistoryModel(10, seed=43)
    first = run(RandomSampling(num_samples=3, seed=5), model)
    again = run(RandomSampling(num_samples=3, seed=5), model)
    other = run(RandomSampling(num_samples=3, seed=6), model)
    for name in NAMES:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["ids"] != other["ids"]).any()


def test_with_a_seed_a_draw_is_of_its_sentence_alone():
    model = HistoryModel(6, seed=43)
    search = RandomSampling(num_samples=3, seed=5)
    together = run(search, model)
    for rows in ([3], [5, 0, 2, 0]):
        found = run(search, model.rows(rows))
        np.testing.assert_array_equal(found["ids"], together["ids"][rows])


def test_without_a_seed_equal_sentences_have_samples_of_their_own():
    model = HistoryModel(1, seed=43).rows([0] * 9)
    ids = run(RandomSampling(num_samples=2), model)["ids"]
    assert len(np.unique(ids.reshape(9, -1), axis=0)) > 1


def test_without_a_seed_each_call_draws_afresh():
    model = HistoryModel(10, seed=43)
    search = RandomSampling(num_samples=3)
    assert (run(search, model)["ids"] != run(search, model)["ids"]).any()


def test_no_legal_token_leaves_no_hypothesis():
    logits = np.zeros((2, 3, 5))
    logits[0, 1] = -math.inf
    logits[:, :, EOS] = -math.inf
    search = RandomSampling(num_samples=4, seed=0)
    result = search_fixed(search, logits)
    assert (result["scores"][0] == -math.inf).all()
    assert not result["lengths"][0].any()
    assert np.isfinite(result["scores"][1]).all()


def test_an_empty_batch():
    model = HistoryModel(0, max_length=6)
    result = run(RandomSampling(num_samples=2, top_k=3, seed=0), model)
    assert result["ids"].shape == (0, 2, 6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"temperature": 0.0},
            ValueError,
            "`temperature` must be a number in (0.0, inf). "
            "Received: temperature=0.0.",
        ),
        ({"temperature": -1.0}, ValueError, "`temperature` must be"),
        ({"temperature": math.inf}, ValueError, "`temperature` must be"),
        (
            {"top_k": 0},
            ValueError,
            "`top_k` must be an integer >= 1. Received: top_k=0.",
        ),
        ({"top_k": 2.0}, TypeError, "`top_k` must be an integer"),
        (
            {"top_p": 0.0},
            ValueError,
            "`top_p` must be a number in (0.0, 1.0]. Received: top_p=0.0.",
        ),
        ({"top_p": 1.1}, ValueError, "`top_p` must be a number in (0.0, 1.0]"),
        (
            {"epsilon": 0.0},
            ValueError,
            "`epsilon` must be a number in (0.0, 1.0). Received: epsilon=0.0.",
        ),
        ({"epsilon": 1}, ValueError, "`epsilon` must be a number in (0.0, 1"),
        ({"epsilon": "a"}, TypeError, "`epsilon` must be a number in (0.0, 1"),
        ({"num_samples": 0}, ValueError, "`num_samples` must be an integer"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0"),
        ({"seed": "a"}, TypeError, "`seed` must be an integer >= 0"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error) as caught:
        RandomSampling(**options)
    assert message in str(caught.value)
