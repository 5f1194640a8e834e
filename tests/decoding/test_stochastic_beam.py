"""Stochastic beam search: what is drawn, how often, and how it is scored."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import MinimumLength
from keras_s2s.decoding import StochasticBeamSearch
from keras_s2s.decoding.random_search import spread
from keras_s2s.decoding.stochastic_beam import perturb
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import brute_force
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed

SETTING = ("none", 0.6, True)
NUM_DRAWS = 6000


def temper(temperature, shortest=1):
    """What is drawn from, as `brute_force` takes it."""

    def restrict(log_probs, prefix):
        values = np.array(log_probs) / temperature
        if len(prefix) + 1 < shortest:
            values[EOS] = -math.inf
        return values - np.log(np.exp(values).sum())

    return restrict


def chances(probabilities, size):
    """The chance of each set of `size`, drawn one after another."""
    found = {}
    for order in itertools.permutations(probabilities, size):
        left, chance = 1.0, 1.0
        for one in order:
            chance *= probabilities[one] / left
            left -= probabilities[one]
        found[frozenset(order)] = found.get(frozenset(order), 0.0) + chance
    return found


def sets_of(result):
    """The hypotheses of each sentence, as a set of tuples."""
    for ids, lengths in zip(result["ids"], result["lengths"]):
        rows = [tuple(row[:n].tolist()) for row, n in zip(ids, lengths)]
        assert len(set(rows)) == len(rows)
        yield frozenset(rows)


@pytest.mark.parametrize(
    "beam_size, temperature, shortest",
    [(1, 1.0, 1), (2, 1.0, 1), (3, 2.0, 1), (2, 0.7, 2)],
)
def test_sets_come_as_often_as_without_replacement(
    beam_size, temperature, shortest
):
    model = HistoryModel(1, seed=3, vocabulary_size=3, max_length=2)
    entries = brute_force(model, 0, SETTING, temper(temperature, shortest))
    probabilities = {ids: math.exp(score) for ids, score, _ in entries}
    assert math.isclose(sum(probabilities.values()), 1.0)
    constraints = [MinimumLength(shortest)]
    search = StochasticBeamSearch(
        beam_size, temperature, constraints=constraints
    )
    search.seed_generator = keras.random.SeedGenerator(1)
    counts = {}
    for found in sets_of(run(search, model.rows([0] * NUM_DRAWS))):
        counts[found] = counts.get(found, 0) + 1
    expected = chances(probabilities, beam_size)
    assert counts.keys() <= expected.keys() and len(expected) > 5
    for one, chance in expected.items():
        # Five standard errors.
        deviation = math.sqrt(chance * (1 - chance) / NUM_DRAWS)
        assert abs(counts.get(one, 0) / NUM_DRAWS - chance) <= 5 * deviation


@pytest.mark.parametrize(
    "size, max_length, banned, temperature",
    [(3, 2, 0.0, 1.0), (4, 3, 0.2, 3.0)],
)
def test_a_beam_wide_enough_draws_every_sequence_once(
    size, max_length, banned, temperature
):
    model = HistoryModel(6, 5, size, max_length, banned=banned)
    search = StochasticBeamSearch(70, temperature, seed=0)
    result = run(search, model, record_alignments=True)
    for sentence in range(6):
        expected = brute_force(model, sentence, SETTING)
        check_hypotheses(result, sentence, expected)
        for place, (ids, _, _) in enumerate(expected[:3]):
            np.testing.assert_allclose(
                result["alignments"][sentence, place, : len(ids)],
                [model.alignment(sentence, ids[:n]) for n in range(len(ids))],
                atol=1e-5,
            )


def test_the_best_of_the_drawn_come_back():
    model = HistoryModel(3, seed=31, max_length=4, eos_bias=0.5, banned=0.1)
    drawn = run(StochasticBeamSearch(5, 2.0, seed=3), model)
    best = run(StochasticBeamSearch(5, 2.0, 2, seed=3), model)
    for name in NAMES:
        np.testing.assert_array_equal(best[name], drawn[name][:, :2])
    finished = (drawn["ids"] == EOS).any(axis=-1)
    assert 0 < finished.sum() < finished.size
    for sentence, found in enumerate(sets_of(drawn)):
        assert len(found) == 5
        ranks = list(zip(finished[sentence], drawn["scores"][sentence]))
        assert ranks == sorted(ranks, reverse=True)
        every = {ids: e for ids, *e in brute_force(model, sentence, SETTING)}
        check_hypotheses(
            drawn,
            sentence,
            [
                (ids, *every[ids])
                for row, n in zip(
                    drawn["ids"][sentence], drawn["lengths"][sentence]
                )
                for ids in [tuple(row[:n].tolist())]
            ],
        )


def test_a_draw_is_of_its_seed_and_its_sentence_alone():
    model = HistoryModel(6, seed=8, max_length=4)
    search = StochasticBeamSearch(3, seed=5)
    together = run(search, model)
    for rows in ([3], [5, 0, 2, 0]):
        found = run(search, model.rows(rows))
        np.testing.assert_array_equal(found["ids"], together["ids"][rows])
    other = run(StochasticBeamSearch(3, seed=6), model)
    assert (other["ids"] != together["ids"]).any(axis=(1, 2)).all()
    # Without a seed equal sentences differ, and so do calls.
    search, model = StochasticBeamSearch(3), model.rows([0] * 9)
    first, again = run(search, model), run(search, model)
    assert len(set(sets_of(first))) > 1
    assert (first["ids"] != again["ids"]).any()


def test_a_large_vocabulary_has_its_best_and_no_sequence_twice():
    random = np.random.default_rng(0)
    logits = random.normal(size=(40, 2, 1500))
    logits[:, :, [7, 1400]] += 20.0
    logits[:, :, 700:] -= 1000.0 * (np.arange(700, 1500) != 1400)
    result = search_fixed(StochasticBeamSearch(6, seed=1), logits)
    likely = [{7, 1400}.issuperset(ids) for ids in result["ids"][:, 0].tolist()]
    assert all(likely)
    assert (result["ids"][:, :, 0] <= 1400).all()
    for found in sets_of(result):
        assert len(found) == 6


def test_values_are_those_of_the_formula():
    random = np.random.default_rng(0)
    noise = -np.log(-np.log(random.uniform(0.01, 0.99, size=(2, 3, 7))))
    fresh = np.log(random.dirichlet(np.ones(7), size=(2, 3))) + noise
    fresh = -np.sort(-fresh)
    before = np.log(random.uniform(0.1, 1.0, size=(2, 3)))
    largest = random.normal(size=(2, 3))
    total = before[..., None] + fresh
    # Equation 8.
    expected = -np.log(
        np.exp(-largest[..., None])
        - np.exp(-total.max(-1, keepdims=True))
        + np.exp(-total)
    )
    tensors = (ops.cast(part, "float32") for part in (largest, before, fresh))
    found = ops.convert_to_numpy(perturb(*tensors))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[:, :, 0], largest, rtol=1e-6)


def test_random_numbers_are_hashed_and_uniform():
    keys = np.array([[12345, 2**31 - 2], [0, 7]], "int32")
    found = ops.convert_to_numpy(spread(ops.convert_to_tensor(keys), 4, 5000))
    for row, column, place in [(0, 0, 0), (0, 2, 4321), (1, 3, 4999)]:
        x = int(keys[row, 0]) ^ (column * 5000 + place)
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32 ^ int(keys[row, 1])
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        x ^= x >> 16
        assert found[row, column, place] == ((x >> 9) + 0.5) / 2**23
    assert found.shape == (2, 4, 5000)
    assert 0 < found.min() and found.max() < 1
    counts = np.histogram(found, bins=50, range=(0, 1))[0]
    # Of 49 degrees of freedom: beyond 95 once in ten thousand times.
    assert np.sum((counts - 800) ** 2 / 800) < 95
    flat = found.reshape(8, 5000)
    others = np.corrcoef([*flat, *np.roll(flat, 1, axis=1)])
    others[np.diag_indices(16)] = 0
    assert np.abs(others).max() < 5 / math.sqrt(5000)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"beam_size": 0}, ValueError, "`beam_size` must be an integer >= 1"),
        (
            {"num_hypotheses": 5},
            ValueError,
            "`num_hypotheses` must be at most `beam_size`, 4. Received: num_",
        ),
        (
            {"num_hypotheses": 0},
            ValueError,
            "`num_hypotheses` must be an integer >= 1",
        ),
        ({"temperature": 0.0}, ValueError, "`temperature` must be a number in"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        StochasticBeamSearch(**options)
