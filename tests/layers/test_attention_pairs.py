"""The laws, for attentions with a state and for the conditional GRU."""

import functools

import keras
import numpy as np
import pytest

from keras_s2s.models import InferenceModel
from tests import laws

every_pair = pytest.mark.parametrize("name", laws.ATTENTION_PAIRS)


def maker(name):
    return functools.partial(laws.pair, name)


@every_pair
def test_padding_changes_nothing(name):
    laws.check_padding_changes_nothing(maker(name))


@every_pair
def test_steps_equal_whole(name):
    laws.check_steps_equal_whole(maker(name))


@every_pair
def test_gradients_are_slopes(name):
    laws.check_finite_differences(maker(name))


@every_pair
def test_beams_are_queries(name):
    laws.check_beams_are_queries(maker(name))


@pytest.mark.parametrize("name", ["coverage", "conditional", "chunkwise"])
def test_scores_are_rescored(name):
    laws.check_scores_are_rescored(laws.model_of(name), laws.SEARCHES["beam"]())


def test_a_result_does_not_depend_on_its_batch():
    model = laws.model_of("chunkwise")
    laws.check_independent_of_batch(model, laws.SEARCHES["greedy"]())


@pytest.mark.parametrize("name", ["conditional", "chunkwise"])
def test_they_are_saved_and_loaded(name, tmp_path):
    inference = InferenceModel(laws.model_of(name), max_length=4)
    inference.save(tmp_path / "x.keras")
    source_ids = laws.sentences()[0]
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    laws.assert_close(loaded(source_ids), inference(source_ids), 0)


@pytest.mark.parametrize("name", ["coverage", "predictive"])
def test_the_weights_of_all_steps_are_those_of_each(name):
    encoder, decoder = laws.pair(name, laws.EXACT)
    tolerance = laws.TOLERANCE[laws.EXACT]
    source_ids, target_ids, _ = laws.sentences()
    memory = encoder(source_ids)
    found = decoder.attended_features(target_ids, memory)
    logits = decoder.project(found["features"])
    laws.assert_close(logits, decoder(target_ids, memory), tolerance)
    is_real = target_ids != 0
    state = decoder.initial_state(memory, 1, 4)
    context = decoder.prepare(memory)
    for time in range(4):
        ids = target_ids[:, time : time + 1]
        _, state = decoder.step(ids, state, context, time)
        now = is_real[:, time]
        laws.assert_close(
            laws.numpy(found["weights"])[now, time],
            laws.numpy(state["alignment"])[now, 0],
            tolerance,
        )
        if name == "coverage":
            seen = laws.numpy(found["weights"])[now, : time + 1].sum(axis=1)
            coverage = laws.numpy(state["attention"]["coverage"])
            laws.assert_close(coverage[now, 0], seen, tolerance)
    assert np.all(laws.numpy(found["weights"])[~is_real] == 0)
