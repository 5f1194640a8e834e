"""Rows of a vocabulary: values beside NumPy, in a graph and compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.layers.dense import Dense
from keras_s2s.layers.readout import OutputLayer
from keras_s2s.recurrence import add_at
from keras_s2s.recurrence import project_rows
from keras_s2s.recurrence import sum_exponentials

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(5, 7)).astype("float32")
COLUMNS = np.array([[0], [6], [3], [3], [1]], "int32")
UPDATES = RANDOM.normal(size=(5, 1)).astype("float32")


def check_an_update_is_added(function):
    expected = VALUES.copy()
    expected[np.arange(5), COLUMNS[:, 0]] += UPDATES[:, 0]
    found, doubled = function(VALUES / 2, COLUMNS, UPDATES)
    np.testing.assert_array_equal(found, expected)
    # Who else reads the values sees no update.
    np.testing.assert_array_equal(doubled, VALUES)


def add(halves, columns, updates):
    values = halves + halves
    return add_at(values, columns, updates), values


def test_an_update_is_added():
    check_an_update_is_added(
        lambda *tensors: add(*map(keras.ops.convert_to_tensor, tensors))
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_an_update_is_added_in_a_graph(compiled):
    specs = [
        tf.TensorSpec((None, 7), "float32"),
        tf.TensorSpec((None, 1), "int32"),
        tf.TensorSpec((None, 1), "float32"),
    ]
    check_an_update_is_added(
        tf.function(add, input_signature=specs, jit_compile=compiled)
    )


def test_no_rows_have_no_update():
    found = add_at(
        tf.zeros((0, 7)), tf.zeros((0, 1), "int32"), tf.zeros((0, 1))
    )
    assert found.shape == (0, 7)


@pytest.mark.parametrize("compiled", [False, True])
def test_exponentials_are_summed(compiled):
    function = tf.function(sum_exponentials, jit_compile=compiled)
    found = function(VALUES, VALUES.max(1, keepdims=True))
    expected = np.exp(VALUES - VALUES.max(1, keepdims=True)).sum(1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", ["eager", "graph", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_are_projected(transposed, kind, dtype):
    # Numbers that bfloat16 has, as it has their products and sums.
    random = np.random.default_rng(0)
    rows, kernel, bias, weighing = (
        random.integers(-4, 5, size=shape).astype("float32")
        for shape in ((5, 3), (3, 4), (4,), (5, 4))
    )

    def run(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            found = project_rows(*tensors, transposed)
            total = tf.reduce_sum(found * tf.cast(weighing, dtype))
        return found, *tape.gradient(total, tensors)

    if kind != "eager":
        run = tf.function(run, jit_compile=kind == "compiled")
    weights = kernel.T if transposed else kernel
    found = run(*(tf.constant(one, dtype) for one in (rows, weights, bias)))
    by_kernel = rows.T @ weighing
    expected = [
        rows @ kernel + bias,
        weighing @ kernel.T,
        by_kernel.T if transposed else by_kernel,
        weighing.sum(0),
    ]
    for one, other in zip(found, expected):
        assert one.dtype == dtype
        np.testing.assert_array_equal(tf.cast(one, "float32"), other)


def graph_of(dtype):
    """Of a product with a bias, and of the gradients of its kernel and rows."""

    def run(rows, kernel, bias):
        with tf.GradientTape() as tape:
            tape.watch([rows, kernel])
            total = tf.reduce_sum(project_rows(rows, kernel, bias))
        return tape.gradient(total, [rows, kernel])

    shapes = ((None, 7), (7, 4), (4,))
    specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
    return tf.function(run, specs, autograph=False).get_concrete_function()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_kernel_waits_for_the_gradient_of_its_inputs(dtype):
    before, behind = [one.op for one in graph_of(dtype).outputs]
    while behind.type in ("Identity", "SplitV"):
        behind = behind.inputs[0].op
    while before.type == "Identity":
        before = before.inputs[0].op
    assert behind.type == before.type == "MatMul"
    assert before in behind.control_inputs


def operations_of(function):
    return {one.type for one in function.graph.get_operations()}


def adds_a_bias(dtype):
    return "BiasAdd" in operations_of(graph_of(dtype))


def test_a_bias_is_part_of_a_product_in_bfloat16(monkeypatch):
    assert adds_a_bias("float32") and not adds_a_bias("bfloat16")
    # A GPU wants sizes that are multiples of 8.
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert adds_a_bias("bfloat16")


@pytest.mark.parametrize("kind", [Dense, OutputLayer])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_projects_its_rows(kind, dtype):
    layer = kind(4, dtype=dtype)
    layer.build((None, 7))

    def run(rows):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(rows))
        return tape.gradient(total, [one.value for one in layer.weights])

    specs = [tf.TensorSpec((None, 7), dtype)]
    found = tf.function(run, specs, autograph=False).get_concrete_function()
    adds = {"AddV2", "BiasAdd", "BiasAddGrad"} & operations_of(found)
    if dtype == "float32":
        assert adds == {"BiasAdd", "BiasAddGrad"}
    else:
        assert not adds
