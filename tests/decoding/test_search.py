"""What every search has in common: arguments, errors, configs, graphs."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import MinimumLength
from keras_s2s.decoding import NoRepeatNgrams
from keras_s2s.decoding import RandomSampling
from keras_s2s.decoding import RepetitionPenalty
from keras_s2s.decoding import StochasticBeamSearch
from tests.decoding.oracles import BOS
from tests.decoding.oracles import EOS
from tests.decoding.oracles import PAD
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import run
from tests.decoding.oracles import search_fixed
from tests.decoding.rules import TOLD
from tests.decoding.rules import Together

SEARCHES = {
    "greedy": GreedySearch(),
    "beam": BeamSearch(3, "gnmt", 0.8, False, num_hypotheses=2),
    "hasty groups": BeamSearch(
        4,
        "power",
        -1.0,
        early_stopping=True,
        num_hypotheses=3,
        num_groups=2,
        diversity=0.7,
        word_reward=0.2,
        coverage_penalty=0.5,
        offset=2.0,
        return_beams=True,
    ),
    "constrained beam": BeamSearch(
        3,
        constraints=[
            NoRepeatNgrams(2),
            RepetitionPenalty(1.5),
            MinimumLength(3),
            *(rule.constraint for rule in TOLD),
        ],
    ),
    "sampling": RandomSampling(0.7, 3, 0.9, 3, seed=2, epsilon=0.1),
    "stochastic": StochasticBeamSearch(4, 1.5, 3, seed=2),
}
every_search = pytest.mark.parametrize(
    "search", SEARCHES.values(), ids=SEARCHES
)


@every_search
def test_a_config_makes_the_same_search(search):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(search)))
    assert config["registered_name"] == f"keras_s2s>{type(search).__name__}"
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(search)
    assert again.get_config() == search.get_config()
    for name, value in search.get_config().items():
        assert getattr(again, name) == value or name == "constraints"
    assert again.beam_size == search.beam_size
    assert again.num_hypotheses == search.num_hypotheses


def told(search, count):
    """What the constraints of a search are told of so many sentences."""
    every = Together(["told"], 6).inputs(count)
    return {name: every[name] for name in search.inputs}


def compiled(search, model, jit_compile, record_alignments=False):
    """The search in a graph, batch and source length unknown to it."""

    def dynamic(array, *known):
        shape = [None, *array.shape[1:]]
        for axis in known:
            shape[axis] = None
        return tf.TensorSpec(shape, array.dtype)

    state = model.state(search.beam_size)
    signature = keras.tree.map_structure(dynamic, state)
    signature["alignment"] = dynamic(state["alignment"], 2)
    weights = {name: dynamic(part) for name, part in model.context.items()}
    weights["source"] = dynamic(model.context["source"], 2)

    inputs = {
        name: tf.TensorSpec([None] * axes, "int32")
        for name, axes in search.inputs.items()
    }

    @tf.function(
        input_signature=[signature, weights, inputs],
        jit_compile=jit_compile,
        autograph=False,
    )
    def function(state, context, inputs):
        return search.search(
            model.step,
            state,
            context,
            batch_size=tf.shape(context["bias"])[0],
            max_length=model.max_length,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=PAD,
            record_alignments=record_alignments,
            inputs=inputs,
        )

    return function


# Greedy search is below.
@pytest.mark.parametrize(
    "name, jit_compile",
    [
        ("hasty groups", False),
        ("hasty groups", True),
        ("constrained beam", True),
        ("sampling", True),
        ("stochastic", True),
    ],
)
def test_a_graph_of_unknown_batch_and_source_gives_the_same(name, jit_compile):
    search = SEARCHES[name]
    model = HistoryModel(9, seed=51, max_length=6, eos_bias=1.0, banned=0.1)
    function = compiled(search, model, jit_compile, record_alignments=True)
    outputs = function.get_concrete_function().structured_outputs
    shapes = {name: part.shape.as_list() for name, part in outputs.items()}
    kept = search.num_hypotheses
    assert shapes["ids"][1:] == shapes["token_scores"][1:] == [kept, 6]
    assert shapes["scores"][1:] == shapes["lengths"][1:] == [kept]
    slices = [slice(0, 9), slice(0, 0), slice(2, 3)]
    for rows in slices[: 2 if jit_compile else 3]:  # each is compiled anew
        part = model.rows(rows)
        inputs = {name: one[rows] for name, one in told(search, 9).items()}
        expected = run(search, part, record_alignments=True, inputs=inputs)
        result = function(part.state(search.beam_size), part.context, inputs)
        assert set(result) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(result[name], value, atol=2e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_beam_1_is_greedy_in_a_graph(jit_compile):
    model = HistoryModel(30, seed=53, max_length=6, eos_bias=1.0)
    results = []
    for search in (GreedySearch(), BeamSearch(1)):
        function = compiled(search, model, jit_compile)
        results.append(function(model.state(1), model.context, {}))
    expected = run(GreedySearch(), model)
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name])
        np.testing.assert_allclose(value, expected[name], atol=2e-5)


def test_a_state_that_loses_its_static_shape_goes_through_a_graph():
    search = BeamSearch(2)

    def step(token_ids, state, table, position):
        unknown = tf.compat.v1.placeholder_with_default(state["sum"], None)
        logits = tf.gather(table, position, axis=1)
        return tf.stack([logits, logits], axis=1), {"sum": unknown}

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 7])], autograph=False)
    def function(table):
        num_sentences = tf.shape(table)[0]
        return search.search(
            step,
            {"sum": tf.zeros([num_sentences, 2, 3])},
            table,
            batch_size=num_sentences,
            max_length=4,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=PAD,
        )

    logits = np.random.default_rng(0).normal(size=(5, 4, 7)).astype("float32")
    expected = search_fixed(search, logits)
    np.testing.assert_array_equal(function(logits)["ids"], expected["ids"])


def test_without_a_seed_each_call_of_a_graph_draws_afresh():
    model = HistoryModel(9, seed=57, max_length=6)
    function = compiled(RandomSampling(num_samples=3), model, False)
    inputs = model.state(3), model.context, {}
    first = function(*inputs)["ids"].numpy()
    assert (first != function(*inputs)["ids"].numpy()).any()


@pytest.mark.parametrize(
    "search",
    [search for search in SEARCHES.values() if not search.reads_alignments],
)
def test_the_state_may_be_empty_and_the_step_gets_what_it_should(search):
    context = {"anything": object()}
    seen = []

    def step(token_ids, state, given, position):
        assert given is context
        assert state == []
        seen.append((ops.convert_to_numpy(token_ids), int(position)))
        assert str(position.dtype).endswith("int32'>") or ops.is_tensor(
            position
        )
        return ops.zeros((2, search.beam_size, 5)), state

    search.search(
        step,
        [],
        context,
        batch_size=2,
        max_length=3,
        bos_id=BOS,
        eos_id=4,
        pad_id=PAD,
        inputs=told(search, 2),
    )
    token_ids, position = seen[0]
    assert token_ids.dtype == "int32"
    assert (token_ids == BOS).all()
    assert token_ids.shape == (2, search.beam_size)
    assert [position for _, position in seen] == list(range(len(seen)))


def good_step(token_ids, state, context, position):
    return ops.zeros((*token_ids.shape, 6)), state


def flat_step(token_ids, state, context, position):
    return ops.zeros((token_ids.shape[0], 6)), state


def forgetful_step(token_ids, state, context, position):
    return ops.zeros((*token_ids.shape, 6)), {}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"step": None}, TypeError, "`step` must be callable. Received: step="),
        (
            {"max_length": 0},
            ValueError,
            "`max_length` must be an integer >= 1. Received: max_length=0.",
        ),
        ({"max_length": 2.5}, TypeError, "`max_length` must be an integer"),
        (
            {"batch_size": -1},
            ValueError,
            "`batch_size` must be an integer >= 0",
        ),
        (
            {"batch_size": 1.5},
            TypeError,
            "`batch_size` must be an integer >= 0",
        ),
        ({"bos_id": -1}, ValueError, "`bos_id` must be an integer >= 0"),
        ({"eos_id": None}, TypeError, "`eos_id` must be an integer >= 0"),
        ({"pad_id": -2}, ValueError, "`pad_id` must be an integer >= 0"),
        (
            {"eos_id": 6},
            ValueError,
            "`eos_id` must hold ids in [0, 6), the vocabulary.",
        ),
        (
            {"state": {"memory": np.zeros((2, 4))}},
            ValueError,
            "`state` must be made of tensors (B, 3, ...). "
            "Received: state=(2, 4).",
        ),
        (
            {"state": [np.zeros(2)]},
            ValueError,
            "`state` must be made of tensors (B, 3, ...).",
        ),
        (
            {"step": forgetful_step},
            ValueError,
            "`state` must be 1 tensors after a step, as before it. "
            "Received: state=0.",
        ),
        (
            {"step": flat_step},
            ValueError,
            "`logits` must be of shape (B, 3, V) with V known. "
            "Received: logits=(2, 6).",
        ),
        (
            {"record_alignments": True},
            ValueError,
            "`state` must be a dict with an entry `alignment`, for a search "
            "that records or weighs alignments. Received: state=['memory'].",
        ),
        (
            {"record_alignments": True, "state": [np.zeros((2, 3))]},
            ValueError,
            "`state` must be a dict with an entry `alignment`",
        ),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    arguments = {
        "step": good_step,
        "state": {"memory": np.zeros((2, 3, 4), "float32")},
        "batch_size": 2,
        "max_length": 4,
        "bos_id": BOS,
        "eos_id": EOS,
        "pad_id": PAD,
    } | options
    with pytest.raises(error) as caught:
        BeamSearch(3).search(**arguments)
    assert message in str(caught.value)
