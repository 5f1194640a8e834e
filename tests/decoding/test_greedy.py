"""Greedy search against a loop that takes the likeliest token."""

import math

import numpy as np
from keras import ops

from keras_s2s.decoding import GreedySearch
from tests.decoding.oracles import EOS
from tests.decoding.oracles import NAMES
from tests.decoding.oracles import PAD
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import check_hypotheses
from tests.decoding.oracles import fixed_step
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed


def plain_greedy(model, sentence):
    ids, parts = (), []
    while len(ids) < model.max_length and EOS not in ids:
        scores = model.log_probabilities(sentence, ids)
        if scores.max() == -math.inf:
            return []
        ids = (*ids, int(scores.argmax()))
        parts.append(scores.max())
    return [(ids, sum(parts), parts)]


def test_the_likeliest_token_is_taken():
    model = HistoryModel(60, seed=2, max_length=8, eos_bias=1.0, banned=0.4)
    result = run(GreedySearch(), model)
    expected = [plain_greedy(model, sentence) for sentence in range(60)]
    for sentence in range(60):
        check_hypotheses(result, sentence, expected[sentence])
    lengths = [len(entry[0][0]) if entry else 0 for entry in expected]
    assert {0, 1, 8} <= set(lengths)


def test_the_lowest_of_equally_likely_ids_is_taken():
    logits = np.zeros((1, 3, 5))
    logits[:, :2, :3] = -1.0
    result = search_fixed(GreedySearch(), logits)
    assert result["ids"].tolist() == [[[3, 3, 0]]]


def test_a_word_is_spelled():
    word = [ord(letter) - ord("a") + 3 for letter in "greedy"] + [EOS]
    logits = np.zeros((1, 9, 30))
    logits[0, np.arange(7), word] = 9.0
    result = search_fixed(GreedySearch(), logits)
    assert result["ids"][0, 0].tolist() == [*word, PAD, PAD]
    assert result["lengths"].tolist() == [[7]]


def test_alignments_are_recorded():
    model = HistoryModel(10, seed=4, max_length=6, eos_bias=1.0)
    result = run(GreedySearch(), model, record_alignments=True)
    for sentence in range(10):
        length = result["lengths"][sentence, 0]
        ids = result["ids"][sentence, 0].tolist()
        expected = [model.alignment(sentence, ids[:i]) for i in range(length)]
        found = result["alignments"][sentence, 0]
        np.testing.assert_allclose(found[:length], expected, atol=1e-5)
        assert not found[length:].any()


def test_the_loop_ends_with_the_last_sentence():
    logits = np.zeros((2, 9, 5), "float32")
    logits[0, 1, EOS] = logits[1, 3, EOS] = 1.0
    logits[:, :, 4] = 0.5
    positions = []

    def step(token_ids, state, context, position):
        positions.append(int(position))
        return fixed_step(logits)(token_ids, state, context, position)

    result = GreedySearch().search(
        step, {}, batch_size=2, max_length=9, bos_id=1, eos_id=EOS, pad_id=PAD
    )
    assert ops.convert_to_numpy(result["lengths"]).tolist() == [[2], [4]]
    assert positions == [0, 1, 2, 3]


def test_a_done_sentence_ignores_what_the_step_returns_for_it():
    logits = np.zeros((2, 6, 4), "float32")
    logits[0, :, EOS] = 5.0
    logits[1, :, EOS] = -5.0
    expected = search_fixed(GreedySearch(), logits)
    logits[0, 1:] = math.nan
    result = search_fixed(GreedySearch(), logits)
    for name in NAMES:
        np.testing.assert_array_equal(result[name], expected[name])


def test_ids_are_int32_and_scores_float32():
    result = search_fixed(GreedySearch(), ops.zeros((1, 2, 4)))
    kinds = {name: str(result[name].dtype) for name in NAMES}
    assert kinds == {
        "ids": "int32",
        "lengths": "int32",
        "scores": "float32",
        "token_scores": "float32",
    }
