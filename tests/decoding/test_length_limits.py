"""Lengths that depend on the source; others are in `test_constraints.py`."""

import math

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import MaximumLength
from keras_s2s.decoding import MinimumLength
from keras_s2s.decoding import RandomSampling
from tests.decoding.oracles import EOS
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed

SOURCES = np.array([1, 2, 3, 4, 7, 20], "int32")
# 0.6 S + 0 and 0.5 S + 1, rounded into the limit; 8 tokens at most.
LEAST = [1, 2, 2, 3, 5, 8]
MOST = [1, 2, 2, 3, 4, 11]


@pytest.mark.parametrize(
    "constraint, is_wrong",
    [
        (
            MinimumLength(ratio=0.6),
            lambda sentence, length, ends: ends and length < LEAST[sentence],
        ),
        (
            MaximumLength(1, ratio=0.5),
            lambda sentence, length, ends: (
                not ends and length >= MOST[sentence]
            ),
        ),
    ],
)
def test_each_sentence_has_a_limit_of_its_own(constraint, is_wrong):
    setting = ("gnmt", 0.6, True)
    model = HistoryModel(6, seed=2, max_length=8, eos_bias=1.0)
    search = BeamSearch(3, *setting, num_hypotheses=3, constraints=[constraint])
    result = run(search, model, source_lengths=SOURCES)
    for sentence in range(6):

        def restrict(scores, ids, sentence=sentence):
            length = len(ids) + 1
            return [
                -math.inf if is_wrong(sentence, length, token == EOS) else score
                for token, score in enumerate(scores)
            ]

        expected, _ = plain_beam(model, sentence, 3, setting, False, restrict)
        check_hypotheses(result, sentence, expected)


def test_both_together_leave_one_length():
    constraints = [MinimumLength(ratio=0.3), MaximumLength(ratio=0.3)]
    search = RandomSampling(num_samples=2, seed=0, constraints=constraints)
    lengths = np.array([50, 1, 11], "int32")
    # 15, though in float32 it is more; of 0.3 a minimum and a maximum of 1;
    # of 3.3 none, for 4 > 3.
    result = search_fixed(search, np.zeros((3, 16, 4)), source_lengths=lengths)
    assert result["lengths"].tolist() == [[15, 15], [1, 1], [0, 0]]
    assert (result["ids"][0, :, 14] == EOS).all()


def test_lengths_of_sources_must_be_known():
    search = BeamSearch(2, constraints=[MinimumLength(ratio=0.5)])
    with pytest.raises(ValueError, match="must be known to MinimumLength wi"):
        search_fixed(search, np.zeros((1, 2, 4)))


@pytest.mark.parametrize("limit", [MinimumLength, MaximumLength])
def test_bad_arguments_are_refused(limit):
    with pytest.raises(ValueError, match="`length` must be an integer >= 1"):
        limit()
    with pytest.raises(ValueError, match="`length` must be an integer >= 0"):
        limit(-1, 0.5)
    with pytest.raises(TypeError, match="`length` must be an integer >= 0"):
        limit(0.5, 0.5)
    with pytest.raises(ValueError, match="`ratio` must be a number in"):
        limit(3, ratio=-0.5)
