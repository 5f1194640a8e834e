"""A sum over chunks of rows on torch."""

from typing import Any

import torch


def run(chunks: Any) -> tuple[Any, list[Any]]:
    """Returns the sum over all chunks, and the values of each `(C, ...)`."""
    total, *values = _Sum.apply(chunks, chunks.features, *chunks.values)
    return total, values


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, chunks, features, *variables):
        variables = [tensor.detach() for tensor in variables]
        split_features = chunks.split(features.detach())
        differentiates = any(ctx.needs_input_grad)
        total, sums, collected = 0.0, {}, []
        for number in range(chunks.count):
            added, values, gradients = _step(
                chunks,
                split_features[number],
                [tensor[number] for tensor in chunks.constants],
                variables,
                differentiates,
            )
            total = total + added
            rows = [gradients.pop("rows")] if differentiates else []
            collected.append([*values, *rows])
            for index, d in gradients.items():
                sums[index] = sums[index] + d if index in sums else d
        stacked = [torch.stack(values) for values in zip(*collected)]
        if differentiates:
            ctx.rows = chunks.join(stacked.pop())
            ctx.sums, ctx.num_variables = sums, len(variables)
        ctx.mark_non_differentiable(*stacked)
        return (total, *stacked)

    @staticmethod
    def backward(ctx, upstream, *ignored):
        rows = ctx.rows.to(upstream.dtype) * upstream
        gradients = {index: d * upstream for index, d in ctx.sums.items()}
        return (
            None,
            rows.to(ctx.rows.dtype),
            *[gradients.get(index) for index in range(ctx.num_variables)],
        )


def _step(chunks, rows, constants, variables, differentiates):
    """Returns sum, values, and the gradients by index of variable."""
    if not differentiates:
        with torch.no_grad():
            return *chunks.run(rows, constants, variables)[:2], {}
    with torch.enable_grad():
        rows = rows.detach().requires_grad_(True)
        bound = [
            tensor.detach().requires_grad_(tensor.is_floating_point())
            for tensor in variables
        ]
        total, values, read = chunks.run(rows, constants, bound)
        read = sorted(read)
        gradients = torch.autograd.grad(
            total,
            [rows, *[bound[index] for index in read]],
            allow_unused=True,
            materialize_grads=True,
        )
    values = [value.detach() for value in values]
    return total.detach(), values, dict(zip(["rows", *read], gradients))
