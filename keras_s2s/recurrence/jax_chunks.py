"""A sum over chunks of rows on JAX."""

from typing import Any

import jax
from jax import lax
from jax import numpy as jnp


def run(chunks: Any) -> tuple[Any, list[Any]]:
    """Returns the sum over all chunks, and the values of each `(C, ...)`."""

    @jax.custom_vjp
    def total_and_values(features, variables, constants):
        def body(total, inputs):
            added, values, _ = chunks.run(*inputs, variables)
            return total + added, values

        inputs = (chunks.split(features), constants)
        first = jax.tree.map(lambda tensor: tensor[0], inputs)
        dtype = jax.eval_shape(body, 0.0, first)[0].dtype
        return lax.scan(body, jnp.zeros((), dtype), inputs)

    def forward(features, variables, constants):
        total, values, rows, sums = _differentiate(
            chunks, features, variables, constants
        )
        return (total, values), (rows, sums, features[:0], constants)

    def backward(residuals, upstream):
        rows, sums, like, constants = residuals
        upstream = upstream[0]
        rows = rows.astype(upstream.dtype) * upstream
        sums = [None if d is None else d * upstream for d in sums]
        return rows.astype(like.dtype), sums, [None for _ in constants]

    total_and_values.defvjp(forward, backward)
    return total_and_values(
        chunks.features, list(chunks.values), chunks.constants
    )


def _differentiate(chunks, features, variables, constants):
    """Returns sum, values, and the gradients of features and variables."""
    inputs = (chunks.split(features), constants)
    first = jax.tree.map(lambda tensor: tensor[0], inputs)
    found = []

    def trace(inputs):
        total, values, read = chunks.run(*inputs, variables)
        found.append(sorted(read))
        return total, values

    dtype = jax.eval_shape(trace, first)[0].dtype
    read = found[-1]

    def step(rows, summed, constants):
        bound = list(variables)
        for index, value in zip(read, summed):
            bound[index] = value
        return chunks.run(rows, constants, bound)[:2]

    gradients = jax.value_and_grad(step, argnums=(0, 1), has_aux=True)

    def body(carry, inputs):
        total, sums = carry
        rows, constants = inputs
        (added, values), (d_rows, d_summed) = gradients(
            rows, [variables[index] for index in read], constants
        )
        sums = [sum_ + d for sum_, d in zip(sums, d_summed)]
        return (total + added, sums), (values, d_rows)

    start = [jnp.zeros_like(variables[index]) for index in read]
    (total, sums), (values, rows) = lax.scan(
        body, (jnp.zeros((), dtype), start), inputs
    )
    sums = dict(zip(read, sums))
    sums = [sums.get(index) for index in range(len(variables))]
    return total, values, chunks.join(rows), sums
