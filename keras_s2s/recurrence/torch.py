"""The scan on torch."""

from typing import Any

import torch

from keras_s2s.recurrence.program import Program


def scan(
    program: Program, length: Any, reverse: bool
) -> tuple[list[Any], list[Any]]:
    """Returns flat outputs `(T, ...)` and the flat last state."""
    total = program.sequences[0].shape[0]
    steps = total if length is None else min(int(length), total)
    order = list(range(steps))[:: -1 if reverse else 1]
    results = _Scan.apply(
        program,
        order,
        *program.state,
        *program.sequences,
        *program.constants,
    )
    count = len(results) - len(program.state)
    return list(results[:count]), list(results[count:])


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, program, order, *flat):
        sizes = (len(program.state), len(program.sequences))
        state = list(flat[: sizes[0]])
        sequences = flat[sizes[0] : sum(sizes)]
        constants = flat[sum(sizes) :]
        states, products, outputs = {}, {}, {}
        for time in order:
            states[time], saved = state, []

            def multiply(number, x, w, saved=saved):
                saved.append(torch.matmul(x, w))
                return saved[-1]

            inputs = [sequence[time] for sequence in sequences]
            state, outputs[time] = program.run(
                multiply, state, inputs, constants
            )
            products[time] = saved
        ctx.program, ctx.order, ctx.sizes = program, order, sizes
        ctx.states, ctx.products = states, products
        ctx.save_for_backward(*flat)
        return (*_stack(outputs, sequences[0].shape[0]), *state)

    @staticmethod
    def backward(ctx, *upstream):
        program, flat = ctx.program, ctx.saved_tensors
        sequences = flat[ctx.sizes[0] : sum(ctx.sizes)]
        constants = flat[sum(ctx.sizes) :]
        count = len(upstream) - ctx.sizes[0]
        accumulated = program.accumulated
        dstate = list(upstream[count:])
        sums = [torch.zeros_like(constants[index]) for index in accumulated]
        x, dinputs, dproducts = {}, {}, {}
        for time in reversed(ctx.order):
            x[time], gradients = _step_gradients(
                program,
                ctx.states[time],
                [sequence[time] for sequence in sequences],
                constants,
                ctx.products[time],
                [*dstate, *[output[time] for output in upstream[:count]]],
            )
            dstate, dinputs[time], dsums, dproducts[time] = gradients
            sums = [total + d for total, d in zip(sums, dsums)]
        total = sequences[0].shape[0]
        dconstants = dict(zip(accumulated, sums))
        gradients = program.weight_gradients(
            _stack(x, total), _stack(dproducts, total), _multiply_transposed
        )
        for index, value in gradients.items():
            dconstants[index] = dconstants.get(index, 0) + value
        rest = iter(_stack(dinputs, total))
        return (
            None,
            None,
            *dstate,
            *[next(rest) if s.is_floating_point() else None for s in sequences],
            *[dconstants.get(index) for index in range(len(constants))],
        )


def _stack(values, total):
    """Stacks what each step made, zeros for the steps that never ran."""
    first = next(iter(values.values()))
    return [
        torch.stack(
            [
                values[time][n] if time in values else torch.zeros_like(value)
                for time in range(total)
            ]
        )
        for n, value in enumerate(first)
    ]


def _multiply_transposed(x, dy):
    return torch.matmul(x.T, dy)


def _step_gradients(program, state, inputs, constants, products, upstream):
    """Runs one step again, its products known, and differentiates it."""
    x, y = [], []
    with torch.enable_grad():

        def leaf(tensor):
            is_float = tensor.is_floating_point()
            return tensor.detach().requires_grad_(is_float)

        def multiply(number, product_inputs, weights):
            x.append(product_inputs.detach())
            y.append(_Replay.apply(product_inputs, products[number], weights))
            if not y[-1].requires_grad:
                y[-1].requires_grad_(True)
            return y[-1]

        state = [leaf(tensor) for tensor in state]
        inputs = [leaf(tensor) for tensor in inputs]
        constants = list(constants)
        for index in program.accumulated:
            constants[index] = leaf(constants[index])
        new_state, outputs = program.run(multiply, state, inputs, constants)
    groups = [
        state,
        [tensor for tensor in inputs if tensor.requires_grad],
        [constants[index] for index in program.accumulated],
        y,
    ]
    pairs = [
        (target, gradient)
        for target, gradient in zip([*new_state, *outputs], upstream)
        if target.requires_grad
    ]
    flat = torch.autograd.grad(
        [target for target, _ in pairs],
        [tensor for group in groups for tensor in group],
        [gradient for _, gradient in pairs],
        allow_unused=True,
        materialize_grads=True,
    )
    flat = iter(flat)
    return x, [[next(flat) for _ in group] for group in groups]


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y, weights):
        ctx.save_for_backward(weights)
        return y.clone()

    @staticmethod
    def backward(ctx, dy):
        (weights,) = ctx.saved_tensors
        return torch.matmul(dy, weights.transpose(-1, -2)), None, None


def get_random_state() -> list[int]:
    """Returns the state of torch's own generator, which draws dropout."""
    return torch.get_rng_state().tolist()


def set_random_state(state: list[int]) -> None:
    """Sets what `get_random_state` returned."""
    torch.set_rng_state(torch.tensor(state, dtype=torch.uint8))


def without_gradients(variables: Any) -> Any:
    """As `recurrence.without_gradients`."""
    return torch.no_grad()
