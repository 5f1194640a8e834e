"""The scan, whatever the backend, and what is known of each backend."""

import contextlib
import importlib
import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras import tree

from keras_s2s.recurrence.program import Program
from keras_s2s.recurrence.program import Tensor

# Whether a model with a scan is faster compiled as a whole: on TensorFlow,
# XLA compiles each pair of lengths anew, in seconds.
PREFERS_JIT = keras.backend.backend() != "tensorflow"

# Whether a step outside XLA may have shapes that depend on values.
HAS_DYNAMIC_SHAPES = keras.backend.backend() != "jax"

# Whether the backend has a kernel for attention that keeps no weights.
FUSES_ATTENTION = keras.backend.backend() != "tensorflow"

# Whether a scan can leave padding out, row by row.
PACKS = keras.backend.backend() == "tensorflow"

# Of what a seed is made, as Keras makes it.
SEED_DTYPE = "uint32" if keras.backend.backend() == "jax" else "int32"

# What `Model.export` needs to export a loop: JAX would trace the gradient of
# a search, which has none.
EXPORT_OPTIONS = {}
if keras.backend.backend() == "jax":
    EXPORT_OPTIONS = {"jax2tf_kwargs": {"with_gradient": False}}

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    from keras_s2s.recurrence import tensorflow_cache
    from keras_s2s.recurrence import tensorflow_data
    from keras_s2s.recurrence import tensorflow_dropout
    from keras_s2s.recurrence import tensorflow_parts
    from keras_s2s.recurrence.tensorflow_updates import LOST_WORKER_ERRORS
    from keras_s2s.recurrence.tensorflow_updates import fast_updates
    from keras_s2s.recurrence.tensorflow_updates import leads_workers
    from keras_s2s.recurrence.tensorflow_updates import num_replicas
    from keras_s2s.recurrence.tensorflow_updates import of_first_replica
    from keras_s2s.recurrence.tensorflow_updates import show_to_workers
    from keras_s2s.recurrence.tensorflow_updates import sum_over_replicas
else:
    tensorflow_cache = tensorflow_data = None
    tensorflow_dropout = tensorflow_parts = None
    LOST_WORKER_ERRORS = ()

    def fast_updates(optimizer: Any) -> Any:
        """Nothing: a training step is compiled as a whole, or cannot be."""
        return contextlib.nullcontext()

    def num_replicas() -> int:
        """One: JAX shards the tensors of a whole batch."""
        return 1

    def of_first_replica(model: Any, batches: Any) -> Any:
        """The batches."""
        return batches

    def leads_workers(model: Any) -> bool:
        """Yes: there is one."""
        return True

    def show_to_workers(logs: Any) -> Any:
        """The logs."""
        return logs

    def sum_over_replicas(value: Tensor) -> Tensor:
        """The value."""
        return value


_backend = importlib.import_module(
    f"keras_s2s.recurrence.{keras.backend.backend()}"
)


def get_random_state() -> list[int]:
    """Returns the state of a generator that is not Keras' own, or []."""
    return getattr(_backend, "get_random_state", list)()


def set_random_state(state: list[int]) -> None:
    """Sets what `get_random_state` returned, on the same backend."""
    if state:
        _backend.set_random_state(state)


def prefers_halves() -> bool:
    """Whether two small products are faster than one in a compiled loop.

    They are where XLA gives each of them a core of its own: for 4 rows and the
    kernels of a decoder of 19 MB, 0.63 ms instead of 0.98 on 2 cores. A GPU
    runs each product on all of it. Only measured on TensorFlow.
    """
    return _on_processors()


def num_side_by_side(model: keras.Model) -> int:
    """How many searches of a model are best run side by side, by threads.

    Two, where TensorFlow searches on processors: the operations of a step are
    too small to be shared out well between cores, two searches are not. A GPU
    runs each search on all of it. Only measured on TensorFlow.
    """
    if not _on_processors():
        return 1
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return 1
    return min(os.cpu_count() or 1, 2)


def num_parts() -> int:
    """In how many parts `share_rows` shares out rows.

    Two, where TensorFlow runs each operation on one thread and has several
    for them: what is done with the parts then runs side by side. Else one.
    """
    return tensorflow_parts.num_parts() if _on_processors() else 1


def share_rows(function: Callable, *rows: Any) -> Any:
    """Returns `function(*rows)`, its parts side by side as `num_parts` says.

    For operations of many rows, which one thread would run alone, and loops,
    which then do not wait for each other.

    Args:
        function: callable. Nested tensors `(N, ...)` -> nested tensors
            `(N, ...)`, each row of which depends on those of the same number
            alone; None stays None.
        rows: nested tensors `(N, ...)` and None.
    """
    count = num_parts()
    if count == 1:
        return function(*rows)
    return tensorflow_parts.share_rows(function, rows, count)


def halve_rows(rows: Tensor) -> Any:
    """Returns the first half of rows `(2 N, ...)`, and the second.

    Such as `share_rows` made of rows that come twice: nobody then puts them
    together, to be taken apart again.
    """
    if num_parts() == 2:
        return tensorflow_parts.halve_rows(rows)
    return ops.split(rows, 2)


def wait_for(values: Tensor, others: Any) -> Tensor:
    """Returns `values`, to be had when all of `others` are there.

    TensorFlow runs first what is ready first: what a decoder makes of its
    targets alone, on the thread of one of the two directions of its encoder,
    for which the other then waits.

    Args:
        values: tensor.
        others: nested tensors and None.
    """
    if tensorflow_parts is None:
        return values
    return tensorflow_parts.wait_for(values, others)


def _on_processors() -> bool:
    """Whether TensorFlow runs, and sees no GPU."""
    return tensorflow_parts is not None and not tensorflow_parts.has_gpu()


def read_promptly(
    data: Any, shuffle: bool = False, class_weight: dict | None = None
) -> Any:
    """Returns what Keras is to read, such that an epoch ends with its data.

    Left to itself, Keras on TensorFlow may wait as long again.

    Args:
        data: what it was given, a `keras.utils.PyDataset` or anything else,
            which is returned as it is.
        shuffle: bool. As of `fit`. Default: False.
        class_weight: dict or None. As of `fit`. Default: None.
    """
    if tensorflow_data is None or not isinstance(data, keras.utils.PyDataset):
        return data
    return tensorflow_data.PromptAdapter(
        data, class_weight=class_weight, shuffle=shuffle
    )


def trace_any_length(function: Callable | None, source: Any) -> None:
    """Traces a predict function once, for batches and lengths of any size.

    Left to itself, TensorFlow traces a search again for the second and the
    third shape that it sees, a second or more each.

    Args:
        function: the `predict_function` of a model.
        source: `keras.KerasTensor`, or nested ones. Its inputs.
    """
    if hasattr(function, "get_concrete_function"):
        spec = keras.tree.map_structure(
            lambda one: tf.TensorSpec(one.shape, one.dtype), source
        )
        function.get_concrete_function([(spec,)])


def scan(
    step: Callable,
    state: Any,
    sequences: Any,
    constants: Any = (),
    deferred: Sequence[Tensor] = (),
    variables: Sequence[keras.Variable] = (),
    length: Tensor | None = None,
    reverse: bool = False,
    sizes: Tensor | None = None,
    counts: Tensor | None = None,
) -> tuple[Any, Any]:
    """Runs `step` over the first axis of `sequences`, fast in both ways.

    The forward pass keeps the state before each step and the result of each
    `linear` product. The backward pass runs the rest of the step again, so
    any step may be written without its derivative, and hands back the
    gradients of the products of all steps together: the gradient of a weight
    is then one matrix product after the loop, not a sum inside it.

    Args:
        step: callable `(state, inputs, constants) -> (state, outputs)`. It
            reads tensors through its arguments and variables through
            `variables` alone, and multiplies with `linear`.
        state: nested float tensors. The first state.
        sequences: nested tensors `(T, ...)`. Their slices are `inputs`.
        constants: nested tensors, the same at each step.
        deferred: list of tensors of `constants` that the step uses in no
            other way than as the weights of `linear`.
        variables: list of variables that the step reads.
        length: int or int32 scalar, in steps. Steps from here on are not
            run, and their outputs are 0. Default: T.
        reverse: bool. Runs from the last step to the first.
        sizes: int32 `(T,)`, falling, or None. Step t runs the first
            `sizes[t]` rows of the state and of the constants, all of them
            `(B, ...)`. `sequences` and outputs are then packed, the rows of
            a step behind those of the step before: `(sum(sizes), ...)`.
            `PACKS` tells where this works.
        counts: int32 `(T,)`, falling, or None. With `sizes`, how many of
            these rows change their state; the others, and those that are
            not run, carry it. Default: the last state is of no use.

    Returns:
        outputs: nested float `(T, ...)`, in the order of `sequences`.
        state: nested float tensors. The state after the last step.
    """
    program = Program(step, state, sequences, constants, deferred, variables)
    if sizes is not None:
        outputs, last = _backend.scan_packed(program, sizes, counts, reverse)
        return _structured(program, outputs, last)
    if length is not None:
        length = ops.cast(length, "int32")
    outputs, last = _backend.scan(program, length, reverse)
    return _structured(program, outputs, last)


def _structured(program: Program, outputs: list, last: list) -> tuple:
    outputs = tree.pack_sequence_as(program.output_structure, outputs)
    return outputs, tree.pack_sequence_as(program.structures[0], last)


class _Seed(keras.random.SeedGenerator):
    """A seed that is given, and goes on nowhere."""

    def __init__(self, seed: Tensor) -> None:
        self.seed = seed

    def next(self, ordered: bool = True) -> Tensor:
        return self.seed


def uniform(shape: tuple, seed: int, step: Tensor) -> Tensor:
    """Returns random numbers that depend on nothing but the arguments.

    So a training that goes on draws what it would have drawn.

    Args:
        shape: tuple of int and int32 scalars.
        seed: int in [0, 2 ** 31).
        step: int scalar >= 0, such as the number of updates so far.

    Returns:
        Float32 in [0, 1), of that shape.
    """
    state = ops.stack([ops.cast(seed, SEED_DTYPE), ops.cast(step, SEED_DTYPE)])
    return keras.random.uniform(shape, dtype="float32", seed=_Seed(state))


def without_gradients(variables: Sequence[keras.Variable]) -> Any:
    """A context in which nothing has a gradient, or is kept for one.

    Args:
        variables: list of variables that are read inside.
    """
    return _backend.without_gradients(variables)


def allocate(shape: tuple, dtype: str, compiled: bool = False) -> Tensor:
    """Returns a buffer of zeros for `write_slice`, shared with nothing.

    In a graph of TensorFlow that nobody differentiates it has room for the
    first steps alone: see `make_room`.

    Args:
        shape: tuple of int and int32 scalars, `(B, C, T, ...)`.
        dtype: str.
        compiled: bool. Whether XLA compiles it. Default: False.
    """
    if tensorflow_cache is not None:
        return tensorflow_cache.allocate(shape, dtype, compiled)
    return ops.zeros(shape, dtype)


def make_room(buffers: Any, position: Tensor, length: Tensor) -> Any:
    """Returns buffers that have a place for `position`.

    To be called before each step: what reads a whole buffer at each of them
    then reads little more than was written.

    Args:
        buffers: nested tensors, each from `allocate` or `write_slice`.
        position: int32 scalar in [0, T), one more at each step.
        length: int or int32 scalar. T, what they were allocated for.
    """
    if tensorflow_cache is not None:
        return tensorflow_cache.make_room(buffers, position, length)
    return buffers


def write_slice(
    buffer: Tensor, position: Tensor, value: Tensor, compiled: bool = False
) -> Tensor:
    """Returns `buffer` with `value` at `position` of its third axis.

    In a graph of TensorFlow that nobody differentiates it is written where
    it is: `buffer` itself must then come from `allocate` or from here, and
    not be read any more.

    Args:
        buffer: tensor `(B, C, T, ...)`.
        position: int32 scalar in [0, T).
        value: tensor `(B, C, ...)`.
        compiled: bool. Whether XLA compiles it. Default: False.
    """
    if tensorflow_cache is not None:
        return tensorflow_cache.write_slice(buffer, position, value, compiled)
    rest = [0] * (len(buffer.shape) - 3)
    start = ops.stack(
        [ops.cast(place, "int32") for place in (0, 0, position, *rest)]
    )
    return ops.slice_update(buffer, start, ops.expand_dims(value, 2))


def dropout(
    inputs: Tensor, rate: float, seed: keras.random.SeedGenerator
) -> Tensor:
    """Returns `inputs` with a share set to 0, the rest scaled up.

    Args:
        inputs: float tensor.
        rate: float in (0, 1). The share; on TensorFlow rounded to a multiple
            of 1 / 256 where that is within 2 % of it, else of 1 / 65536.
        seed: keras.random.SeedGenerator.
    """
    if tensorflow_dropout is not None:
        return tensorflow_dropout.dropout(inputs, rate, seed)
    return keras.random.dropout(inputs, rate, seed=seed)
