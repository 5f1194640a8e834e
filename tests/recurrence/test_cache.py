"""A slice written into a buffer: its value, its gradient, a loop of them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.recurrence import allocate
from keras_s2s.recurrence import make_room
from keras_s2s.recurrence import write_slice
from tests import numerics

SHAPES = [(2, 3, 4), (2, 1, 5, 3), (1, 2, 3, 2, 2)]


def check_a_slice_is_written(shape, compiled):
    """At each place, beside NumPy; `backend_laws` runs it, too."""
    random = np.random.default_rng(0)
    buffer = keras.Variable(random.normal(size=shape), dtype="float32")
    value = keras.Variable(
        random.normal(size=(*shape[:2], *shape[3:])), dtype="float32"
    )
    weighing = random.normal(size=shape).astype("float32")
    start = numerics.numpy(buffer.value)

    def total():
        # As tensors: `tf.custom_gradient` refuses variables.
        values = ops.multiply(buffer, 1.0), ops.multiply(value, 1.0)
        written = write_slice(values[0], position, values[1], compiled)
        return ops.sum(ops.multiply(written, weighing))

    for place in range(shape[2]):
        position = ops.convert_to_tensor(place, "int32")
        expected = start.copy()
        expected[:, :, place] = numerics.numpy(value.value)
        before = ops.multiply(buffer, 1.0)
        found = write_slice(before, position, value.value, compiled)
        np.testing.assert_array_equal(numerics.numpy(found), expected)
        # Nothing else that holds the buffer sees it change.
        np.testing.assert_array_equal(numerics.numpy(before), start)
        to_buffer = weighing.copy()
        to_buffer[:, :, place] = 0
        _, gradients = numerics.value_and_gradients(total, [buffer, value])
        numerics.assert_close(
            gradients, [to_buffer, weighing[:, :, place]], 1e-6
        )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_slice_is_written(shape, compiled):
    check_a_slice_is_written(shape, compiled)


@pytest.mark.parametrize("dtype", ["int32", "float16", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_it_takes_any_dtype(dtype, compiled):
    buffer = ops.zeros((1, 2, 3), dtype)
    value = ops.ones((1, 2), dtype)
    found = write_slice(buffer, ops.array(1, "int32"), value, compiled)
    assert numerics.dtype_of(found) == dtype
    found = numerics.numpy(ops.cast(found, "int32"))
    assert found.tolist() == [[[0, 1, 0], [0, 1, 0]]]


def write_in_a_loop(value, num_steps, length, compiled):
    """Returns what the steps left, another buffer, and the room of each."""
    import tensorflow as tf

    @tf.function(
        jit_compile=compiled,
        input_signature=[tf.TensorSpec((None, 2))],
        autograph=False,
    )
    def run(value):
        def body(position, buffer, rooms):
            (buffer,) = make_room([buffer], position, length)
            room = tf.fill([1], tf.shape(buffer)[2])
            rooms = tf.tensor_scatter_nd_update(rooms, [[position]], room)
            scaled = value * tf.cast(position + 1, "float32")
            buffer = write_slice(buffer, position, scaled, compiled)
            return position + 1, buffer, rooms

        # Of one shape, but never one buffer.
        start, other = (
            allocate((tf.shape(value)[0], 2, length), "float32", compiled)
            for _ in range(2)
        )
        start = (tf.constant(0), start, tf.zeros([num_steps], "int32"))
        last = tf.while_loop(lambda n, *_: n < num_steps, body, start)
        return last[1], other, last[2]

    # Nothing is left of a run in the next.
    run(value + 1.0)
    return [numerics.numpy(part) for part in run(value)]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("length", [5, 37])
def test_a_loop_in_a_graph_writes_every_place(length, compiled):
    value = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    steps = length - 1
    written, other, _ = write_in_a_loop(value, steps, length, compiled)
    expected = value[:, :, None] * [*range(1, length), 0]
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(other, np.zeros(other.shape))


def test_a_buffer_grows_as_it_is_filled():
    value = np.ones((2, 2), "float32")
    rooms = write_in_a_loop(value, 37, 37, compiled=False)[2]
    assert rooms.tolist() == [16] * 16 + [32] * 16 + [37] * 5
    rooms = write_in_a_loop(value, 5, 5, compiled=False)[2]
    assert rooms.tolist() == [5] * 5
    rooms = write_in_a_loop(value, 37, 37, compiled=True)[2]
    assert rooms.tolist() == [37] * 37
