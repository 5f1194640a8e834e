"""Rows that come twice, on TensorFlow: their halves, and R-Drop of them."""

import numpy as np
import pytest
import tensorflow as tf

import keras_s2s as s2s
from keras_s2s import recurrence
from keras_s2s.losses import SequenceLoss
from keras_s2s.models.objectives import Objectives
from keras_s2s.recurrence import tensorflow_parts
from tests import pairs

ROWS = np.arange(12.0, dtype="float32").reshape(4, 3)


@pytest.fixture(params=[1, 2])
def num_parts(request, monkeypatch):
    monkeypatch.setattr(tensorflow_parts, "num_parts", lambda: request.param)
    return request.param


def squares(rows):
    return tf.reshape(recurrence.share_rows(tf.square, rows), (1, -1, 3))


def halves(rows):
    return tuple(recurrence.halve_rows(tf.reshape(rows, (-1, 3))))


@pytest.mark.parametrize("make", [tf.identity, squares])
@pytest.mark.parametrize("in_graph", [False, True])
def test_rows_are_halved(make, in_graph, num_parts):
    def run(rows):
        return halves(make(rows))

    found = tf.function(run)(ROWS) if in_graph else run(ROWS)
    expected = np.reshape(make(ROWS), (2, 2, 3))
    np.testing.assert_array_equal(found, expected)


def joined(function, *specs):
    """What TensorFlow puts together for a function, by the shapes of it."""
    graph = tf.function(function, specs, autograph=False)
    graph = graph.get_concrete_function()
    names = [one.op.name for one in graph.outputs if one is not None]
    definition = graph.graph.as_graph_def()
    nodes = tf.compat.v1.graph_util.extract_sub_graph(definition, names).node
    return [
        graph.graph.get_tensor_by_name(f"{node.name}:0").shape
        for node in nodes
        if node.op == "ConcatV2" and tensorflow_parts.JOINED in node.name
    ]


def test_halves_made_side_by_side_are_not_put_together(num_parts):
    spec = tf.TensorSpec([None, 3])
    assert not joined(lambda rows: halves(squares(rows)), spec)


def test_logits_that_come_twice_are_not_put_together(num_parts):
    """Neither for the loss nor for R-Drop, nor for what is cast for both."""
    policy = {"dtype": "mixed_bfloat16"}
    encoder, decoder = pairs.build(*pairs.make_layers("transformer", **policy))
    model = s2s.models.Seq2Seq(encoder, decoder)
    model.compile("sgd", SequenceLoss(), r_drop=1.0)

    def run(source, target, labels):
        x = {"source_ids": source, "target_ids": target}
        ((x, y, weights),) = model.prepare(((x, labels),))
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = model.compute_loss(x, y, logits, weights)
        return loss, tape.gradient(loss, model.trainable_variables)

    spec = tf.TensorSpec([None, None], "int32")
    size = decoder.vocabulary_size
    assert all(shape[-1] != size for shape in joined(run, spec, spec, spec))


def test_a_divergence_is_the_same_of_parts(num_parts):
    objectives = Objectives(None, SequenceLoss(), None, 2.0, 0.0)
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, 2, 7)).astype("float32")
    labels = np.array([[5, 3], [4, 6], [3, 0]] * 2, "int32")

    @tf.function
    def run(logits):
        wide = objectives.widen(recurrence.share_rows(tf.identity, logits))
        return wide, objectives.divergence(labels, wide, None)

    wide, found = run(tf.constant(logits))
    np.testing.assert_array_equal(wide, logits)
    expected = objectives.divergence(labels, logits, None)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
