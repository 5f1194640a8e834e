"""What a beam search tells of its way: the open hypotheses of each step."""

import math

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from tests.decoding.oracles import EOS
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import anything
from tests.decoding.oracles import continue_all
from tests.decoding.oracles import plain_beam
from tests.decoding.oracles import run


def read_tree(result, sentence):
    """Returns for each step the prefixes of its open beams, by beam."""
    ids, parents, scores = (
        result[name][sentence].T
        for name in ("beam_ids", "beam_parents", "beam_scores")
    )
    before, steps = None, []
    for row in zip(ids.tolist(), parents.tolist(), scores.tolist()):
        before = {
            beam: (*(before[parent] if before else ()), token)
            for beam, (token, parent, score) in enumerate(zip(*row))
            if score > -math.inf
        }
        steps.append(before)
        if not before:
            break
    return steps


def test_the_tree_is_what_was_open():
    setting = ("none", 0.6, True)
    model = HistoryModel(12, seed=19, max_length=6, eos_bias=1.5, banned=0.1)
    search = BeamSearch(3, num_hypotheses=3, return_beams=True)
    result, plain = run(search, model), run(BeamSearch(3), model)
    np.testing.assert_array_equal(result["ids"][:, :1], plain["ids"])
    lengths = set()
    for sentence in range(12):
        steps = read_tree(result, sentence)
        scores = result["beam_scores"][sentence]
        _, needed = plain_beam(model, sentence, 3, setting)
        lengths.add(needed)
        still_open = [((), 0.0, [])]
        for step in range(needed):
            candidates = continue_all(model, sentence, still_open, anything)
            still_open = [one for one in candidates[:6] if one[0][-1] != EOS][
                :3
            ]
            expected = [ids for ids, _, _ in still_open]
            assert list(steps[step].values()) == expected
            np.testing.assert_allclose(
                scores[: len(expected), step],
                [total for _, total, _ in still_open],
                atol=2e-5,
            )
        assert (scores[:, needed:] == -math.inf).all()
    assert len(lengths) > 2


def test_groups_have_a_tree_each():
    model = HistoryModel(8, seed=17, max_length=5, eos_bias=1.0)
    search = BeamSearch(
        4, num_hypotheses=4, num_groups=2, diversity=2.0, return_beams=True
    )
    result = run(search, model)
    for sentence in range(8):
        steps = read_tree(result, sentence)
        parents = result["beam_parents"][sentence]
        assert (parents[:2] < 2).all() and (parents[2:] >= 2).all()
        for row, length in zip(
            result["ids"][sentence].tolist(), result["lengths"][sentence]
        ):
            ids = tuple(row[:length])
            ids = ids[:-1] if ids[-1] == EOS else ids
            assert not ids or ids in steps[len(ids) - 1].values()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"return_beams": 1},
            TypeError,
            "`return_beams` must be True or False",
        ),
        (
            {"beam_size": 1, "return_beams": True},
            ValueError,
            "`return_beams` must be False where `beam_size` is 1. Received: re",
        ),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        BeamSearch(**options)
