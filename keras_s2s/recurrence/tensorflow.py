"""The scan on TensorFlow."""

import functools
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record

from keras_s2s.recurrence import tensorflow_gradients
from keras_s2s.recurrence import tensorflow_softmax
from keras_s2s.recurrence.program import Program
from keras_s2s.recurrence.tensorflow_series import Series
from keras_s2s.recurrence.tensorflow_steps import CarryingSteps
from keras_s2s.recurrence.tensorflow_steps import PackedSteps
from keras_s2s.recurrence.tensorflow_steps import Steps

# Activations whose gradient of their first input follows from their result and
# from the other inputs, which have none.
ACTIVATIONS = {
    "sigmoid": (tf.sigmoid, lambda y, dy: tf.raw_ops.SigmoidGrad(y=y, dy=dy)),
    "softmax": (tensorflow_softmax.softmax, tensorflow_softmax.gradient),
    "tanh": (tf.tanh, lambda y, dy: tf.raw_ops.TanhGrad(y=y, dy=dy)),
}


def scan(
    program: Program, length: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """Returns flat outputs `(T, ...)` and the flat last state."""
    total = tf.shape(program.sequences[0])[0]
    steps = total if length is None else tf.minimum(length, total)
    return _run(program, Steps(total, steps, reverse))


def scan_packed(
    program: Program, sizes: Any, counts: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """As `scan`, with outputs `(sum(sizes), ...)`."""
    if counts is None:
        return _run(program, PackedSteps(sizes, reverse))
    return _run(program, CarryingSteps(sizes, counts, reverse))


def _run(program, walk):
    counts = (len(program.state), len(program.sequences))
    flat = (*program.state, *program.sequences, *program.constants)
    flat = [tf.convert_to_tensor(tensor) for tensor in flat]

    def forward(flat, keeps):
        state = flat[: counts[0]]
        sequences = flat[counts[0] : sum(counts)]
        constants = flat[sum(counts) :]
        return _forward(program, walk, state, sequences, constants, keeps)

    # Without a tape nothing is kept. Should such a graph be differentiated
    # later, TensorFlow does so by itself, more slowly; and a SavedModel could
    # not hold a gradient that reads what `_forward` kept.
    if not record.could_possibly_record():
        outputs, last, _ = forward(flat, keeps=False)
        return outputs, last

    @tf.custom_gradient
    def run(*flat):
        outputs, last, kept = forward(flat, keeps=True)

        def gradient(*upstream):
            return _backward(
                program,
                walk,
                (kept, flat[counts[0] : sum(counts)], flat[sum(counts) :]),
                upstream[: len(outputs)],
                upstream[len(outputs) :],
            )

        return (*outputs, *last), gradient

    results = run(*flat)
    count = len(results) - counts[0]
    return list(results[:count]), list(results[count:])


class _Record:
    """The products and activations of a step, while it runs forward."""

    def __init__(self):
        self.inputs = []
        self.products = []
        self.activations = []

    def multiply(self, number, x, w):
        self.inputs.append(x)
        self.products.append(tf.matmul(x, w))
        return self.products[-1]

    def activate(self, name, *inputs):
        self.activations.append(ACTIVATIONS[name][0](*inputs))
        return self.activations[-1]

    @property
    def groups(self):
        return [self.inputs, self.products, self.activations]


def _find_specs(program, walk, state, sequences, constants):
    """Returns the specs of the outputs of a step, and of its record."""

    def step(state, inputs, constants):
        kept = _Record()
        _, outputs = program.run(
            kept.multiply, state, inputs, constants, kept.activate
        )
        return outputs, *kept.groups

    if tf.executing_eagerly() and walk.steps > 0:
        # To run a step once more takes a fraction of tracing it.
        first = walk.time(0)
        results = step(
            [walk.cut_rows(tensor, first) for tensor in state],
            [walk.cut(tensor, first) for tensor in sequences],
            _cut_constants(program, walk, constants, first),
        )
        return tf.nest.map_structure(walk.step_spec, results)
    traced = tf.function(step, autograph=False).get_concrete_function(
        [walk.rows_spec(tensor) for tensor in state],
        [walk.spec(tensor) for tensor in sequences],
        [
            walk.rows_spec(tensor)
            if index < program.first_variable
            else tf.TensorSpec(tensor.shape, tensor.dtype)
            for index, tensor in enumerate(constants)
        ],
    )
    return traced.structured_outputs


def _cut_constants(program, walk, constants, time):
    """What a step sees of the constants: of those with rows, its own."""
    first = program.first_variable
    rows = [walk.cut_rows(tensor, time) for tensor in constants[:first]]
    return [*rows, *constants[first:]]


def _forward(program, walk, state, sequences, constants, keeps):
    """Returns outputs, last state and, for `_backward`, a `Series` and arrays
    of the states before each step and of what it did with them."""
    outputs, *records = _find_specs(program, walk, state, sequences, constants)
    states = [walk.rows_spec(tensor) for tensor in state]
    series = Series(walk, [outputs, states, *records] if keeps else [outputs])

    def body(number, state, arrays):
        time = walk.time(number)
        kept = _Record()
        before = [walk.cut_rows(tensor, time) for tensor in state]
        after, outputs = program.run(
            kept.multiply,
            before,
            [walk.cut(sequence, time) for sequence in sequences],
            _cut_constants(program, walk, constants, time),
            kept.activate,
        )
        state = [
            walk.put_rows(new, old, time) for new, old in zip(after, state)
        ]
        groups = [outputs, before, *kept.groups] if keeps else [outputs]
        return number + 1, state, series.write(arrays, time, groups)

    _, last, arrays = tf.while_loop(
        lambda number, state, arrays: number < walk.steps,
        body,
        (
            tf.constant(0),
            [walk.start(tensor) for tensor in state],
            series.start(),
        ),
    )
    return series.join(arrays, 0), last, (series, arrays)


def _backward(program, walk, saved, output_gradients, state_gradients):
    (kept, kept_arrays), sequences, constants = saved
    y_specs = kept.groups[3]
    accumulated = program.accumulated
    # With few rows, a product with a matrix that is transposed beforehand is
    # two to three times as fast as one that transposes it itself. Not before
    # it is needed: while a model runs forward, there is something to wait for.
    with tf.control_dependencies(
        [one for one in output_gradients if one is not None]
    ):
        transposed = {
            use: tf.linalg.matrix_transpose(constants[use])
            for use in program.uses
        }

    def add(index, total, d, time):
        if index < program.first_variable:
            return walk.add(total, d, time)
        return total + d

    def body(number, dstate, sums, arrays):
        time = walk.time(walk.steps - 1 - number)
        weights = {
            use: tensor
            if use >= program.first_variable
            else walk.cut_rows(tensor, time)
            for use, tensor in transposed.items()
        }
        _, before, _, results, activations = kept.read(kept_arrays, time)
        upstream = [walk.cut_gradients(tensor, time) for tensor in dstate]
        upstream += [walk.cut(tensor, time) for tensor in output_gradients]
        gradients = _step_gradients(
            program,
            before,
            [walk.cut(tensor, time) for tensor in sequences],
            _cut_constants(program, walk, constants, time),
            [(y, weights[use]) for y, use in zip(results, program.uses)],
            activations,
            upstream,
        )
        dbefore, dinputs, dconstants, dproducts = gradients
        dstate = [
            walk.put_gradients(new, old, time)
            for new, old in zip(dbefore, dstate)
        ]
        sums = [
            add(index, total, d, time)
            for index, total, d in zip(accumulated, sums, dconstants)
        ]
        arrays = series.write(arrays, time, [dinputs, dproducts])
        return number + 1, dstate, sums, arrays

    float_sequences = [s for s in sequences if s.dtype.is_floating]
    series = Series(walk, [[walk.spec(s) for s in float_sequences], y_specs])
    rows = {index for index in accumulated if index < program.first_variable}
    sums = [
        walk.start(walk.zeros(constants[index]))
        if index in rows
        else tf.zeros_like(constants[index])
        for index in accumulated
    ]
    _, dstate, sums, arrays = tf.while_loop(
        lambda number, *rest: number < walk.steps,
        body,
        (
            tf.constant(0),
            [walk.start(tensor) for tensor in state_gradients],
            sums,
            series.start(),
        ),
    )
    dinputs, dproducts = [series.join(arrays, group) for group in (0, 1)]
    x = kept.join(kept_arrays, 2)
    dstate = [
        walk.complete(d, tensor) for d, tensor in zip(dstate, program.state)
    ]
    dconstants = {
        index: walk.complete(total, constants[index])
        if index in rows
        else total
        for index, total in zip(accumulated, sums)
    }
    for number, use in enumerate(program.uses):
        if len(constants[use].shape) == 3:
            x[number] = walk.spread(x[number], constants[use])
            dproducts[number] = walk.spread(dproducts[number], constants[use])
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


def _step_gradients(
    program, state, inputs, constants, products, activations, upstream
):
    """Runs one step again, its record known, and differentiates it."""
    float_inputs = [tensor for tensor in inputs if tensor.dtype.is_floating]
    summed = [constants[index] for index in program.accumulated]
    groups = [state, float_inputs, summed]

    def run(flat):
        flat = iter(flat)
        state, floats, summed = [[next(flat) for _ in g] for g in groups]
        floats = iter(floats)
        step_inputs = [
            next(floats) if t.dtype.is_floating else t for t in inputs
        ]
        step_constants = list(constants)
        for index, tensor in zip(program.accumulated, summed):
            step_constants[index] = tensor
        y = []

        def multiply(number, product_inputs, weights):
            y.append(_replay(product_inputs, *products[number]))
            return y[-1]

        kept = iter(activations)

        def activate(name, x, *others):
            return _reactivate(name, x, others, next(kept))

        new_state, outputs = program.run(
            multiply, state, step_inputs, step_constants, activate
        )
        return [*new_state, *outputs], y

    flat = [tensor for group in groups for tensor in group]
    gradients = iter(tensorflow_gradients.differentiate(run, flat, upstream))
    groups.append([y for y, _ in products])
    gradients = [[next(gradients) for _ in group] for group in groups]
    for group, values in zip(groups, gradients):
        for tensor, value in zip(group, values):
            value.set_shape(tensor.shape)
    return gradients


def _replay(x, y, transposed_weights):
    @tf.custom_gradient
    def replay(x):
        def gradient(dy):
            return tf.matmul(dy, transposed_weights)

        return tf.identity(y), gradient

    return replay(x)


def _reactivate(name, x, others, y):
    @tf.custom_gradient
    def reactivate(x):
        def gradient(dy):
            return ACTIVATIONS[name][1](y, dy, *others)

        return tf.identity(y), gradient

    return reactivate(x)


def without_gradients(variables: Any) -> Any:
    """As `recurrence.without_gradients`."""
    return record.stop_recording()
