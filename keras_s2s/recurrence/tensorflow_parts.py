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


def split_rows(values: Tensor, sizes: Sequence[Tensor]) -> list[Tensor]:
    """As `recurrence.split_rows`; parts share the memory of `values`."""
    return tf.split(values, tf.stack(sizes), num=len(sizes))


def share_rows(
    function: Callable, tensors: Sequence[Tensor], count: int
) -> Any:
    """As `recurrence.share_rows`, in `count` parts.

    What is made of parts, as this makes it, is taken apart again: nobody then
    needs the whole, and TensorFlow does not make it.
    """
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
        return function(*tensors)
    known = {n: _find_parts(one, count) for n, one in enumerate(tensors)}
    known = {n: parts for n, parts in known.items() if parts}
    if known:
        sizes = [tf.shape(part)[0] for part in next(iter(known.values()))]
    else:
        total = tf.shape(tensors[0])[0]
        sizes = [(total + n) // count for n in range(count)]
    parts = zip(
        *[
            known.get(n) or split_rows(one, sizes)
            for n, one in enumerate(tensors)
        ]
    )
    found = [function(*part) for part in parts]
    return tree.map_structure(lambda *one: _join(one), *found)


def _join(parts: Sequence[Tensor | None]) -> Tensor | None:
    return None if parts[0] is None else tf.concat(parts, 0)


def _find_parts(values: Tensor, count: int) -> list[Tensor] | None:
    """The tensors that `values` was made of, one behind the other, if any."""
    if not tf.is_symbolic_tensor(values):
        return None
    operation = values.op
    while operation.type in (*VIEWS, "Cast"):
        operation = operation.inputs[0].op
    if operation.type != "ConcatV2" or len(operation.inputs) != count + 1:
        return None
    *parts, axis = operation.inputs
    sizes = [one.shape[1:].num_elements() for one in (values, *parts)]
    if tf.get_static_value(axis) != 0 or None in sizes or len(set(sizes)) > 1:
        return None
    return [
        tf.cast(tf.reshape(part, [-1, *values.shape[1:]]), values.dtype)
        for part in parts
    ]
