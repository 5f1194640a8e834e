"""The scan against a plain loop over its step, forward and backward."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s.layers.cells import GRUCell
from keras_s2s.layers.cells import LSTMCell
from keras_s2s.recurrence import linear
from keras_s2s.recurrence import scan
from keras_s2s.recurrence import softmax

T, B, D, U = 4, 3, 2, 3
tree = keras.tree


def numbers(*shape, seed=0):
    random = np.random.default_rng([seed, *shape])
    return tf.constant(random.normal(size=shape), "float64")


def variable(*shape, seed=9):
    return keras.Variable(numbers(*shape, seed=seed), dtype="float64")


def plain(step, state, sequences, constants, length, reverse):
    """Runs `step` in a Python loop; what it skips is 0."""
    total = tree.flatten(sequences)[0].shape[0]
    steps = range(total if length is None else min(length, total))
    outputs = [None] * total
    for time in reversed(steps) if reverse else steps:
        inputs = tree.map_structure(lambda s, t=time: s[t], sequences)
        state, outputs[time] = step(state, inputs, constants)
    ran = next(o for o in outputs if o is not None)
    zeros = tree.map_structure(tf.zeros_like, ran)
    outputs = [zeros if o is None else o for o in outputs]
    return tree.map_structure(lambda *o: tf.stack(o), *outputs), state


def is_float(tensor):
    return tensor.dtype.is_floating


def weighted_sum(tensor, n):
    """Weighs each value in its own way: one in a wrong place shows."""
    places = tf.range(tf.size(tensor)) + 100 * n
    return tf.reduce_sum(
        tf.reshape(tensor, [-1]) * tf.sin(tf.cast(places, tensor.dtype))
    )


def results_and_gradients(run, state, sequences, constants, variables):
    """Returns the results of a run and the gradients of one sum of them."""
    leaves = tree.flatten((state, sequences, constants))
    watched = [leaf for leaf in leaves if is_float(leaf)]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        results = tree.flatten(run(state, sequences, constants))
        loss = tf.add_n([weighted_sum(r, n) for n, r in enumerate(results)])
    sources = [*watched, *[v.value for v in variables]]
    gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
    return results, [tf.convert_to_tensor(gradient) for gradient in gradients]


def check_scan(
    step,
    state,
    sequences,
    constants=(),
    deferred=lambda constants: [],
    variables=(),
    length=None,
    reverse=False,
):
    """Holds `scan` equal to a plain loop, eagerly and in a graph."""

    def fast(state, sequences, constants):
        return scan(
            step,
            state,
            sequences,
            constants,
            deferred(constants),
            variables,
            length,
            reverse,
        )

    def slow(state, sequences, constants):
        return plain(step, state, sequences, constants, length, reverse)

    def run(loop):
        return results_and_gradients(
            loop, state, sequences, constants, variables
        )

    expected = tree.flatten(run(slow))
    for found in (run(fast), tf.function(lambda: run(fast), autograph=False)()):
        for one, other in zip(tree.flatten(found), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)
    return expected


def test_a_scan_equals_a_loop_by_hand():
    def step(state, inputs, constants):
        return [state[0] * constants + inputs], {"twice": 2 * state[0]}

    inputs = tf.constant([[1.0], [2.0], [3.0]])
    outputs, state = scan(step, [tf.constant([1.0])], inputs, tf.constant(2.0))
    # States 1, 2 + 1, 6 + 2, 16 + 3.
    assert outputs["twice"].numpy().tolist() == [[2.0], [6.0], [16.0]]
    assert state[0].numpy().tolist() == [19.0]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [None, 1, 3, 9])
@pytest.mark.parametrize("kind", [LSTMCell, GRUCell])
def test_a_cell_has_the_gradient_of_a_loop(kind, length, reverse):
    cell = kind(U, dtype="float64")
    cell.build((None, D))
    lengths = tf.constant([4, 1, 2])
    mask = tf.range(T)[:, None] < lengths[None]

    def step(state, inputs, constants):
        new = cell.advance(inputs["projected"], state)
        new = [
            tf.where(inputs["mask"], one, other)
            for one, other in zip(new, state)
        ]
        return new, new[0]

    check_scan(
        step,
        [numbers(B, U, seed=n) for n in range(kind.num_states)],
        {
            "projected": numbers(T, B, kind.num_gates * U),
            "mask": mask[..., None],
        },
        variables=cell.variables,
        length=length,
        reverse=reverse,
    )


def test_one_weight_may_serve_two_products_of_a_step():
    kernel = variable(U, U)

    def step(state, inputs, constants):
        h = ops.tanh(linear(state, kernel) + linear(inputs, kernel))
        return h, linear(h, kernel)

    check_scan(
        step, numbers(B, U), numbers(T, B, U, seed=1), (), variables=[kernel]
    )


def test_a_weight_may_serve_a_product_and_something_else():
    kernel = variable(U, U)

    def step(state, inputs, constants):
        h = ops.tanh(linear(state, kernel) * ops.sum(kernel) + inputs)
        return h, h * ops.cast(kernel[0], "float64")

    check_scan(
        step, numbers(B, U), numbers(T, B, U, seed=1), (), variables=[kernel]
    )


def test_a_weight_that_only_makes_another_weight_has_its_gradient():
    kernel, scale = variable(U, U), variable(U)

    def step(state, inputs, constants):
        return ops.tanh(linear(state, kernel * scale) + inputs), state

    check_scan(
        step,
        numbers(B, U),
        numbers(T, B, U, seed=1),
        variables=[kernel, scale],
    )


@pytest.mark.parametrize("is_deferred", [False, True])
def test_a_constant_may_be_a_weight_for_each_row(is_deferred):
    def step(state, inputs, constants):
        scores = linear(state, constants["keys"])
        return ops.tanh(linear(scores, constants["value"]) + inputs), scores

    constants = {"keys": numbers(B, U, 5), "value": numbers(B, 5, U)}
    check_scan(
        step,
        numbers(B, 1, U),
        numbers(T, B, 1, U),
        constants,
        deferred=lambda c: list(c.values()) if is_deferred else [],
    )


def test_an_undeclared_constant_may_be_used_in_two_ways():
    def step(state, inputs, constants):
        h = ops.tanh(linear(state, constants) * constants[:, :1] + inputs)
        return h, h

    check_scan(step, numbers(B, 1, U), numbers(T, B, 1, U), numbers(B, U, U))


def test_one_tensor_may_be_two_constants():
    shared = numbers(B, U, U)

    def step(state, inputs, constants):
        h = ops.tanh(linear(state, constants["a"]) + inputs)
        return h, linear(h, constants["b"])

    def run(both):
        def fast(state, sequences, weights):
            constants = {"a": weights, "b": weights}
            deferred = [weights] if both else []
            return scan(step, state, sequences, constants, deferred)

        return results_and_gradients(
            fast, numbers(B, 1, U), numbers(T, B, 1, U), shared, []
        )

    def slow(state, sequences, weights):
        constants = {"a": weights, "b": weights}
        return plain(step, state, sequences, constants, None, False)

    expected = results_and_gradients(
        slow, numbers(B, 1, U), numbers(T, B, 1, U), shared, []
    )
    for both in (False, True):
        for one, other in zip(tree.flatten(run(both)), tree.flatten(expected)):
            np.testing.assert_allclose(one, other, rtol=1e-9)


def test_integers_masks_and_nested_structures_pass_through():
    table = variable(7, U)

    def step(state, inputs, constants):
        token = ops.take(table, inputs["ids"], axis=0)
        h = ops.where(inputs["mask"], ops.tanh(state["h"] + token), state["h"])
        n = state["more"][0] + constants["flag"][0] * 0.5
        return {"h": h, "more": (n,)}, (h, {"n": n * h})

    check_scan(
        step,
        {"h": numbers(B, U), "more": (numbers(B, 1),)},
        {
            "ids": tf.constant([[1, 2, 3], [6, 0, 0], [1, 1, 1], [2, 0, 4]]),
            "mask": tf.constant([[[True]] * 3, [[False]] * 3] * 2),
        },
        {"flag": [numbers(B, 1, seed=4)], "unused": tf.constant([3, 4])},
        variables=[table],
    )


def test_a_part_that_nothing_depends_on_has_gradient_zero():
    unused = variable(U)

    def step(state, inputs, constants):
        return [state[0], state[1] * 0 + 1.0], state[1] + inputs * 0

    *_, gradient = check_scan(
        step,
        [numbers(B, U), numbers(B, U, seed=2)],
        numbers(T, B, U),
        numbers(U),
        variables=[unused],
    )
    assert not np.any(gradient)


def test_layers_inside_a_step_keep_their_gradients():
    dense = keras.layers.Dense(U, activation="tanh", dtype="float64")
    norm = keras.layers.LayerNormalization(dtype="float64")
    dense.build((None, U))
    norm.build((None, U))

    def step(state, inputs, constants):
        h = norm(dense(state) + inputs)
        return h, dense(h)

    check_scan(
        step,
        numbers(B, U),
        numbers(T, B, U, seed=1),
        variables=[*dense.variables, *norm.variables],
    )


def test_frozen_weights_change_no_other_gradient():
    cell = GRUCell(U, dtype="float64")
    cell.build((None, D))
    cell.trainable = False

    def step(state, inputs, constants):
        new = cell.advance(inputs, state)
        return new, new[0]

    check_scan(
        step,
        [numbers(B, U)],
        numbers(T, B, 3 * U),
        variables=cell.variables,
    )


def test_a_softmax_that_is_kept_has_the_gradient_of_one_that_is_not():
    """None where nothing is True, as the mask stands before the softmax."""
    mask = tf.constant([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]) > 0

    def step(state, inputs, mask):
        weights = softmax(state * inputs, mask, -1e9)
        return state + weights, weights

    state, inputs = numbers(B, 4), numbers(T, B, 4, seed=1)
    check_scan(step, state, inputs, constants=mask)


@pytest.mark.parametrize("shape", [(3, 1), (0, 1), (3, 2, 1), (3, 0), (0, 0)])
@pytest.mark.parametrize("num_known", [0, 1, 2])
def test_a_product_has_the_leading_axes_of_its_input(shape, num_known):
    kernel = variable(U, 2)
    num_open = len(shape) - num_known
    known = [None] * num_open + list(shape)[num_open:]

    @tf.function(
        input_signature=[tf.TensorSpec([*known, U], "float64")],
        autograph=False,
    )
    def multiply(x):
        return linear(x, kernel)

    x = numbers(*shape, U)
    expected = np.tensordot(x, kernel.numpy(), 1)
    np.testing.assert_allclose(multiply(x), expected, rtol=1e-12)
    graph = multiply.get_concrete_function().graph
    asks = "Shape" in {node.type for node in graph.get_operations()}
    assert asks == (known.count(None) > 1 or (None in known and 0 in known))


def test_a_scan_may_run_inside_the_step_of_another():
    kernel = variable(U, U)

    def inner(state, inputs, constants):
        return ops.tanh(linear(state, kernel) + inputs), state

    def step(loop):
        def step(state, inputs, constants):
            outputs, state = loop(state, inputs)
            return state, outputs

        return step

    def fast(state, inputs):
        return scan(inner, state, inputs, variables=[kernel])

    def slow(state, inputs):
        return plain(inner, state, inputs, (), None, False)

    arguments = (numbers(B, U), numbers(T, 2, B, U), ())
    expected = results_and_gradients(
        lambda *a: plain(step(slow), *a, None, False), *arguments, [kernel]
    )
    found = results_and_gradients(
        lambda *a: scan(step(fast), *a, variables=[kernel]),
        *arguments,
        [kernel],
    )
    for one, other in zip(tree.flatten(found), tree.flatten(expected)):
        np.testing.assert_allclose(one, other, rtol=1e-9)
