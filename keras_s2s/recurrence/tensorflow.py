"""The scan on TensorFlow."""

import functools
from typing import Any

import tensorflow as tf

from keras_s2s.recurrence.program import Program


def scan(
    program: Program, length: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """Returns flat outputs `(T, ...)` and the flat last state."""
    sizes = (len(program.state), len(program.sequences))

    @tf.custom_gradient
    def run(*flat):
        state = flat[: sizes[0]]
        sequences = flat[sizes[0] : sum(sizes)]
        constants = flat[sum(sizes) :]
        total = tf.shape(sequences[0])[0]
        steps = total if length is None else tf.minimum(length, total)
        order = _Order(total, steps, reverse)
        outputs, last, states, products = _forward(
            program, order, state, sequences, constants
        )

        def gradient(*upstream):
            return _backward(
                program,
                order,
                (states, products, sequences, constants),
                upstream[: len(outputs)],
                upstream[len(outputs) :],
            )

        return (*outputs, *last), gradient

    flat = (*program.state, *program.sequences, *program.constants)
    results = run(*[tf.convert_to_tensor(tensor) for tensor in flat])
    count = len(results) - sizes[0]
    return list(results[:count]), list(results[count:])


class _Order:
    """The position in time of each step, forward or reversed."""

    def __init__(self, total, steps, reverse):
        self.total = total
        self.steps = steps
        self.reverse = reverse

    def time(self, number):
        return self.steps - 1 - number if self.reverse else number


def _trace(program, state, sequences, constants):
    """Traces a step alone, for the specs of its outputs and products."""
    products = []

    def multiply(number, x, w):
        products.append(tf.matmul(x, w))
        return products[-1]

    def step(state, inputs, constants):
        _, outputs = program.run(multiply, state, inputs, constants)
        return outputs, products

    inputs = [tf.TensorSpec(s.shape[1:], s.dtype) for s in sequences]
    specs = [
        [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
        for tensors in (state, constants)
    ]
    traced = tf.function(step, autograph=False).get_concrete_function(
        specs[0], inputs, specs[1]
    )
    return traced.structured_outputs


def _arrays(specs, size):
    return [
        tf.TensorArray(spec.dtype, size=size, element_shape=spec.shape)
        for spec in specs
    ]


def _forward(program, order, state, sequences, constants):
    outputs, products = _trace(program, state, sequences, constants)

    def body(number, state, arrays):
        time = order.time(number)
        saved = []

        def multiply(count, x, w):
            saved.append(tf.matmul(x, w))
            return saved[-1]

        inputs = [sequence[time] for sequence in sequences]
        new_state, outputs = program.run(multiply, state, inputs, constants)
        for old, new in zip(state, new_state):
            new.set_shape(old.shape)
        written = [
            [a.write(time, value) for a, value in zip(group, values)]
            for group, values in zip(arrays, (outputs, state, saved))
        ]
        return number + 1, new_state, written

    arrays = [
        _arrays(outputs, order.total),
        _arrays(state, order.total),
        _arrays(products, order.total),
    ]
    _, last, arrays = tf.while_loop(
        lambda number, state, arrays: number < order.steps,
        body,
        (tf.constant(0), list(state), arrays),
    )
    outputs, states, products = [
        [array.stack() for array in group] for group in arrays
    ]
    return outputs, last, states, products


def _backward(program, order, saved, output_gradients, state_gradients):
    states, products, sequences, constants = saved
    accumulated = program.accumulated
    # With few rows, a product with a matrix that is transposed beforehand is
    # two to three times as fast as one that transposes it itself.
    transposed = [
        tf.linalg.matrix_transpose(constants[use]) for use in program.uses
    ]

    def body(number, dstate, sums, arrays):
        time = order.time(order.steps - 1 - number)
        gradients = [gradient[time] for gradient in output_gradients]
        x, results = _step_gradients(
            program,
            [tensor[time] for tensor in states],
            [tensor[time] for tensor in sequences],
            constants,
            list(zip([tensor[time] for tensor in products], transposed)),
            [*dstate, *gradients],
        )
        dstate, dinputs, dconstants, dproducts = results
        sums = [total + d for total, d in zip(sums, dconstants)]
        written = [
            [a.write(time, value) for a, value in zip(group, values)]
            for group, values in zip(arrays, (dinputs, x, dproducts))
        ]
        return number + 1, dstate, sums, written

    x_specs = [
        tf.TensorSpec([*y.shape[1:-1], constants[use].shape[-2]], y.dtype)
        for use, y in zip(program.uses, products)
    ]
    float_sequences = [s for s in sequences if s.dtype.is_floating]
    arrays = [
        _arrays([_element(s) for s in float_sequences], order.total),
        _arrays(x_specs, order.total),
        _arrays([_element(p) for p in products], order.total),
    ]
    sums = [tf.zeros_like(constants[index]) for index in accumulated]
    _, dstate, sums, arrays = tf.while_loop(
        lambda number, *rest: number < order.steps,
        body,
        (tf.constant(0), list(state_gradients), sums, arrays),
    )
    dinputs, x, dproducts = [
        [array.stack() for array in group] for group in arrays
    ]
    dconstants = dict(zip(accumulated, sums))
    multiply = functools.partial(tf.matmul, transpose_a=True)
    gradients = program.weight_gradients(x, dproducts, multiply)
    for index, value in gradients.items():
        dconstants[index] = dconstants.get(index, 0) + value
    rest = iter(dinputs)
    return [
        *dstate,
        *[next(rest) if s.dtype.is_floating else None for s in sequences],
        *[dconstants.get(index) for index in range(len(constants))],
    ]


def _element(tensor):
    return tf.TensorSpec(tensor.shape[1:], tensor.dtype)


def _step_gradients(program, state, inputs, constants, products, upstream):
    """Runs one step again, its products known, and differentiates it."""
    x, y = [], []
    float_inputs = [tensor for tensor in inputs if tensor.dtype.is_floating]
    summed = [constants[index] for index in program.accumulated]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([*state, *float_inputs, *summed])

        def multiply(number, product_inputs, weights):
            x.append(product_inputs)
            y.append(_replay(product_inputs, *products[number]))
            tape.watch(y[-1])
            return y[-1]

        new_state, outputs = program.run(multiply, state, inputs, constants)
    groups = [list(state), float_inputs, summed, y]
    gradients = tape.gradient(
        [*new_state, *outputs],
        groups,
        output_gradients=upstream,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    # What `take` hands back is sparse.
    gradients = [
        [tf.convert_to_tensor(value) for value in values]
        for values in gradients
    ]
    for group, values in zip(groups, gradients):
        for tensor, value in zip(group, values):
            value.set_shape(tensor.shape)
    return x, gradients


def _replay(x, y, transposed_weights):
    @tf.custom_gradient
    def replay(x):
        def gradient(dy):
            return tf.matmul(dy, transposed_weights)

        return tf.identity(y), gradient

    return replay(x)
