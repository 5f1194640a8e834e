"""What a search is told of each sentence: lists, arrays, and what is wrong."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import Constraint
from keras_s2s.decoding import GreedySearch
from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models.search_inputs import pad_nested
from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import run


@keras.saving.register_keras_serializable(package="tests")
class Only(Constraint):
    """Nothing but one token of each sentence, or its end."""

    inputs = {"only_ids": 2}

    def check_inputs(self, inputs, limits):
        if inputs["only_ids"].shape[1] > limits.max_length:
            raise ValueError("too wide")

    def restrict(self, log_probs, hypotheses):
        only = hypotheses.inputs["only_ids"][:, :1, None]
        tokens = ops.arange(log_probs.shape[-1])
        legal = (tokens == only) | (tokens == hypotheses.eos_id)
        legal = legal | (only == hypotheses.pad_id)
        return ops.where(legal, log_probs, -np.inf)


@keras.saving.register_keras_serializable(package="tests")
class AsLongAsTheSource(Constraint):
    """The end token comes at the place where the source has it."""

    def restrict(self, log_probs, hypotheses):
        last = hypotheses.source_lengths[:, None, None] - 1
        ends = ops.arange(log_probs.shape[-1]) == hypotheses.eos_id
        return ops.where(ends == (hypotheses.position == last), log_probs, -9.0)


def make_inference(*constraints, **options):
    keras.utils.set_random_seed(3)
    encoder = RNNEncoder(12, embedding_dim=4, units=4)
    model = Seq2Seq(encoder, RNNDecoder(12, embedding_dim=4, units=4))
    search = BeamSearch(2, constraints=list(constraints))
    return InferenceModel(model, search, max_length=5, **options)


@pytest.fixture(scope="module")
def inference():
    return make_inference(Only())


# The shortest first: a search takes them in another order.
SOURCES = [[8, 3], [9, 4, 3], [5, 6, 7, 3]]


def test_each_sentence_is_told_its_own(inference):
    told = {"source_ids": SOURCES, "only_ids": [[7], [], [9]]}
    found = inference.predict(told, batch_size=2, verbose=0)
    assert set(found["ids"][0, 0]) <= {7, 3, 0}
    assert set(found["ids"][2, 0]) <= {9, 3, 0}
    free = make_inference()
    free.set_weights(inference.get_weights())
    plain = free.predict(SOURCES, verbose=0)
    np.testing.assert_array_equal(found["ids"][1], plain["ids"][1])
    # What is left out constrains nothing.
    for source in (SOURCES, {"source_ids": SOURCES}):
        found = inference.predict(source, verbose=0)
        np.testing.assert_array_equal(found["ids"], plain["ids"])


def test_it_is_part_of_the_model(inference, tmp_path):
    inference.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = {
        "source_ids": np.array([[5, 6, 3]], "int32"),
        "only_ids": np.array([[7]], "int32"),
    }
    ids = ops.convert_to_numpy(inference(inputs)["ids"])
    np.testing.assert_array_equal(ids, loaded.predict(inputs)["ids"])
    empty = {name: one[:0] for name, one in inputs.items()}
    assert loaded.predict(empty)["ids"].shape == (0, 1, 5)


def test_it_compiles_for_few_shapes(inference):
    jitted = make_inference(Only(), name="jitted")
    jitted.set_weights(inference.get_weights())
    jitted.compile(jit_compile=True)
    told = {"source_ids": SOURCES, "only_ids": [[7], [], [9]]}
    found = jitted.predict(told, verbose=0)["ids"]
    expected = inference.predict(told, verbose=0)["ids"]
    np.testing.assert_array_equal(found, expected)


def test_source_lengths_are_known():
    inference = make_inference(AsLongAsTheSource())
    found = inference.predict(SOURCES, verbose=0)
    assert found["lengths"][:, 0].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("only_ids", "message"),
    [
        ([[7]], "`only_ids` must be of 3 rows, one for each source"),
        ([[7], [12], []], r"`only_ids` must hold ids in \[0, 12\)"),
        ([[7.5], [], []], "`only_ids` must be lists of ids"),
        ([7, 8, 9], "`only_ids` must be lists of ids"),
        ([[4] * 6, [], []], "too wide"),
    ],
)
def test_what_is_wrong_is_refused_before_any_decoding(
    inference, only_ids, message
):
    with pytest.raises(ValueError, match=message):
        inference.predict({"source_ids": SOURCES, "only_ids": only_ids})


def test_an_unknown_name_is_refused(inference):
    with pytest.raises(ValueError, match=r"dict of \['source_ids', 'only_ids'"):
        inference.predict({"source_ids": SOURCES, "prefix": [[7]] * 3})


def test_a_search_alone_asks_for_what_it_is_to_be_told():
    model = HistoryModel(2, seed=1)
    with pytest.raises(ValueError, match=r"told, \['only_ids'\]"):
        run(GreedySearch(constraints=[Only()]), model)


def test_names_are_not_those_of_sources_and_agree():
    class Clash(Only):
        inputs = {"source_ids": 2}

    with pytest.raises(ValueError, match="otherwise than sources"):
        make_inference(Clash())

    class Wider(Only):
        inputs = {"only_ids": 3}

    with pytest.raises(ValueError, match="of 2 axes, as another constraint"):
        make_inference(Only(), Wider())


def test_nested_lists_are_padded_on_each_axis():
    found = pad_nested("phrases", [[[1], [2, 3]], []], 3, 0)
    np.testing.assert_array_equal(found, [[[1, 0], [2, 3]], [[0, 0], [0, 0]]])
    assert pad_nested("phrases", [[], []], 3, 0).shape == (2, 1, 1)
    with pytest.raises(ValueError, match="lists of lists of ids"):
        pad_nested("phrases", [7], 3, 0)
