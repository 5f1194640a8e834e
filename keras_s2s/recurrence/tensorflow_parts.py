"""Rows that are shared out between threads on TensorFlow."""

import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import tensorflow as tf
from keras import tree
from tensorflow.python.ops import control_flow_util

from keras_s2s.recurrence.tensorflow_series import VIEWS

Tensor: TypeAlias = Any

MOST_PARTS = 2  # What was measured, on 2 cores.

# The name of an operation that puts parts together.
JOINED = "joined_rows"


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def num_parts() -> int:
    """As `recurrence.num_parts`, where there is no GPU.

    Threads that share an operation take 50 to 100 microseconds to come
    together, as long as a small operation takes. Loops that have a thread
    each do not wait for each other.
    """
    config = tf.config.threading
    in_operation = config.get_intra_op_parallelism_threads()
    if (in_operation or _from_environment("INTRAOP")) != 1:
        return 1
    for_operations = config.get_inter_op_parallelism_threads()
    for_operations = for_operations or _from_environment("INTEROP")
    return min(for_operations or os.cpu_count() or 1, MOST_PARTS)


def _from_environment(kind: str) -> int:
    """What TensorFlow takes where it is not told; 0 if that is nothing."""
    text = os.environ.get(f"TF_NUM_{kind}_THREADS", "")
    return int(text) if text.isdecimal() else 0


def wait_for(values: Tensor, others: Any) -> Tensor:
    """As `recurrence.wait_for`.

    With the kernels that a scan transposes held back, too, steps of recurrent
    models take 96 % of the time then, on 2 cores.
    """
    others = [one for one in tree.flatten(others) if one is not None]
    with tf.control_dependencies(others):
        return tf.identity(values, name="wait")


def share_rows(function: Callable, rows: Sequence, count: int) -> Any:
    """As `recurrence.share_rows`, in `count` parts.

    What is made of parts, as this makes it, is taken apart again: nobody then
    needs the whole, and TensorFlow does not make it.
    """
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
        return function(*rows)
    tensors = [one for one in tree.flatten(rows) if one is not None]
    parts = {id(one): _find_parts(one, count) for one in tensors}
    known = [found for found in parts.values() if found]
    if known:
        sizes = [tf.shape(part)[0] for part in known[0]]
    else:
        total = tf.shape(tensors[0])[0]
        sizes = [(total + n) // count for n in range(count)]
    for one in tensors:
        if not parts[id(one)]:
            parts[id(one)] = tf.split(one, tf.stack(sizes), num=count)

    def cut(number: int) -> Any:
        return tree.map_structure(
            lambda one: None if one is None else parts[id(one)][number], rows
        )

    found = [function(*cut(number)) for number in range(count)]
    return tree.map_structure(lambda *one: _join(one), *found)


def halve_rows(rows: Tensor) -> Sequence[Tensor]:
    """As `recurrence.halve_rows`."""
    return _find_parts(rows, 2) or tf.split(rows, 2)


def _join(parts: Sequence[Tensor | None]) -> Tensor | None:
    return None if parts[0] is None else tf.concat(parts, 0, name=JOINED)


def _find_parts(values: Tensor, count: int) -> list[Tensor] | None:
    """What `_join` made `values` of, whose rows may have had other axes."""
    if not tf.is_symbolic_tensor(values):
        return None
    operation, is_as_joined = values.op, True
    while operation.type in (*VIEWS, "Cast"):
        is_as_joined &= operation.type in ("Cast", "Identity")
        operation = operation.inputs[0].op
    name = operation.name.rsplit("/", 1)[-1]
    if operation.type != "ConcatV2" or not name.startswith(JOINED):
        return None
    *parts, _ = operation.inputs
    if len(parts) != count:
        return None
    if not is_as_joined:
        sizes = [one.shape[1:].num_elements() for one in (values, *parts)]
        if None in sizes or len(set(sizes)) > 1:
            return None
        parts = [tf.reshape(part, [-1, *values.shape[1:]]) for part in parts]
    return [tf.cast(part, values.dtype) for part in parts]
