"""Rows that are shared out between threads, on TensorFlow."""

import os

import numpy as np
import pytest
import tensorflow as tf

import keras_s2s as s2s
from keras_s2s import recurrence
from keras_s2s.models import output
from keras_s2s.recurrence import loop
from keras_s2s.recurrence import tensorflow_parts
from tests import numerics
from tests import pairs

THREADS = [
    ({}, 1),
    ({"INTRAOP": "2"}, 1),
    ({"INTRAOP": "0"}, 1),
    ({"INTRAOP": "one"}, 1),
    ({"INTRAOP": "1"}, 2),
    ({"INTRAOP": "1", "INTEROP": "1"}, 1),
    ({"INTRAOP": "1", "INTEROP": "5"}, 2),
]


@pytest.mark.parametrize("threads, expected", THREADS)
def test_loops_have_a_thread_each(threads, expected, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for kind in ("INTRAOP", "INTEROP"):
        monkeypatch.delenv(f"TF_NUM_{kind}_THREADS", raising=False)
    for kind, count in threads.items():
        monkeypatch.setenv(f"TF_NUM_{kind}_THREADS", count)
    assert loop.num_parts() == expected


def test_what_tensorflow_was_told_comes_first(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "4")
    threading = tf.config.threading
    monkeypatch.setattr(
        threading, "get_intra_op_parallelism_threads", lambda: 1
    )
    assert loop.num_parts() == 2
    monkeypatch.setattr(
        threading, "get_inter_op_parallelism_threads", lambda: 1
    )
    assert loop.num_parts() == 1


def test_a_gpu_needs_no_parts(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert loop.num_parts() == 1


@pytest.fixture
def two_parts(monkeypatch):
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: 2)


def make_model(name, r_drop=0.0, **loss):
    model = s2s.models.Seq2Seq(*pairs.pair(name, "float64"))
    model.compile(
        loss=s2s.losses.SequenceLoss(**loss),
        metrics=[s2s.metrics.TokenAccuracy(), s2s.metrics.Perplexity()],
        r_drop=r_drop,
    )
    return model


def make_batch(rows):
    source, target, labels = (ids[:rows] for ids in pairs.sentences())
    return {"source_ids": source, "target_ids": target}, labels


def evaluate(model, batches):
    """The loss, its gradients and the metrics of a training step of each."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], "int32")] * 3,
        autograph=False,
    )
    def step(source, target, labels):
        x = {"source_ids": source, "target_ids": target}
        with tf.GradientTape() as tape:
            ((x, y, weights),) = model.prepare(((x, labels),))
            logits = model(x, training=True)
            loss = model.compute_loss(x, y, logits, weights)
        metrics = model.compute_metrics(x, y, logits, weights)
        return loss, metrics, tape.gradient(loss, model.trainable_variables)

    found = []
    for x, labels in batches:
        results = step(x["source_ids"], x["target_ids"], labels)
        results = tf.nest.map_structure(tf.convert_to_tensor, results)
        found.append(numerics.numpy(results))
        model.reset_metrics()
    return found


# Encoders in parts and not, loops in parts and rows, and one after the other.
@pytest.mark.parametrize(
    "name",
    [
        "default",
        "cho",
        "transformer",
        "rnn over transformer",
        "transformer over rnn",
    ],
)
def test_a_model_learns_the_same_in_parts(name, monkeypatch):
    model = make_model(name)
    batches = [make_batch(rows) for rows in (1, 2, 3)]
    expected = evaluate(model, batches)
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: 2)
    found = evaluate(model, batches)
    numerics.assert_close(found, expected, 1e-10)


def check_a_batch_that_comes_twice(name, monkeypatch):
    batch = make_batch(3)
    model = make_model(name, 1.0)
    weights = model.get_weights()
    expected = model.train_on_batch(*batch)
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: 2)
    again = make_model(name, 1.0)
    again.set_weights(weights)
    found = again.train_on_batch(*batch)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_batch_that_comes_twice_in_parts(monkeypatch):
    check_a_batch_that_comes_twice("cho", monkeypatch)


def test_rows_that_come_twice_in_parts(monkeypatch, eagerly):
    check_a_batch_that_comes_twice("transformer", monkeypatch)


@pytest.mark.parametrize(
    "options, loops",
    [
        ({"bidirectional": True}, 2),
        ({"bidirectional": False}, 2),
        ({"num_layers": 2, "bidirectional_layers": 1}, 6),
    ],
)
def test_directions_have_a_thread_each_or_rows_do(options, loops, two_parts):
    encoder = s2s.layers.RNNEncoder(9, 4, 4, **options)

    @tf.function(autograph=False)
    def encode(ids):
        return encoder(ids, training=True)["outputs"]

    graph = encode.get_concrete_function(tf.ones((3, 5), "int32")).graph
    types = [node.type for node in graph.get_operations()]
    assert sum("While" in name for name in types) == loops


# Of an encoder with two directions, or of one in parts, and of a decoder.
@pytest.mark.parametrize("name", ["default", "cho"])
def test_rows_of_a_recurrent_decoder_have_a_loop_each(name, two_parts):
    model = make_model(name)

    def run(source, target):
        memory = model.encoder(source, training=True)
        return model.decoder.features(target, memory, training=True)

    spec = tf.TensorSpec([None, None], "int32")
    kinds = operations_of(run, spec, spec)
    assert sum("While" in kind for kind in kinds) == 2 + 2


def test_features_that_are_packed_stay_in_parts(two_parts):
    model = make_model("default")

    def run(source, target, real):
        features = model.decoder.features(target, model.encoder(source))
        return output.project(model.decoder, output.pack(features, real))

    spec = tf.TensorSpec([None, None], "int32")
    specs = [spec, spec, tf.TensorSpec([None, None], "bool")]
    graph = tf.function(run, specs, autograph=False).get_concrete_function()
    (logits,) = graph.outputs
    nodes = tf.compat.v1.graph_util.extract_sub_graph(
        graph.graph.as_graph_def(), [logits.op.name]
    ).node
    joined = [
        node.name
        for node in nodes
        if node.op == "ConcatV2" and tensorflow_parts.JOINED in node.name
    ]
    assert len(joined) == 1


@pytest.mark.parametrize("training", [True, False])
def test_rows_of_a_transformer_have_a_thread_each(training, two_parts):
    model = make_model("transformer")

    def run(source, target):
        memory = model.encoder(source, training=training)
        return model.decoder.features(target, memory, training=training)

    spec = tf.TensorSpec([None, None], "int32")
    operations = operations_of(run, spec, spec)
    # Two layers of an encoder, which a search runs, and of a decoder.
    encoders = 2 if training else 1
    assert operations.count("Softmax") == encoders * 2 + 2 * 2 * 2


def test_features_and_weights_of_a_transformer_in_parts(monkeypatch):
    model = make_model("transformer")
    x, _ = make_batch(3)
    memory = model.encoder(x["source_ids"])
    expected = model.decoder.attended_features(x["target_ids"], memory)
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: 2)
    found = model.decoder.attended_features(
        x["target_ids"], model.encoder(x["source_ids"])
    )
    numerics.assert_close(
        numerics.numpy(found), numerics.numpy(expected), 1e-12
    )


def test_a_language_model_in_parts(monkeypatch):
    decoder = s2s.layers.TransformerDecoder(
        9, 8, 8, 1, 2, cross_attention=False, dtype="float64"
    )
    model = s2s.models.LanguageModel(decoder)
    ids = make_batch(3)[0]["target_ids"] % 9
    x = {"target_ids": ids, "resets": np.zeros(3, bool)}
    expected = model(x)
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: 2)
    np.testing.assert_allclose(model(x), expected, atol=1e-12)


def test_chunks_of_logits_stay_the_same_in_parts(monkeypatch):
    model = make_model("default", chunk_size=4)
    x, labels = make_batch(3)
    expected = model.test_on_batch(x, labels)
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: 2)
    model.make_test_function(force=True)
    np.testing.assert_allclose(
        model.test_on_batch(x, labels), expected, rtol=1e-6
    )


def test_what_xla_compiles_has_no_parts(two_parts):
    calls = []

    @tf.function(jit_compile=True)
    def run(rows):
        def function(rows):
            calls.append(rows)
            return 2 * rows

        return recurrence.share_rows(function, rows)

    np.testing.assert_array_equal(run(tf.ones((3, 2))), np.full((3, 2), 2))
    assert len(calls) == 1


def halve(rows, factors):
    return rows * factors / 2


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("in_graph", [False, True])
def test_rows_are_shared_out_in_their_order(count, in_graph, two_parts):
    calls = []

    def function(rows, factors):
        calls.append(rows)
        return halve(rows, factors)

    def run(rows, factors):
        return recurrence.share_rows(function, rows, factors)

    if in_graph:
        spec = tf.TensorSpec([None, 3])
        run = tf.function(run, [spec, spec], autograph=False)
    rows = tf.reshape(tf.range(count * 3, dtype="float32"), (count, 3))
    found = run(rows, rows + 1)
    np.testing.assert_array_equal(found, halve(rows, rows + 1))
    assert len(calls) == 2


def test_nested_rows_are_shared_out(two_parts):
    rows = tf.reshape(tf.range(15.0), (5, 3))
    found = recurrence.share_rows(
        lambda rows: {"twice": 2 * rows, "none": None, "sums": [rows[:, 0]]},
        rows,
    )
    assert found["none"] is None
    np.testing.assert_array_equal(found["twice"], 2 * rows)
    np.testing.assert_array_equal(found["sums"][0], rows[:, 0])


def test_gradients_of_shared_rows(two_parts):
    rows = tf.reshape(tf.range(15.0), (5, 3))
    with tf.GradientTape() as tape:
        tape.watch(rows)
        found = recurrence.share_rows(tf.square, rows)
    np.testing.assert_array_equal(tape.gradient(found, rows), 2 * rows)


def operations_of(run, *specs):
    """Kinds of operations that TensorFlow runs of a function."""
    graph = tf.function(run, specs, autograph=False).get_concrete_function()
    graph = tf.compat.v1.graph_util.extract_sub_graph(
        graph.graph.as_graph_def(), [one.op.name for one in graph.outputs]
    )
    return [node.op for node in graph.node]


def test_what_is_in_parts_is_not_put_together_to_be_shared_out(two_parts):
    def run(rows):
        rows = recurrence.share_rows(tf.exp, rows)
        rows = tf.cast(tf.reshape(rows, (1, -1, 3)), "float64")
        return recurrence.share_rows(tf.sqrt, tf.reshape(rows, (-1, 3)))

    operations = operations_of(run, tf.TensorSpec([None, 3]))
    assert operations.count("Sqrt") == 2
    assert operations.count("ConcatV2") == 1
    rows = tf.reshape(tf.range(15.0), (5, 3))
    np.testing.assert_allclose(run(rows), np.sqrt(np.exp(rows)), rtol=1e-6)


OTHERS = {
    "three parts": lambda x: tf.concat([x, x, x], 0),
    "columns": lambda x: tf.reshape(tf.concat([x, x], 1), (-1, 3)),
    "rows of another size": lambda x: tf.reshape(
        tf.concat([x[:2], x[2:]], 0), (-1, 1)
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_was_put_together_otherwise_is_split(name, two_parts):
    def run(rows):
        return recurrence.share_rows(tf.exp, OTHERS[name](rows))

    operations = operations_of(run, tf.TensorSpec([None, 3]))
    assert operations.count("SplitV") == 1
    rows = tf.reshape(tf.range(15.0), (5, 3))
    graph = tf.function(run, autograph=False)
    expected = np.exp(OTHERS[name](rows))
    np.testing.assert_allclose(graph(rows), expected, rtol=1e-6)
