"""Beam search where there is little to search, and what it refuses."""

import math

import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import BeamSearch
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import fixed_step
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed


def beam_search(beam_size, setting, **options):
    name, alpha, count_eos = setting
    options = {"num_hypotheses": beam_size} | options
    return BeamSearch(beam_size, name, alpha, count_eos, **options)


@pytest.mark.parametrize("beam_size", [1, 2, 7])
def test_an_end_token_at_the_first_step(beam_size):
    logits = np.full((2, 4, 5), -math.inf)
    logits[:, :, EOS] = 0.0
    result = search_fixed(beam_search(beam_size, ("gnmt", 1.0, True)), logits)
    for sentence in range(2):
        entry = ((EOS,), 0.0, [0.0])
        check_hypotheses(result, sentence, [entry])


@pytest.mark.parametrize("beam_size", [1, 2, 7])
def test_an_end_token_that_is_forbidden(beam_size):
    logits = np.zeros((2, 4, 3))
    logits[:, :, EOS] = -math.inf
    result = search_fixed(beam_search(beam_size, ("none", 1.0, True)), logits)
    assert (result["lengths"] == 4).all()
    assert (result["ids"] != EOS).all()
    assert len(np.unique(result["ids"][0], axis=0)) == beam_size
    np.testing.assert_allclose(result["scores"], math.log(1 / 16), rtol=1e-6)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_one_legal_token(beam_size):
    logits = np.full((1, 3, 6), -math.inf)
    logits[0, :, 4] = 3.0
    result = search_fixed(beam_search(beam_size, ("none", 1.0, True)), logits)
    check_hypotheses(result, 0, [((4, 4, 4), 0.0, [0.0] * 3)])


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("nothing", [-math.inf, math.nan])
def test_no_legal_token_leaves_no_hypothesis(beam_size, position, nothing):
    logits = np.zeros((2, 4, 6))
    logits[0, position] = nothing
    logits[0, :position, EOS] = -math.inf
    result = search_fixed(beam_search(beam_size, ("gnmt", 1.0, True)), logits)
    check_hypotheses(result, 0, [])
    assert np.isfinite(result["scores"][1]).all()


@pytest.mark.parametrize("vocabulary_size", [1, 2, 3])
def test_a_vocabulary_smaller_than_the_candidates(vocabulary_size):
    model = HistoryModel(8, seed=17, vocabulary_size=3, max_length=4)
    logits = np.asarray(model.weights["bias"][:, :, :vocabulary_size])
    setting = ("gnmt", 0.6, True)
    search = beam_search(40, setting)
    result = search_fixed(search, logits, eos_id=0, pad_id=0)
    assert np.isfinite(result["scores"][:, 0]).all()
    assert not np.isnan(result["token_scores"]).any()
    # Words w and the end: 1 + w + w^2 + w^3 finished, w^4 not.
    words = vocabulary_size - 1
    count = sum(words**length for length in range(5))
    possible = np.isfinite(result["scores"]).sum(axis=1)
    assert possible.tolist() == [count] * 8


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_a_max_length_of_1(beam_size):
    model = HistoryModel(20, seed=19, max_length=1)
    setting = ("power", -1.0, False)
    result = run(beam_search(beam_size, setting), model)
    for sentence in range(20):
        expected, _ = plain_beam(model, sentence, beam_size, setting)
        check_hypotheses(result, sentence, expected)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_an_empty_batch(beam_size):
    model = HistoryModel(0, max_length=6)
    search = beam_search(beam_size, ("none", 1.0, True))
    result = run(search, model, record_alignments=True)
    assert result["ids"].shape == (0, beam_size, 6)
    assert result["token_scores"].shape == (0, beam_size, 6)
    assert result["alignments"].shape == (0, beam_size, 6, 3)
    assert result["scores"].shape == result["lengths"].shape == (0, beam_size)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logits_of_half_precision_are_scored_in_float32(dtype):
    model = HistoryModel(4, seed=23, vocabulary_size=6, max_length=3)
    logits = ops.cast(model.weights["bias"], dtype)
    rounded = ops.convert_to_numpy(ops.cast(logits, "float32"))
    setting = ("gnmt", 0.6, True)

    def step(token_ids, state, context, position):
        values, state = fixed_step(rounded)(token_ids, state, context, position)
        return ops.cast(values, dtype), state

    result = beam_search(3, setting).search(
        step, {}, batch_size=4, max_length=3, bos_id=1, eos_id=2, pad_id=0
    )
    expected = search_fixed(beam_search(3, setting), rounded)
    for name in NAMES:
        found = ops.convert_to_numpy(result[name])
        assert found.dtype == expected[name].dtype
        np.testing.assert_array_equal(found, expected[name])


def test_equal_scores_keep_the_order_of_ids():
    logits = np.zeros((1, 2, 5))
    logits[:, :, EOS] = -math.inf
    result = search_fixed(beam_search(3, ("none", 1.0, True)), logits)
    assert result["ids"][0].tolist() == [[0, 0], [0, 1], [0, 3]]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"beam_size": 0}, ValueError, "`beam_size` must be an integer >= 1"),
        ({"beam_size": 2.5}, TypeError, "`beam_size` must be an integer"),
        (
            {"num_hypotheses": 0},
            ValueError,
            "`num_hypotheses` must be an integer >= 1. Received",
        ),
        (
            {"beam_size": 2, "num_hypotheses": 3},
            ValueError,
            "`num_hypotheses` must be at most `beam_size`, 2. "
            "Received: num_hypotheses=3.",
        ),
        (
            {"length_penalty": "wu"},
            ValueError,
            "`length_penalty` must be one of ['none', 'gnmt', 'power']. "
            "Received: length_penalty='wu'.",
        ),
        ({"alpha": "0.6"}, TypeError, "`alpha` must be a number in"),
        ({"alpha": math.inf}, ValueError, "`alpha` must be a number in"),
        ({"alpha": math.nan}, ValueError, "`alpha` must be a number in"),
        ({"count_eos": 1}, TypeError, "`count_eos` must be True or False"),
        (
            {"early_stopping": "never"},
            TypeError,
            "`early_stopping` must be True or False. "
            "Received: early_stopping='never'.",
        ),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error) as caught:
        BeamSearch(**options)
    assert message in str(caught.value)
