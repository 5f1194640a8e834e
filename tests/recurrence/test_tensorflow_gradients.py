"""A step's gradients on TensorFlow are autodiff's, in fewer operations."""

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.recurrence.tensorflow_gradients import differentiate

# What is put together, with sizes that a graph does not know as None.
SHAPES = [
    ((None, 3), (None, 3)),
    ((None, 3), (3,)),
    ((3,), (None, 3)),
    ((None, 3), (None, 1)),
    ((None, 1), (1, 3)),
    ((None, 3), ()),
    ((None, 1, 3), (3,)),
    ((1, 3), (3,)),
    ((None, None), (None, None)),
    ((None, None, 3), (None, 1, 3)),
    ((None, 3), (4, None, 3)),
    ((None, 3), (5, 3)),
    ((5, 3), (5, 3)),
    ((1,), ()),
    ((1, 3), (0, 3)),
    ((None,), (None,)),
]
OPERATIONS = [tf.add, tf.subtract, tf.multiply]


def draw(shape, seed, second=2):
    """Numbers for a shape: 5 rows, and `second` along other axes."""
    sizes = [5 if axis == 0 else second for axis in range(len(shape))]
    sizes = [
        size if known is None else known for known, size in zip(shape, sizes)
    ]
    if len(shape) == 3 and shape[0] == 4:
        sizes[1] = 5
    return np.random.default_rng(seed).normal(size=sizes)


def put_together(operation, tensors):
    x, y = tensors
    middle = operation(tf.tanh(x), y)
    return [middle * 0.5 - x, operation(y, middle)], [middle]


def gradients_in_a_graph(operation, shapes, values):
    """What `differentiate` finds where sizes are unknown, and its graph."""

    def run(*inputs):
        upstream = [tf.cos(t) for t in put_together(operation, inputs)[0]]
        return differentiate(
            lambda tensors: put_together(operation, tensors),
            list(inputs),
            upstream,
        )

    specs = [tf.TensorSpec(shape, "float64") for shape in shapes]
    function = tf.function(run, input_signature=specs, autograph=False)
    return function(*values), function.get_concrete_function().graph


def autodiff(operation, values):
    inputs = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, between = put_together(operation, inputs)
    upstream = [tf.cos(output) for output in outputs]
    return tape.gradient(outputs, [*inputs, *between], upstream)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_gradients_are_those_of_autodiff(operation, shapes):
    values = [draw(shape, seed) for seed, shape in enumerate(shapes)]
    expected = autodiff(operation, values)
    found, _ = gradients_in_a_graph(operation, shapes, values)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_that_turns_out_to_be_repeated_is_summed(operation):
    """Along an axis other than rows, nothing is taken for granted."""
    shapes = (None, None), (None, None)
    values = [draw(shapes[0], 0, second=4), draw(shapes[1], 1, second=1)]
    found, _ = gradients_in_a_graph(operation, shapes, values)
    for one, other in zip(found, autodiff(operation, values), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_rows_are_not_compared(operation):
    shapes = (None, 3), (None, 3)
    values = [draw(shape, 0) for shape in shapes]
    _, graph = gradients_in_a_graph(operation, shapes, values)
    types = {node.type for node in graph.get_operations()}
    assert "Mul" in types
    assert "BroadcastGradientArgs" not in types


def test_what_has_size_one_is_summed_only_where_it_was_repeated():
    shapes = (None, 1, 3), (3,)
    values = [draw(shape, seed) for seed, shape in enumerate(shapes)]
    _, graph = gradients_in_a_graph(tf.add, shapes, values)
    summed = [
        tf.get_static_value(node.inputs[1]).tolist()
        for node in graph.get_operations()
        if node.type == "Sum"
    ]
    assert [0, 1] in summed and [1] not in summed
    assert "Shape" not in {node.type for node in graph.get_operations()}


RESHAPED = {
    "reshape": lambda x: tf.reshape(tf.tanh(x), [-1, 6]),
    "expand_dims": lambda x: tf.expand_dims(tf.tanh(x), 1),
    "squeeze": lambda x: tf.squeeze(tf.expand_dims(tf.tanh(x), 1), 1),
    "concat": lambda x: tf.concat([x, tf.tanh(x)], -1),
    "concat of rows": lambda x: tf.concat([x, tf.tanh(x)[:2]], 0),
}
# What a graph knows of (4, 2, 3), or of nothing with those sizes.
KNOWN = [(None, 2, 3), (None, None, 3), (4, 2, 3), None]


def reshaped_gradients(kind, x, specs):
    def run(x):
        upstream = [tf.cos(tf.sin(RESHAPED[kind](x)))]

        def step(inputs):
            between = RESHAPED[kind](inputs[0])
            return [tf.sin(between)], [between]

        return differentiate(step, [x], upstream)

    function = tf.function(run, input_signature=[specs], autograph=False)
    return function(x), function.get_concrete_function().graph


@pytest.mark.parametrize("rows", [4, 0])
@pytest.mark.parametrize("known", KNOWN, ids=str)
@pytest.mark.parametrize("kind", RESHAPED)
def test_what_was_reshaped_or_joined_gets_its_gradient(kind, known, rows):
    if rows == 0 and known == (4, 2, 3):
        known = (0, 2, 3)
    x = tf.constant(np.random.default_rng(0).normal(size=(rows, 2, 3)))
    found, _ = reshaped_gradients(kind, x, tf.TensorSpec(known, x.dtype))
    with tf.GradientTape() as tape:
        tape.watch(x)
        between = RESHAPED[kind](x)
        tape.watch(between)
        output = tf.sin(between)
    expected = tape.gradient(output, [x, between], tf.cos(output))
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("kind", [k for k in RESHAPED if "rows" not in k])
def test_nobody_is_asked_for_a_shape_that_is_known(kind):
    x = tf.zeros([4, 2, 3], "float64")
    spec = tf.TensorSpec([None, 2, 3], x.dtype)
    _, graph = reshaped_gradients(kind, x, spec)
    types = {node.type for node in graph.get_operations()}
    assert not types & {"Shape", "ShapeN", "ConcatOffset", "Slice"}


def test_gradients_stop_where_they_are_told_to():
    """What the inputs come from, outside of a loop, is none of a step's."""
    start = tf.constant(np.random.default_rng(0).normal(size=(5, 3)))

    @tf.function(autograph=False)
    def run(start):
        def body(number, total):
            found = differentiate(
                lambda tensors: ([tensors[0] * tensors[1]], []),
                [start * 2.0, start],
                [tf.ones_like(start)],
            )
            return number + 1, total + found[1]

        zeros = tf.zeros_like(start)
        return tf.while_loop(lambda n, _: n < 3, body, (0, zeros))[1]

    np.testing.assert_allclose(run(start), 6.0 * start, rtol=1e-12)
