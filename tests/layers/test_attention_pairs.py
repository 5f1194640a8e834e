"""The laws, for attentions with a state and for the conditional GRU."""

import functools

import keras
import numpy as np
import pytest

from keras_s2s.models import InferenceModel
from tests import laws
from tests import numerics
from tests import pairs

every_pair = pytest.mark.parametrize("name", pairs.ATTENTION_PAIRS)


@every_pair
@pytest.mark.parametrize("law", laws.LAWS)
def test_a_law_holds(law, name):
    laws.LAWS[law](functools.partial(pairs.pair, name))


@pytest.mark.parametrize("name", ["coverage", "conditional"])
def test_padding_changes_nothing_in_a_graph(name):
    laws.check_padding_changes_nothing(
        functools.partial(pairs.pair, name), numerics.in_graph
    )


@pytest.mark.parametrize("name", ["coverage", "conditional"])
def test_scores_are_rescored(name):
    laws.check_scores_are_rescored(
        pairs.model_of(name), laws.SEARCHES["beam"]()
    )


def test_a_search_keeps_its_laws():
    laws.check_a_search(pairs.model_of("chunkwise"), laws.SEARCHES["beam"]())


@pytest.mark.parametrize("name", ["conditional", "chunkwise"])
def test_they_are_saved_and_loaded(name, tmp_path):
    inference = InferenceModel(pairs.model_of(name), max_length=4)
    inference.save(tmp_path / "x.keras")
    source_ids = pairs.sentences()[0]
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    numerics.assert_close(loaded(source_ids), inference(source_ids), 0)


@pytest.mark.parametrize("name", ["coverage", "predictive"])
def test_the_weights_of_all_steps_are_those_of_each(name):
    encoder, decoder = pairs.pair(name, numerics.EXACT)
    tolerance = numerics.TOLERANCE[numerics.EXACT]
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    found = decoder.attended_features(target_ids, memory)
    logits = decoder.project(found["features"])
    numerics.assert_close(logits, decoder(target_ids, memory), tolerance)
    is_real = target_ids != 0
    state = decoder.initial_state(memory, 1, 4)
    context = decoder.prepare(memory)
    for time in range(4):
        ids = target_ids[:, time : time + 1]
        _, state = decoder.step(ids, state, context, time)
        now = is_real[:, time]
        numerics.assert_close(
            numerics.numpy(found["weights"])[now, time],
            numerics.numpy(state["alignment"])[now, 0],
            tolerance,
        )
        if name == "coverage":
            seen = numerics.numpy(found["weights"])[now, : time + 1].sum(axis=1)
            coverage = numerics.numpy(state["attention"]["coverage"])
            numerics.assert_close(coverage[now, 0], seen, tolerance)
    assert np.all(numerics.numpy(found["weights"])[~is_real] == 0)
