"""Numbers on whatever backend: compared, differentiated, in a graph."""

import keras
import numpy as np
from keras import ops

TENSORFLOW = keras.backend.backend() == "tensorflow"

# JAX has no float64 unless told at its start; on torch Keras makes float32
# of it here and there.
EXACT = "float64" if TENSORFLOW else "float32"

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def assert_close(found, expected, tolerance):
    """Compares nested arrays, relative to the largest value of each."""
    found, expected = (
        [np.asarray(part) for part in keras.tree.flatten(numpy(structure))]
        for structure in (found, expected)
    )
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one.shape == other.shape
        scale = np.max(np.abs(other), initial=1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def value_and_gradients(function, variables):
    """Returns `function()`, a scalar, and its gradients, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        values = [variable.value for variable in variables]
        return value, [
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(
                value, values, unconnected_gradients="zero"
            )
        ]
    if backend == "torch":
        import torch

        value = function()
        return value, torch.autograd.grad(
            value,
            [variable.value for variable in variables],
            allow_unused=True,
            materialize_grads=True,
        )
    import jax

    def run(values):
        with keras.StatelessScope(list(zip(variables, values))):
            return function()

    # As a whole: JAX would compile each of its operations alone.
    values = [variable.value for variable in variables]
    return jax.jit(jax.value_and_grad(run))(values)


def compiled(function):
    """As a whole on JAX, which would compile each operation alone."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def in_graph(function):
    """Takes inputs of unknown lengths, in a graph where there is one."""
    if not TENSORFLOW:
        return compiled(function)
    import tensorflow as tf

    def call(*arguments):
        signature = [
            tf.TensorSpec((None, None, *one.shape[2:]), one.dtype)
            for one in arguments
        ]
        run = traced.get_concrete_function(*signature)
        return run(*map(tf.convert_to_tensor, arguments))

    traced = tf.function(function, autograph=False)
    return call


def log_softmax(logits):
    logits = logits.astype("float64")
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.sum(np.exp(logits), -1, keepdims=True))


def floats(structure):
    return [
        np.asarray(numpy(tensor))
        for tensor in keras.tree.flatten(structure)
        if keras.backend.is_float_dtype(dtype_of(tensor))
    ]


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)
