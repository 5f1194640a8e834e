"""The laws, for decoders over the grid of an image."""

import functools

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch
from tests import laws
from tests import numerics
from tests.layers import backbones
from tests.layers.backbones import IMAGES

every_decoder = pytest.mark.parametrize("name", ["default", "transformer"])


@every_decoder
def test_steps_equal_whole(name):
    make = functools.partial(backbones.pair, name)
    laws.check_steps_equal_whole(make, IMAGES)
    laws.check_beams_are_queries(make, IMAGES)


def test_gradients_are_slopes():
    make = functools.partial(backbones.pair, "default")
    laws.check_finite_differences(make, IMAGES)


@every_decoder
def test_scores_are_rescored(name):
    model = backbones.model_of(name)
    laws.check_scores_are_rescored(model, laws.SEARCHES["beam"](), IMAGES)


def test_a_beam_of_one_is_greedy():
    laws.check_beam_of_one_is_greedy(backbones.model_of("default"), IMAGES)


def test_an_image_alone_has_the_same_result():
    model, search = backbones.model_of("default"), BeamSearch(3)
    whole = laws.search_with(model, search, IMAGES, return_alignments=True)
    # (B, N, T, S), over the 4 x 3 cells of a grid.
    assert whole["alignments"].shape == (3, 1, 6, 12)
    for row in range(3):
        alone = laws.search_with(model, search, IMAGES[row : row + 1])
        np.testing.assert_array_equal(alone["ids"], whole["ids"][row : row + 1])
        numerics.assert_close(
            alone["scores"], whole["scores"][row : row + 1], 1e-5
        )
    assert len(np.unique(whole["scores"])) == 3
