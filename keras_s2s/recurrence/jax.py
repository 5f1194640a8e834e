"""The scan on JAX."""

import functools
from typing import Any

import jax
import keras
from jax import lax
from jax import numpy as jnp

from keras_s2s.recurrence.program import Program


def scan(
    program: Program, length: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """Returns flat outputs `(T, ...)` and the flat last state."""
    total = program.sequences[0].shape[0]
    steps = total if length is None else jnp.minimum(length, total)

    @jax.custom_vjp
    def run(steps, state, sequences, constants):
        return _forward(program, reverse, steps, state, sequences, constants)[0]

    def forward(steps, state, sequences, constants):
        results, saved = _forward(
            program, reverse, steps, state, sequences, constants
        )
        return results, (steps, *saved, sequences, constants)

    run.defvjp(forward, functools.partial(_backward, program, reverse))
    return run(steps, program.state, program.sequences, program.constants)


def _time(reverse, steps, number):
    return steps - 1 - number if reverse else number


def _at(tensors, time):
    return [
        lax.dynamic_index_in_dim(tensor, time, keepdims=False)
        for tensor in tensors
    ]


def _write(buffers, values, time):
    return [
        lax.dynamic_update_index_in_dim(buffer, value, time, 0)
        for buffer, value in zip(buffers, values)
    ]


def _buffers(specs, total):
    return [jnp.zeros((total, *spec.shape), spec.dtype) for spec in specs]


def _forward(program, reverse, steps, state, sequences, constants):
    total = sequences[0].shape[0]

    def step(state, inputs):
        saved = []

        def multiply(number, x, w):
            saved.append(jnp.matmul(x, w))
            return saved[-1]

        new_state, outputs = program.run(multiply, state, inputs, constants)
        return new_state, (outputs, list(state), saved)

    def body(number, carry):
        state, buffers = carry
        time = _time(reverse, steps, number)
        new_state, values = step(state, _at(sequences, time))
        buffers = [_write(b, v, time) for b, v in zip(buffers, values)]
        return new_state, buffers

    first = [jax.ShapeDtypeStruct(s.shape[1:], s.dtype) for s in sequences]
    _, specs = jax.eval_shape(step, state, first)
    buffers = [_buffers(group, total) for group in specs]
    last, (outputs, states, products) = lax.fori_loop(
        0, steps, body, (state, buffers)
    )
    return (outputs, last), (states, products)


def _is_float(tensor):
    return jnp.issubdtype(tensor.dtype, jnp.floating)


def _backward(program, reverse, residuals, upstream):
    steps, states, products, sequences, constants = residuals
    output_gradients, state_gradients = upstream
    accumulated = program.accumulated

    def body(number, carry):
        dstate, sums, buffers = carry
        time = _time(reverse, steps, steps - 1 - number)
        x, (dstate, dinputs, dsums, dproducts) = _step_gradients(
            program,
            _at(states, time),
            _at(sequences, time),
            constants,
            _at(products, time),
            (dstate, _at(output_gradients, time)),
        )
        sums = [sum_ + d for sum_, d in zip(sums, dsums)]
        values = (dinputs, x, dproducts)
        buffers = [_write(b, v, time) for b, v in zip(buffers, values)]
        return dstate, sums, buffers

    float_sequences = [s for s in sequences if _is_float(s)]
    x_buffers = [
        jnp.zeros((*y.shape[:-1], constants[use].shape[-2]), y.dtype)
        for use, y in zip(program.uses, products)
    ]
    buffers = [
        [jnp.zeros_like(s) for s in float_sequences],
        x_buffers,
        [jnp.zeros_like(y) for y in products],
    ]
    sums = [jnp.zeros_like(constants[index]) for index in accumulated]
    dstate, sums, (dinputs, x, dproducts) = lax.fori_loop(
        0, steps, body, (state_gradients, sums, buffers)
    )
    dconstants = dict(zip(accumulated, sums))
    gradients = program.weight_gradients(x, dproducts, _multiply_transposed)
    for index, value in gradients.items():
        dconstants[index] = dconstants.get(index, 0) + value
    rest = iter(dinputs)
    return (
        None,
        dstate,
        [next(rest) if _is_float(s) else None for s in sequences],
        [dconstants.get(index) for index in range(len(constants))],
    )


def _multiply_transposed(x, dy):
    return jnp.matmul(x.T, dy)


def _step_gradients(program, state, inputs, constants, products, upstream):
    """Runs one step again, its products known, and differentiates it."""
    is_float = [_is_float(tensor) for tensor in inputs]

    def step(state, float_inputs, summed, offsets):
        x = []

        def multiply(number, product_inputs, weights):
            x.append(product_inputs)
            y = _replay(product_inputs, products[number], weights)
            return y + offsets[number]

        rest = iter(float_inputs)
        all_inputs = [
            next(rest) if flag else tensor
            for flag, tensor in zip(is_float, inputs)
        ]
        all_constants = list(constants)
        for index, value in zip(program.accumulated, summed):
            all_constants[index] = value
        results = program.run(multiply, state, all_inputs, all_constants)
        return results, x

    arguments = (
        state,
        [tensor for flag, tensor in zip(is_float, inputs) if flag],
        [constants[index] for index in program.accumulated],
        [jnp.zeros_like(y) for y in products],
    )
    _, pull_back, x = jax.vjp(step, *arguments, has_aux=True)
    return x, pull_back(upstream)


@jax.custom_vjp
def _replay(x, y, weights):
    return y


def _replay_forward(x, y, weights):
    return y, (x, y, weights)


def _replay_backward(residuals, dy):
    _, y, weights = residuals
    dx = jnp.matmul(dy, jnp.swapaxes(weights, -1, -2))
    return dx, jnp.zeros_like(y), jnp.zeros_like(weights)


_replay.defvjp(_replay_forward, _replay_backward)


def without_gradients(variables: Any) -> Any:
    """As `recurrence.without_gradients`."""
    constants = [lax.stop_gradient(variable.value) for variable in variables]
    return keras.StatelessScope(list(zip(variables, constants)))
