"""What steps write on TensorFlow is held once."""

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.recurrence.tensorflow_series import Series
from keras_s2s.recurrence.tensorflow_steps import PackedSteps
from keras_s2s.recurrence.tensorflow_steps import Steps

SIZES = [3, 2]  # rows of each step, where they are packed


def walks():
    return {
        "padded": Steps(tf.constant(2), tf.constant(2), reverse=False),
        "packed": PackedSteps(tf.constant(SIZES), reverse=False),
    }


def write_and_read(walk, views, specs):
    """Writes what `views` makes of the rows of each step.

    Returns:
        The series, the sequences of its group, and what step 1 reads.
    """
    series = Series(walk, [specs])
    rows = tf.reshape(tf.range(24.0), (2, 3, 4))

    def body(number, arrays):
        values = rows[number]
        if isinstance(walk, PackedSteps):
            values = values[: walk.sizes[number]]
        return number + 1, series.write(arrays, number, [views(values)])

    _, arrays = tf.while_loop(
        lambda number, arrays: number < 2,
        body,
        (tf.constant(0), series.start()),
    )
    joined = series.join(arrays, 0)
    return series, joined, series.read(arrays, tf.constant(1))[0]


@pytest.mark.parametrize("kind", ["padded", "packed"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_views_of_one_tensor_are_held_once(kind, in_graph):
    holders = []

    def views(rows):
        doubled = 2 * rows
        flat = tf.reshape(tf.expand_dims(doubled, 1), (-1, 2, 2))
        return [rows, tf.identity(rows), doubled, flat, tf.exp(rows)]

    def run():
        walk = walks()[kind]
        size = None if kind == "packed" else 3
        specs = [tf.TensorSpec([size, 4])] * 5
        specs[3] = tf.TensorSpec([size, 2, 2])
        series, joined, read = write_and_read(walk, views, specs)
        holders.append(series.holders)
        return joined, read

    joined, read = (tf.function(run) if in_graph else run)()
    assert holders == [[0, 0, 2, 2, 4] if in_graph else [0, 1, 2, 3, 4]]
    rows = np.arange(24.0).reshape(2, 3, 4)
    last = rows[1]
    if kind == "packed":
        last = last[:2]
        rows = np.concatenate([rows[0], last])
    for all_steps, one_step, expected in zip(
        joined, read, zip(views(rows), views(last))
    ):
        np.testing.assert_allclose(
            np.reshape(all_steps, np.shape(rows)),
            np.reshape(expected[0], np.shape(rows)),
        )
        np.testing.assert_allclose(one_step, expected[1])
        assert all_steps.shape[-1] == one_step.shape[-1]


def test_rows_of_another_size_are_held_apart():
    walk = walks()["padded"]

    def views(rows):
        return [rows, tf.reshape(rows, (6, 2))]

    @tf.function
    def run():
        specs = [tf.TensorSpec([3, 4]), tf.TensorSpec([6, 2])]
        series, joined, _ = write_and_read(walk, views, specs)
        assert series.holders == [0, 1]
        return joined

    first, second = run()
    np.testing.assert_array_equal(np.reshape(first, (2, 6, 2)), second)


def test_rows_of_an_unknown_size_are_held_apart():
    walk = walks()["padded"]

    @tf.function
    def run():
        specs = [tf.TensorSpec([3, None])] * 2
        series, *_ = write_and_read(walk, lambda rows: [rows, rows], specs)
        return tf.constant(series.holders)

    np.testing.assert_array_equal(run(), [0, 1])


def test_a_scalar_is_held_apart_from_its_row():
    walk = walks()["padded"]

    def views(rows):
        total = tf.reduce_sum(rows)
        return [total, tf.expand_dims(total, 0), tf.identity(total)]

    @tf.function
    def run():
        specs = [tf.TensorSpec([]), tf.TensorSpec([1]), tf.TensorSpec([])]
        series, joined, read = write_and_read(walk, views, specs)
        assert series.holders == [0, 1, 0]
        return joined, read

    joined, read = run()
    assert [np.shape(one) for one in joined] == [(2,), (2, 1), (2,)]
    assert [np.shape(one) for one in read] == [(), (1,), ()]


@pytest.mark.parametrize("name, rows", [("padded", 3), ("packed", None)])
def test_one_step_tells_what_all_make(name, rows):
    walk = walks()[name]
    assert walk.step_spec(tf.zeros((3, 2))).shape.as_list() == [rows, 2]
    assert walk.step_spec(1.0).shape.rank == 0
