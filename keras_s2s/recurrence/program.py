"""One step of a recurrence, seen so that each backend can loop over it."""

import contextlib
import threading
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
from keras import ops
from keras import tree

Tensor: TypeAlias = Any
Multiply: TypeAlias = Callable[[int, Tensor, Tensor], Tensor]


class _Active(threading.local):
    """The programs whose step is running in this thread, outermost first."""

    def __init__(self) -> None:
        self.programs: list[Program] = []


_active = _Active()


def linear(inputs: Tensor, weights: Any) -> Tensor:
    """Multiplies the last axis of `inputs` by `weights`.

    Inside `scan` the products of one weight over all steps become a single
    product in the backward pass, so use it for whatever is large.

    Args:
        inputs: float `(..., U)`.
        weights: a variable or float tensor `(U, N)`; or one matrix for each
            row of the batch, `(B, U, N)`, with `inputs` `(B, K, U)`.

    Returns:
        Float `(..., N)`.
    """
    if _active.programs:
        return _active.programs[-1].linear(inputs, weights)
    if isinstance(weights, keras.Variable):
        weights = weights.value
    return _apply(ops.matmul, inputs, weights)


def tanh(inputs: Tensor) -> Tensor:
    """Hyperbolic tangent.

    Inside `scan` its result may be kept for the backward pass, which then
    computes neither it nor what leads to it again: use it for activations
    that are no larger than the state.
    """
    return _activate("tanh", inputs)


def sigmoid(inputs: Tensor) -> Tensor:
    """Logistic function, kept inside `scan` as `tanh` is."""
    return _activate("sigmoid", inputs)


def softmax(inputs: Tensor, mask: Tensor, lowest: float) -> Tensor:
    """Softmax over the last axis, kept inside `scan` as `tanh` is.

    Args:
        inputs: float tensor.
        mask: bool tensor that broadcasts to `inputs`.
        lowest: float. Takes the place of inputs where `mask` is False.
    """
    return _activate("softmax", inputs, mask, lowest)


def _softmax(inputs: Tensor, mask: Tensor, lowest: float) -> Tensor:
    return ops.softmax(ops.where(mask, inputs, lowest))


# What activations do where none is kept.
PLAIN = {"sigmoid": ops.sigmoid, "softmax": _softmax, "tanh": ops.tanh}


def _activate(name: str, *inputs: Any) -> Tensor:
    if _active.programs and _active.programs[-1].activate is not None:
        return _active.programs[-1].activate(name, *inputs)
    return PLAIN[name](*inputs)


def _apply(multiply: Callable, inputs: Tensor, weights: Tensor) -> Tensor:
    if len(weights.shape) == 3:
        return multiply(inputs, weights)
    # A product of rank 3 by rank 2 is many small ones on some backends.
    leading = inputs.shape[:-1]
    if len(leading) == 1:
        return multiply(inputs, weights)
    flat = ops.reshape(inputs, (-1, inputs.shape[-1]))
    # To ask for one size takes more operations than to leave it open.
    is_open = list(leading).count(None) == 1 and 0 not in leading
    sizes = [-1 if size is None else size for size in leading]
    sizes = sizes if is_open else ops.shape(inputs)[:-1]
    return ops.reshape(multiply(flat, weights), (*sizes, weights.shape[-1]))


class _Binding(keras.StatelessScope):
    """Variables read as the tensors they are bound to, and which were."""

    def __init__(self, variables: Sequence, values: Sequence[Tensor]) -> None:
        super().__init__(initialize_variables=False)
        self.values = {id(v): value for v, value in zip(variables, values)}
        self.read = set()

    def get_current_value(self, variable: keras.Variable) -> Tensor:
        if id(variable) not in self.values:
            _fail_unnamed(variable)
        self.read.add(id(variable))
        return self.values[id(variable)]

    def add_update(self, update: tuple) -> None:
        raise ValueError(
            "A variable must not be assigned in the step of a scan. "
            f"Received: {update[0].path}."
        )


def _fail_unnamed(variable: keras.Variable) -> None:
    raise ValueError(
        "`variables` must hold each variable that the step of a scan reads. "
        f"Received: no {variable.path}."
    )


class Program:
    """A step function with its weights and constants laid out flat.

    Args:
        step: callable, as `scan` takes it.
        state: nested tensors, the first state.
        sequences: nested tensors `(T, ...)`.
        constants: nested tensors, the same at each step.
        deferred: list of tensors of `constants` that the step uses in no
            other way than as the weights of `linear`.
        variables: list of variables that the step reads.
    """

    def __init__(
        self,
        step: Callable,
        state: Any,
        sequences: Any,
        constants: Any,
        deferred: Sequence[Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        self.step = step
        self.structures = (state, sequences, constants)
        self.variables = list(variables)
        self.state, self.sequences, repeated = (
            tree.flatten(structure) for structure in self.structures
        )
        # A tensor that is there twice is one constant with one gradient.
        unique = {id(tensor): tensor for tensor in repeated}
        flat_constants = list(unique.values())
        places = {key: place for place, key in enumerate(unique)}
        self.places = [places[id(tensor)] for tensor in repeated]
        # Constants and variables are one list from here on.
        values = [variable.value for variable in self.variables]
        self.constants = flat_constants + values
        self.num_values = len(values)
        deferred = {id(tensor) for tensor in deferred}
        self.deferred = {
            index
            for index, tensor in enumerate(self.constants)
            if id(tensor) in deferred
        }
        self.uses = []
        self.activate = None
        self.read = set()
        self.output_structure = None

    def run(
        self,
        multiply: Multiply,
        state: Sequence[Tensor],
        inputs: Sequence[Tensor],
        constants: Sequence[Tensor],
        activate: Callable | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Runs one step on flat tensors and returns flat tensors.

        `multiply(n, x, w)` does the n-th product of the step, and
        `activate(name, *inputs)`, if given, the activations that may be kept.
        """
        arguments = [
            tree.pack_sequence_as(structure, list(flat))
            for structure, flat in zip(
                self.structures,
                (state, inputs, [constants[n] for n in self.places]),
            )
        ]
        with self._bound(multiply, activate, constants) as binding:
            new_state, outputs = self.step(*arguments)
        tree.assert_same_structure(self.structures[0], new_state)
        self.output_structure = outputs
        positions = {id(v): n for n, v in enumerate(self.variables)}
        self.read |= {
            self.first_variable + positions[key]
            for key in binding.read
            if key in positions
        }
        return tree.flatten(new_state), tree.flatten(outputs)

    @property
    def first_variable(self) -> int:
        return len(self.constants) - self.num_values

    @property
    def accumulated(self) -> list[int]:
        """Which constants have their gradients summed inside the loop."""
        return [
            index
            for index, tensor in enumerate(self.constants)
            if (
                index in self.read
                or (index < self.first_variable and index not in self.deferred)
            )
            and _is_float(tensor)
        ]

    def linear(self, inputs: Tensor, weights: Any) -> Tensor:
        """Does the next product of the step; `linear` ends up here."""
        if isinstance(weights, keras.Variable):
            is_used = [weights is variable for variable in self.variables]
            offset = self.first_variable
        else:
            is_used = [weights is constant for constant in self._current]
            offset = 0
        if True not in is_used:
            if isinstance(weights, keras.Variable):
                _fail_unnamed(weights)
            return _apply(ops.matmul, inputs, weights)
        index = is_used.index(True) + offset
        if index < self.first_variable and index not in self.deferred:
            return _apply(ops.matmul, inputs, weights)

        def multiply(flat_inputs: Tensor, flat_weights: Tensor) -> Tensor:
            number = self._count
            self._count += 1
            if number == len(self.uses):
                self.uses.append(index)
            return self._multiply(number, flat_inputs, flat_weights)

        return _apply(multiply, inputs, self._current[index])

    def weight_gradients(
        self,
        inputs: Sequence[Tensor],
        gradients: Sequence[Tensor],
        multiply: Callable,
    ) -> dict[int, Tensor]:
        """Returns, by index of constant, each deferred gradient.

        Args:
            inputs: a float tensor `(..., U)` a product, or `(T, B, K, U)`
                where each row of the batch has a matrix of its own.
            gradients: the same of its results, N instead of U.
            multiply: callable. `(M, U)`, `(M, N)` -> their `(U, N)`.
        """
        sums = {}
        for index, x, dy in zip(self.uses, inputs, gradients):
            if len(self.constants[index].shape) == 2:
                x = ops.reshape(x, (-1, x.shape[-1]))
                dy = ops.reshape(dy, (-1, dy.shape[-1]))
                product = multiply(x, dy)
            else:
                product = ops.einsum("tbku,tbkn->bun", x, dy)
            sums[index] = sums[index] + product if index in sums else product
        return sums

    @contextlib.contextmanager
    def _bound(
        self,
        multiply: Multiply,
        activate: Callable | None,
        constants: Sequence[Tensor],
    ) -> Iterator[_Binding]:
        self._multiply = multiply
        self.activate = activate
        self._current = list(constants)
        self._count = 0
        _active.programs.append(self)
        try:
            values = self._current[self.first_variable :]
            with _Binding(self.variables, values) as binding:
                yield binding
        finally:
            _active.programs.pop()
            self._multiply = self._current = self.activate = None


def _is_float(tensor: Tensor) -> bool:
    return keras.backend.is_float_dtype(
        keras.backend.standardize_dtype(tensor.dtype)
    )
