"""What every layer keeps, whatever it does."""

import json

import keras
import numpy as np
from keras import ops

from tests.numerics import dtype_of
from tests.numerics import floats
from tests.numerics import numpy


def spec_of(structure, free_axes=0):
    """Returns symbolic inputs with the first `free_axes` axes unknown."""

    def spec(tensor):
        free = min(free_axes, len(tensor.shape) - 1)
        shape = (None,) * free + tuple(tensor.shape)[free:]
        return keras.KerasTensor(shape, dtype=dtype_of(tensor))

    return keras.tree.map_structure(spec, structure)


def cast_floats(structure, dtype):
    return keras.tree.map_structure(
        lambda x: ops.cast(x, dtype) if dtype_of(x)[:5] == "float" else x,
        keras.tree.map_structure(ops.convert_to_tensor, structure),
    )


def check_layer(make, *inputs, build=None, free_axes=1):
    """What every layer keeps, whatever it does.

    Its config survives a round trip through JSON, and makes an equal layer;
    symbolic and eager shapes agree; the policy says the dtype of each float
    result; and nothing is NaN.

    Args:
        make: callable `make(dtype=...)`, returns the layer.
        inputs: what it is called with, arrays; floats get the policy's dtype.
        build: tuple or None. Arguments of `build`, where the layer's inputs
            do not tell them.
        free_axes: int. How many axes the layer takes without their size.
    """

    def start(layer):
        if build is not None and not layer.built:
            layer.build(*build)
        return layer

    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        layer = start(make(dtype=policy))
        arguments = cast_floats(list(inputs), layer.compute_dtype)
        results = layer(*arguments)
        for tensor in keras.tree.flatten(results):
            if keras.backend.is_float_dtype(dtype_of(tensor)):
                assert dtype_of(tensor) == layer.compute_dtype
                assert np.all(np.isfinite(numpy(ops.cast(tensor, "float32"))))
        for weight in layer.weights:
            assert dtype_of(weight) == layer.variable_dtype
    layer = start(make(dtype="float32"))
    arguments = cast_floats(list(inputs), "float32")
    results = layer(*arguments)
    for free in {0, free_axes}:
        symbolic = layer(*spec_of(arguments, free))
        keras.tree.map_structure(check_spec, symbolic, results)

    config = as_json(keras.saving.serialize_keras_object(layer))
    copy = start(keras.saving.deserialize_keras_object(config))
    copy(*arguments)
    assert as_json(copy.get_config()) == as_json(layer.get_config())
    copy.set_weights(layer.get_weights())
    for one, other in zip(floats(copy(*arguments)), floats(results)):
        np.testing.assert_array_equal(one, other)


def as_json(config):
    return json.loads(json.dumps(config))


def check_spec(symbolic, tensor):
    assert dtype_of(symbolic) == dtype_of(tensor)
    assert len(symbolic.shape) == len(tensor.shape)
    for size, expected in zip(symbolic.shape, tensor.shape):
        assert size in (None, expected)
