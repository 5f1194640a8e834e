"""The scan on TensorFlow."""

import functools
from typing import Any

import tensorflow as tf

from keras_s2s.recurrence.program import Program


def scan(
    program: Program, length: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """Returns flat outputs `(T, ...)` and the flat last state."""
    total = tf.shape(program.sequences[0])[0]
    steps = total if length is None else tf.minimum(length, total)
    return _run(program, _Steps(total, steps, reverse))


def scan_packed(
    program: Program, sizes: Any, counts: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """As `scan`, with outputs `(sum(sizes), ...)`."""
    if counts is None:
        return _run(program, _PackedSteps(sizes, reverse))
    return _run(program, _CarryingSteps(sizes, counts, reverse))


def _run(program, walk):
    counts = (len(program.state), len(program.sequences))

    @tf.custom_gradient
    def run(*flat):
        state = flat[: counts[0]]
        sequences = flat[counts[0] : sum(counts)]
        constants = flat[sum(counts) :]
        outputs, last, states, products = _forward(
            program, walk, state, sequences, constants
        )

        def gradient(*upstream):
            return _backward(
                program,
                walk,
                (states, products, sequences, constants),
                upstream[: len(outputs)],
                upstream[len(outputs) :],
            )

        return (*outputs, *last), gradient

    flat = (*program.state, *program.sequences, *program.constants)
    results = run(*[tf.convert_to_tensor(tensor) for tensor in flat])
    count = len(results) - counts[0]
    return list(results[:count]), list(results[count:])


class _Steps:
    """The steps of a scan over sequences `(T, B, ...)`."""

    def __init__(self, total, steps, reverse):
        self.total = total
        self.steps = steps
        self.reverse = reverse

    def time(self, number):
        """The position in time of the n-th step to run."""
        return self.steps - 1 - number if self.reverse else number

    # Sequences.

    def cut(self, sequence, time):
        """What belongs to a step."""
        return sequence[time]

    def spec(self, sequence):
        return tf.TensorSpec(sequence.shape[1:], sequence.dtype)

    def array(self, spec):
        """Where steps write what will be a sequence, `spec` one step's."""
        return tf.TensorArray(
            spec.dtype,
            self.total,
            clear_after_read=False,
            element_shape=spec.shape,
        )

    def join(self, array):
        return array.stack()

    def spread(self, sequence, rows):
        """A sequence -> `(T, B, ...)`, where `rows` is `(B, ...)`."""
        return sequence

    # Rows `(B, ...)`: state and constants.

    def start(self, rows):
        """What a loop starts with."""
        return rows

    def cut_rows(self, rows, time):
        """Those that a step runs."""
        return rows

    def rows_spec(self, rows):
        return tf.TensorSpec(rows.shape, rows.dtype)

    def put_rows(self, part, rows, time):
        """All rows after a step that made `part` of those that it ran."""
        part.set_shape(rows.shape)
        return part

    # Gradients of rows, from the last step to the first.

    def cut_gradients(self, rows, time):
        """All that is known after a step -> those of the rows that it ran."""
        return rows

    def put_gradients(self, part, rows, time):
        """All that is known before a step, `part` of the rows that it ran."""
        return self.put_rows(part, rows, time)

    def add(self, total, part, time):
        """Adds the gradient of a constant in one step."""
        return total + part

    def zeros(self, rows):
        """What `add` starts with."""
        return tf.zeros_like(rows)

    def complete(self, gradients, rows):
        """The gradients of all `rows` in the end."""
        return gradients


class _PackedSteps(_Steps):
    """The steps of a scan over packed sequences, fewer rows at each step.

    The state shrinks as rows end, and is of no use after the last step.
    """

    def __init__(self, sizes, reverse):
        steps = tf.shape(sizes)[0]
        super().__init__(steps, steps, reverse)
        self.sizes = sizes
        self.ends = tf.cumsum(sizes)

    def cut(self, sequence, time):
        end = self.ends[time]
        return sequence[end - self.sizes[time] : end]

    def spec(self, sequence):
        return tf.TensorSpec([None, *sequence.shape[1:]], sequence.dtype)

    def array(self, spec):
        return tf.TensorArray(
            spec.dtype,
            self.total,
            clear_after_read=False,
            infer_shape=False,
            element_shape=spec.shape,
        )

    def join(self, array):
        return array.concat()

    def spread(self, sequence, rows):
        size = tf.shape(rows)[0]
        is_there = tf.sequence_mask(self.sizes, size)
        shape = tf.concat([[self.total, size], tf.shape(sequence)[1:]], 0)
        places = tf.cast(tf.where(is_there), tf.int32)
        return tf.scatter_nd(places, sequence, shape)

    def start(self, rows):
        # The number of rows changes.
        return tf.compat.v1.placeholder_with_default(
            rows, [None, *rows.shape[1:]]
        )

    def cut_rows(self, rows, time):
        return rows[: self.sizes[time]]

    rows_spec = spec

    def put_rows(self, part, rows, time):
        part.set_shape([None, *rows.shape[1:]])
        return part

    def cut_gradients(self, rows, time):
        return _pad_rows(rows, self.sizes[time])

    def add(self, total, part, time):
        return self.cut_gradients(total, time) + part

    def zeros(self, rows):
        return tf.zeros_like(rows[:0])

    def complete(self, gradients, rows):
        return _pad_rows(gradients, tf.shape(rows)[0])


class _CarryingSteps(_PackedSteps):
    """Packed steps that keep the state of each row when it ends."""

    def __init__(self, sizes, counts, reverse):
        super().__init__(sizes, reverse)
        self.counts = counts

    def put_rows(self, part, rows, time):
        return _replace(rows, part, self.counts[time])

    def cut_gradients(self, rows, time):
        return _pad_rows(rows[: self.counts[time]], self.sizes[time])

    def add(self, total, part, time):
        size = self.sizes[time]
        return _replace(total, total[:size] + part, size)

    def zeros(self, rows):
        return tf.zeros_like(rows)

    def complete(self, gradients, rows):
        return gradients


def _pad_rows(rows, size):
    """Adds zeros up to `size` rows; without any to add it copies nothing."""
    missing = size - tf.shape(rows)[0]
    return tf.pad(rows, [[0, missing], *[[0, 0]] * (len(rows.shape) - 1)])


def _replace(rows, part, count):
    """Takes the first `count` rows from `part`, the others from `rows`."""
    result = tf.concat([part[:count], rows[count:]], 0)
    result.set_shape(rows.shape)
    return result


def _trace(program, walk, state, sequences, constants):
    """Traces a step alone, for the specs of its outputs and products."""
    products = []

    def multiply(number, x, w):
        products.append(tf.matmul(x, w))
        return products[-1]

    def step(state, inputs, constants):
        _, outputs = program.run(multiply, state, inputs, constants)
        return outputs, products

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


def _forward(program, walk, state, sequences, constants):
    """Returns outputs, last state and, for `_backward`, two groups of arrays.

    The arrays hold the tensors of each step as they are: nothing is copied.
    """
    outputs, products = _trace(program, walk, state, sequences, constants)

    def body(number, state, arrays):
        time = walk.time(number)
        saved = []

        def multiply(count, x, w):
            saved.append(tf.matmul(x, w))
            return saved[-1]

        before = [walk.cut_rows(tensor, time) for tensor in state]
        after, outputs = program.run(
            multiply,
            before,
            [walk.cut(sequence, time) for sequence in sequences],
            _cut_constants(program, walk, constants, time),
        )
        state = [
            walk.put_rows(new, old, time) for new, old in zip(after, state)
        ]
        written = [
            [a.write(time, value) for a, value in zip(group, values)]
            for group, values in zip(arrays, (outputs, before, saved))
        ]
        return number + 1, state, written

    arrays = [
        [walk.array(spec) for spec in outputs],
        [walk.array(walk.rows_spec(tensor)) for tensor in state],
        [walk.array(spec) for spec in products],
    ]
    _, last, arrays = tf.while_loop(
        lambda number, state, arrays: number < walk.steps,
        body,
        (tf.constant(0), [walk.start(tensor) for tensor in state], arrays),
    )
    outputs, states, products = arrays
    return [walk.join(array) for array in outputs], last, states, products


def _backward(program, walk, saved, output_gradients, state_gradients):
    states, products, sequences, constants = saved
    accumulated = program.accumulated
    # With few rows, a product with a matrix that is transposed beforehand is
    # two to three times as fast as one that transposes it itself.
    transposed = {
        use: tf.linalg.matrix_transpose(constants[use]) for use in program.uses
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
        results = [array.read(time) for array in products]
        upstream = [walk.cut_gradients(tensor, time) for tensor in dstate]
        upstream += [walk.cut(tensor, time) for tensor in output_gradients]
        x, gradients = _step_gradients(
            program,
            [array.read(time) for array in states],
            [walk.cut(tensor, time) for tensor in sequences],
            _cut_constants(program, walk, constants, time),
            [(y, weights[use]) for y, use in zip(results, program.uses)],
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
        written = [
            [a.write(time, value) for a, value in zip(group, values)]
            for group, values in zip(arrays, (dinputs, x, dproducts))
        ]
        return number + 1, dstate, sums, written

    y_specs = [tf.TensorSpec(a.element_shape, a.dtype) for a in products]
    x_specs = [
        tf.TensorSpec([*y.shape[:-1], constants[use].shape[-2]], y.dtype)
        for use, y in zip(program.uses, y_specs)
    ]
    float_sequences = [s for s in sequences if s.dtype.is_floating]
    arrays = [
        [walk.array(walk.spec(s)) for s in float_sequences],
        [walk.array(spec) for spec in x_specs],
        [walk.array(spec) for spec in y_specs],
    ]
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
            arrays,
        ),
    )
    dinputs, x, dproducts = [
        [walk.join(array) for array in group] for group in arrays
    ]
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
