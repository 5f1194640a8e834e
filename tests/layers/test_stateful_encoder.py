"""A source in pieces is the whole, and each row is its own."""

import numpy as np
import pytest
from keras import ops

from keras_s2s import layers
from keras_s2s.data import StreamPairs
from keras_s2s.layers import RNNEncoder
from keras_s2s.layers import StatefulEncoder
from tests import layer_checks
from tests import loops
from tests import numerics
from tests import pairs

CELLS = {
    "packed": {"num_layers": 2},
    "padded": {"cell": "gru"},
}
random = np.random.default_rng(0)
# Of 2, 1, 3, 1 and 1 pieces of 4.
SOURCES = [random.integers(4, 13, n).tolist() for n in (7, 4, 12, 3, 1)]


def make_encoder(**options):
    return loops.make_encoder("float32", bidirectional=False, **options)


def read_in_pieces(stateful, stream):
    """Returns what each row read since its last reset, `(ids, outputs,
    state)`, by document."""
    texts, found = [None] * stream.batch_size, []
    for index in range(len(stream)):
        inputs, _, weights = stream[index]
        sources = inputs["sources"]
        memory = numerics.numpy(stateful(sources))
        for row, count in enumerate(weights.sum(axis=1).astype(int)):
            if sources["resets"][row]:
                texts[row] = ([], [], [])
                found.append(texts[row])
            ids, outputs, state = texts[row]
            ids.extend(sources["source_ids"][row, :count].tolist())
            outputs.extend(memory["outputs"][row, :count])
            state[:] = [one[row] for one in memory["state"]]
    return [text for text in found if text[0]]


def read_whole(encoder, ids):
    memory = encoder(np.array([ids], "int32"))
    outputs, *state = memory["outputs"], *memory["state"]
    return numerics.numpy([one[0] for one in (outputs, *state)])


@pytest.mark.parametrize("name", CELLS)
def test_pieces_are_the_whole_and_documents_are_apart(name):
    encoder = make_encoder(**CELLS[name])
    stateful = StatefulEncoder(encoder, 2)
    stateful.supports_jit = name == "padded"
    assert encoder.supports_jit == stateful.supports_jit
    found = read_in_pieces(stateful, StreamPairs(SOURCES, SOURCES, 2, 4))
    # 8 pieces: the third document begins in row 0 and ends in row 1.
    assert [len(ids) for ids, *_ in found] == [7, 8, 4, 3, 4, 1]
    for ids, outputs, state in found:
        expected = read_whole(encoder, ids)
        numerics.assert_close([np.array(outputs), *state], expected, 1e-5)


def test_a_row_begins_anew_alone_and_padding_keeps_a_state():
    encoder = make_encoder(cell="gru")
    stateful = StatefulEncoder(encoder, 3)
    pieces = [
        ([[5, 6], [7, 8], [9, 4]], [True] * 3),
        ([[4, 0], [0, 0], [5, 6]], [False, False, True]),
    ]
    for ids, resets in pieces:
        ids = np.array(ids, "int32")
        sources = {"source_ids": ids, "resets": np.array(resets)}
        (state,) = stateful(sources)["state"]
    for row, text in enumerate(([5, 6, 4], [7, 8], [5, 6])):
        _, expected = read_whole(encoder, text)
        numerics.assert_close(state[row], expected, 1e-5)
    stateful.reset_states()
    sources["resets"] = np.zeros(3, bool)
    (state,) = stateful(sources)["state"]
    numerics.assert_close(state[0], read_whole(encoder, [4])[1], 1e-5)


def test_vectors_go_on_as_well():
    encoder = layers.RNNVectorEncoder(3, 4, 5, bidirectional=False)
    stateful = StatefulEncoder(encoder, 2)
    vectors = random.normal(size=(2, 5, 3)).astype("float32")
    vectors[1, 4] = np.nan
    for part, begins in ((vectors[:, :2], True), (vectors[:, 2:], False)):
        resets = np.array([begins] * 2)
        memory = stateful({"source_vectors": part, "resets": resets})
    assert set(stateful.make_input()) == {"source_vectors", "resets"}
    whole = encoder(vectors)
    numerics.assert_close(memory["state"], whole["state"], 1e-5)
    numerics.assert_close(
        memory["outputs"], numerics.numpy(whole["outputs"])[:, 2:], 1e-5
    )


def test_gradients_end_where_a_batch_begins():
    encoder = make_encoder(num_layers=2)
    stateful = StatefulEncoder(encoder, 1)
    first, second = np.array([[5, 6, 7]]), np.array([[8, 9, 0]])
    begins, goes_on = np.array([True]), np.array([False])
    stateful({"source_ids": first, "resets": begins})
    # A constant, wherever it came from.
    state = [ops.convert_to_tensor(one) for one in encoder(first)["state"]]
    state = [ops.stop_gradient(one) for one in state]

    def expected():
        mask = ops.convert_to_tensor(second != 0)
        memory = encoder.encode(second, mask, first=state)
        return loops.weighted_sum([memory["outputs"], *memory["state"]])

    def found():
        memory = stateful({"source_ids": second, "resets": goes_on})
        return loops.weighted_sum([memory["outputs"], *memory["state"]])

    weights = pairs.weights_of(stateful)
    assert len(weights) == len(encoder.trainable_weights)
    results = [
        numerics.value_and_gradients(function, weights)
        for function in (expected, found)
    ]
    numerics.assert_close(results[1], results[0], 1e-5)


def test_it_keeps_what_a_layer_keeps():
    layer_checks.check_layer(
        lambda **o: StatefulEncoder(
            RNNEncoder(13, 4, 5, bidirectional=False, **o), 3
        ),
        {"source_ids": pairs.sentences()[0], "resets": np.ones(3, bool)},
        free_axes=2,
    )


def test_what_does_not_fit_is_named():
    rule = "`encoder` must be one that runs forward alone, with bidirectional"
    for options in ({}, {"num_layers": 2, "bidirectional_layers": 1}):
        with pytest.raises(ValueError, match=rule):
            StatefulEncoder(RNNEncoder(13, 4, 5, **options), 2)
    rule = "`encoder` must be a keras_s2s.layers.RNNEncoder"
    with pytest.raises(TypeError, match=rule):
        StatefulEncoder(layers.PyramidalRNNEncoder(13, 4, 5), 2)
    encoder = make_encoder()
    with pytest.raises(ValueError, match="`batch_size` must be an integer >="):
        StatefulEncoder(encoder, 0)
    sources = {"source_ids": np.ones((3, 2)), "resets": np.ones(3, bool)}
    rule = "`batch_size` must be that of the model, 2. Received: batch_size=3"
    with pytest.raises(ValueError, match=rule):
        StatefulEncoder(encoder, 2)(sources)
