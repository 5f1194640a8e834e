"""Beams shared out among hypotheses that have to hold phrases."""

import functools
import math

import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import RandomSampling
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.decoding.banks import first_open
from keras_s2s.decoding.banks import take_turns
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.phrases import Phrases
from keras_s2s.decoding.progress import measure
from tests.decoding.oracles import EOS
from tests.decoding.oracles import PAD
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import diverse_beam
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed
from tests.decoding.rules import Together
from tests.decoding.rules import holds
from tests.decoding.rules import pad


def test_banks_take_turns():
    scores = np.array([[-3.0, -1.0, -math.inf, -2.0, -4.0, -0.5, -1.0]])
    missing = np.array([[0, 2, 0, 2, 0, 2, 1]], "int32")
    # First of each bank: -3 (0), -1 (1), -0.5 (2); then -4 (0), -1 (2).
    places = take_turns(ops.array(scores, "float32"), missing, 5, 4)
    assert ops.convert_to_numpy(places).tolist() == [[0, 6, 5, 4, 1]]
    # What is no candidate comes last.
    places = take_turns(ops.array(scores, "float32"), missing, 7, 4)
    assert ops.convert_to_numpy(places)[0, 5:].tolist() == [3, 2]


def test_the_first_that_are_open_are_put_in_order():
    scores = ops.array([[-math.inf, -3.0, -1.0, -2.0, -0.5]], "float32")
    assert ops.convert_to_numpy(first_open(scores, 3)).tolist() == [[2, 3, 1]]


def progress_of(ids, phrases):
    size = 9
    behind = phrases[0] * size  # has no meaning
    padded = [ids + behind[: size - len(ids)]]
    hypotheses = Hypotheses(
        ops.array([padded], "int32"), ops.array(len(ids), "int32"), EOS, size
    )
    ids = pad([phrases], 3)
    return measure(Phrases(ops.where(ids == PAD, -1, ids)), hypotheses)


@pytest.mark.parametrize(
    "ids, phrases, expected, after",
    [
        ([], [[5, 6]], [5], {5: 1, 6: 2}),
        ([5], [[5, 6]], [6], {6: 0, 5: 1, 7: 2}),
        # Interrupted, it begins anew.
        ([5, 7], [[5, 6]], [5], {6: 2}),
        # What repeats goes on with as much as it can.
        ([5, 5], [[5, 5, 6]], [6], {5: 1, 6: 0, 7: 3}),
        ([5, 6, 5], [[5, 6, 5, 7]], [7], {6: 2, 7: 0}),
        # Tokens count for both; only the one begun furthest is taken off.
        ([5], [[5, 6], [6, 7]], [6, 6], {6: 1, 5: 3, 7: 4}),
        ([5, 6], [[5, 6], [6, 7]], [-1, 7], {7: 0, 6: 1}),
        # One within another, and one twice.
        ([5], [[6], [5, 6]], [6, 6], {6: 0, 7: 3}),
        ([], [[6], [6]], [6, 6], {6: 0, 5: 2}),
    ],
)
def test_progress_is_what_a_hypothesis_ends_with(ids, phrases, expected, after):
    progress = progress_of(ids, phrases)
    found = ops.convert_to_numpy(progress.next_tokens())
    assert found.tolist() == [[expected]]
    tokens = ops.array([[list(after)]], "int32")
    missing = ops.convert_to_numpy(progress.count_missing(tokens))
    assert missing.tolist() == [[list(after.values())]]


@pytest.mark.parametrize(
    "search",
    [
        functools.partial(GreedySearch),
        functools.partial(RandomSampling, num_samples=3),
        functools.partial(BeamSearch, 4, num_groups=2, num_hypotheses=4),
    ],
    ids=["greedy", "sampling", "beam"],
)
def test_in_the_end_phrases_are_there_whatever_the_model_says(search):
    # The model says 3 until the end, or ends at once.
    logits = np.full((2, 8, 9), -30.0)
    logits[0, :, 3] = logits[1, :, EOS] = 0.0
    phrases = [[5, 6], [6, 7, 7]]
    result = search_fixed(
        search(constraints=[RequiredPhrases(phrases)]), logits
    )
    for ids in result["ids"].reshape(-1, 8).tolist():
        assert holds(ids, phrases[0]) and holds(ids, phrases[1])
    assert EOS in result["ids"][1, 0]
    assert np.isfinite(result["scores"]).all()


def test_a_beam_finds_where_a_phrase_fits():
    # 5 fits behind 3, though there 6 is likelier, as it is behind 4.
    probs = np.full((1, 4, 7), 1e-6)
    probs[0, 0, 3:5] = 0.6, 0.3
    probs[0, 1, 5:] = 0.1, 0.3
    probs[0, 1:, EOS] = 0.5
    constraints = [RequiredPhrases([[5]])]
    found = [
        search_fixed(search, np.log(probs))["ids"][0, 0].tolist()
        for search in (
            BeamSearch(2, constraints=constraints),
            GreedySearch(constraints=constraints),
        )
    ]
    assert found == [[3, 5, EOS, PAD], [3, 6, 5, EOS]]


def test_tokens_far_from_the_best_are_considered():
    together, setting = Together(["required"], 6), ("gnmt", 0.8, True)
    model = HistoryModel(16, seed=2, vocabulary_size=12, max_length=6)
    search = BeamSearch(
        2, *setting, num_hypotheses=2, constraints=together.constraints
    )
    result = run(search, model)
    for sentence in range(16):
        expected, _ = plain_beam(
            model,
            sentence,
            2,
            setting,
            restrict=together.restrict(sentence),
            arrange=together.arrange(sentence, 2),
        )
        check_hypotheses(result, sentence, expected)


def test_groups_share_out_their_beams():
    together = Together(["told"], 6)
    model = HistoryModel(16, seed=4, max_length=6, eos_bias=1.0, banned=0.1)
    search = BeamSearch(
        4,
        num_hypotheses=4,
        num_groups=2,
        diversity=0.8,
        constraints=together.constraints,
    )
    result = run(search, model, inputs=together.inputs(16))
    for sentence in range(16):
        expected = diverse_beam(
            model,
            sentence,
            [2, 2],
            0.8,
            ("none", 0.6, True),
            together.restrict(sentence),
            together.arrange(sentence, 2),
        )
        check_hypotheses(result, sentence, expected)
