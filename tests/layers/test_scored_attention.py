"""What attentions take their scores from."""

import numpy as np
import pytest

from keras_s2s.layers import AdditiveAttention
from keras_s2s.layers import LocalAttention
from keras_s2s.layers import MonotonicChunkwiseAttention
from keras_s2s.layers import MultiHeadAttention
from keras_s2s.layers import MultiplicativeAttention
from tests import layer_checks


def inputs():
    random = np.random.default_rng(0)
    return random.normal(size=(2, 3, 4)), random.normal(size=(2, 3, 5))


def test_a_score_is_a_name_or_a_layer():
    query, value = inputs()
    scorers = {}
    for score in ("additive", "normalized", "multiplicative", "scaled"):
        layer = LocalAttention(score=score)
        layer.build(query.shape, value.shape)
        scorers[score] = layer.scorer
    assert scorers["additive"].units == 4  # the size of the query
    assert not scorers["additive"].normalize
    assert scorers["normalized"].normalize
    assert scorers["multiplicative"].score == "general"
    assert scorers["scaled"].score == "scaled"
    own = AdditiveAttention(7)
    layer = LocalAttention(score=own)
    layer.build(query.shape, value.shape)
    assert layer.scorer is own
    layer = LocalAttention(score="additive", units=6)
    layer.build(query.shape, value.shape)
    assert layer.scorer.units == 6


def test_layers_as_scores_are_saved():
    layer_checks.check_layer(
        lambda **o: MonotonicChunkwiseAttention(
            score=AdditiveAttention(3, True, **o),
            chunk_score=MultiplicativeAttention("scaled", **o),
            **o,
        ),
        *inputs(),
        free_axes=2,
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"score": "cosine"}, r"`score` must be one of \['additive', "),
        ({"score": None}, r"`score` must be one of \['additive', "),
        (
            {"score": MultiHeadAttention(2)},
            "`score` must be an attention with `scores`. Received: score=<Mul",
        ),
        ({"units": 0}, "`units` must be an integer >= 1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LocalAttention(**options)


def test_a_bad_chunk_score_is_named():
    with pytest.raises(ValueError, match="`chunk_score` must be one of"):
        MonotonicChunkwiseAttention(chunk_score="cosine")
