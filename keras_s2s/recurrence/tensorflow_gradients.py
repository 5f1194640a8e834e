"""Gradients of a step whose rows are as many in all its tensors.

Of `x * y` with an unknown number of rows TensorFlow finds out anew, each time
it runs, whether one of them had a single row that was repeated, which takes
more operations than the gradient itself. In the step of a scan none has. And
it asks each tensor that was reshaped, or joined to others, for its shape, and
has to compute it again for that, where what is known of it says enough.
"""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import tensorflow as tf

Tensor: TypeAlias = Any

# The size of an axis that a tensor has not.
ABSENT = -1


def differentiate(
    run: Callable[[list[Tensor]], tuple[list[Tensor], list[Tensor]]],
    inputs: list[Tensor],
    upstream: list[Tensor],
) -> list[Tensor]:
    """Returns the gradients of `inputs`, then of what `run` found on its way.

    Args:
        run: callable. Inputs -> outputs, and tensors between them.
        inputs: list of float tensors.
        upstream: list of float tensors, the gradients of the outputs.
    """
    options = {"unconnected_gradients": tf.UnconnectedGradients.ZERO}
    if tf.executing_eagerly():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs, between = run(inputs)
        sources = [*inputs, *between]
        gradients = tape.gradient(outputs, sources, upstream, **options)
    else:
        # `tf.gradients` goes on beyond a loop unless it is told where to stop.
        inputs = [tf.identity(tensor) for tensor in inputs]
        with tf.compat.v1.get_default_graph().gradient_override_map(GRADIENTS):
            outputs, between = run(inputs)
        gradients = tf.gradients(
            outputs,
            [*inputs, *between],
            upstream,
            stop_gradients=inputs,
            **options,
        )
    # What `take` hands back is sparse.
    return [tf.convert_to_tensor(value) for value in gradients]


@tf.RegisterGradient("KerasS2SAdd")
def _add_gradient(op, d):
    return _sum_repeated(op, d, d)


@tf.RegisterGradient("KerasS2SSubtract")
def _subtract_gradient(op, d):
    return _sum_repeated(op, d, -d)


@tf.RegisterGradient("KerasS2SMultiply")
def _multiply_gradient(op, d):
    x, y = op.inputs
    return _sum_repeated(op, d * y, d * x)


@tf.RegisterGradient("KerasS2SReshape")
def _reshape_gradient(op, d):
    return [_reshape_like(d, op.inputs[0]), *[None] * (len(op.inputs) - 1)]


@tf.RegisterGradient("KerasS2SConcat")
def _concat_gradient(op, d):
    *parts, axis = op.inputs
    place = tf.get_static_value(axis)
    sizes = [None if place is None else part.shape[place] for part in parts]
    if None in sizes:
        sizes = tf.stack([tf.shape(part)[axis] for part in parts])
    return [*tf.split(d, sizes, axis, num=len(parts)), None]


GRADIENTS = {
    "AddV2": "KerasS2SAdd",
    "ConcatV2": "KerasS2SConcat",
    "ExpandDims": "KerasS2SReshape",
    "Mul": "KerasS2SMultiply",
    "Reshape": "KerasS2SReshape",
    "Squeeze": "KerasS2SReshape",
    "Sub": "KerasS2SSubtract",
}


def _reshape_like(d, tensor):
    """Reshapes to the shape of a tensor, without it where that can be."""
    sizes = [None, None]
    if tensor.shape.rank is not None:
        sizes = tensor.shape.as_list()
    if sizes.count(None) > 1 or 0 in sizes:
        return tf.reshape(d, tf.shape(tensor))
    return tf.reshape(d, [-1 if size is None else size for size in sizes])


def _sum_repeated(op, *gradients):
    """Sums over the axes along which an input was repeated."""
    axes = _repeated_axes(*[tensor.shape for tensor in op.inputs])
    if axes is None:
        shapes = [tf.shape(tensor) for tensor in op.inputs]
        axes = tf.raw_ops.BroadcastGradientArgs(s0=shapes[0], s1=shapes[1])
    return [
        d
        if isinstance(along, list) and not along
        else _reshape_like(tf.reduce_sum(d, along), tensor)
        for d, tensor, along in zip(gradients, op.inputs, axes)
    ]


def _repeated_axes(x, y):
    """The axes along which each was repeated, or None where TensorFlow knows
    only when it runs."""
    if x.rank is None or y.rank is None:
        return None
    rank = max(x.rank, y.rank)
    repeated = ([], [])
    for axis in range(-rank, 0):
        sizes = [
            shape[axis] if -axis <= shape.rank else ABSENT for shape in (x, y)
        ]
        is_unknown = None in sizes and not {ABSENT, 1} & set(sizes)
        if is_unknown and (axis > -rank or sizes != [None, None]):
            return None
        if sizes[0] == sizes[1]:
            continue
        for size, axes in zip(sizes, repeated):
            # What has size 1 is not repeated where the other has no such axis.
            if size == ABSENT or (size == 1 and ABSENT not in sizes):
                axes.append(axis + rank)
    return repeated
