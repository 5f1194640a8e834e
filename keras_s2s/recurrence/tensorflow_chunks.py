"""A sum over chunks of rows on TensorFlow."""

from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record


def run(chunks: Any) -> tuple[Any, list[Any]]:
    """Returns the sum over all chunks, and the values of each `(C, ...)`."""
    features = tf.convert_to_tensor(chunks.features)
    variables = [tf.convert_to_tensor(value) for value in chunks.values]
    total_spec, value_specs, read = _trace(chunks, features, variables)
    specs = (total_spec, value_specs)
    if not record.could_possibly_record():
        return _loop(chunks, features, variables, specs, None)[:2]

    @tf.custom_gradient
    def total_and_values(features, *variables):
        total, values, rows, sums = _loop(
            chunks, features, variables, specs, read
        )

        def gradient(upstream, *ignored):
            def scale(d, like):
                return tf.cast(
                    tf.cast(d, upstream.dtype) * upstream, like.dtype
                )

            return [
                scale(rows, features),
                *[
                    scale(sums[index], variable) if index in sums else None
                    for index, variable in enumerate(variables)
                ],
            ]

        return (total, *values), gradient

    total, *values = total_and_values(features, *variables)
    return total, values


def _trace(chunks, features, variables):
    """Returns the specs of a chunk's sum and values, and what it reads."""
    found = []

    def step(features, constants, variables):
        total, values, read = chunks.run(features, constants, variables)
        found.append(sorted(read))
        return total, values

    traced = tf.function(step, autograph=False).get_concrete_function(
        tf.TensorSpec((None, *features.shape[1:]), features.dtype),
        [
            tf.TensorSpec((None, *tensor.shape[2:]), tensor.dtype)
            for tensor in chunks.constants
        ],
        [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in variables],
    )
    return *traced.structured_outputs, found[-1]


def _loop(chunks, features, variables, specs, read):
    """Returns sum, values, and the gradients of features and variables.

    `read` tells by index which variables get a gradient; None: nothing does.
    """
    total_spec, value_specs = specs
    split_features = chunks.split(features)

    def step(number, sums):
        rows = split_features[number]
        constants = [tensor[number] for tensor in chunks.constants]
        if read is None:
            return *chunks.run(rows, constants, variables)[:2], sums
        watched = [rows, *[variables[index] for index in read]]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            total, values, _ = chunks.run(rows, constants, variables)
        d_rows, *gradients = tape.gradient(
            total, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        sums = [s + tf.cast(d, s.dtype) for s, d in zip(sums, gradients)]
        return total, [*values, d_rows], sums

    def body(number, total, sums, arrays):
        added, values, sums = step(number, sums)
        arrays = [a.write(number, value) for a, value in zip(arrays, values)]
        return number + 1, total + added, sums, arrays

    if read is not None:
        value_specs = [*value_specs, features]
    arrays = [
        tf.TensorArray(
            spec.dtype, chunks.count, element_shape=(None, *spec.shape[1:])
        )
        for spec in value_specs
    ]
    # Of many chunks: in half precision the last ones would be lost.
    sums = [
        tf.zeros_like(variables[index], dtype=total_spec.dtype)
        for index in read or ()
    ]
    # One at a time, or two chunks would be in memory.
    _, total, sums, arrays = tf.while_loop(
        lambda number, *rest: number < chunks.count,
        body,
        (tf.constant(0), tf.zeros((), total_spec.dtype), sums, arrays),
        parallel_iterations=1,
    )
    values = [array.stack() for array in arrays]
    if read is None:
        return total, values, None, {}
    *values, rows = values
    return total, values, chunks.join(rows), dict(zip(read, sums))
