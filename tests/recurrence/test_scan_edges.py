"""What a step may not do, and where a scan may be made."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s.recurrence import linear
from keras_s2s.recurrence import scan
from tests.recurrence.test_scan import B
from tests.recurrence.test_scan import T
from tests.recurrence.test_scan import U
from tests.recurrence.test_scan import numbers
from tests.recurrence.test_scan import variable
from tests.recurrence.test_scan import weighted_sum


def test_a_variable_that_is_not_named_raises():
    kernel = variable(U, U)

    def step(state, inputs, constants):
        return linear(state, kernel) + inputs, state

    with pytest.raises(ValueError, match="`variables` must hold each"):
        scan(step, numbers(B, U), numbers(T, B, U))


def test_a_variable_that_is_not_named_raises_outside_of_a_product():
    bias = variable(U)

    def step(state, inputs, constants):
        return state + bias + inputs, state

    with pytest.raises(ValueError, match="`variables` must hold each"):
        scan(step, numbers(B, U), numbers(T, B, U))


def test_a_variable_that_is_written_in_a_step_raises():
    dropout = keras.layers.Dropout(0.5, dtype="float64", seed=1)
    dropout.build((None, U))

    def step(state, inputs, constants):
        return dropout(state, training=True) + inputs, state

    with pytest.raises(ValueError, match="must not be assigned"):
        scan(
            step,
            numbers(B, U),
            numbers(T, B, U),
            variables=dropout.variables,
        )


def test_threads_do_not_disturb_each_other():
    started, done = threading.Event(), threading.Event()
    kernel = variable(U, U)

    def step(state, inputs, constants):
        started.set()
        done.wait(10)
        return state, state

    thread = threading.Thread(
        target=lambda: scan(step, numbers(B, U), numbers(1, B, U))
    )
    thread.start()
    started.wait(10)
    try:
        product = linear(numbers(B, U), kernel)
    finally:
        done.set()
        thread.join()
    expected = numbers(B, U).numpy() @ kernel.numpy()
    np.testing.assert_allclose(product, expected)


def test_a_graph_made_without_a_tape_has_its_gradient():
    kernel = variable(U, U)

    def step(state, inputs, constants):
        state = ops.tanh(linear(state, kernel) + inputs)
        return state, state

    @tf.function(autograph=False)
    def run(inputs):
        return scan(step, tf.zeros((B, U), "float64"), inputs, (), (), [kernel])

    inputs = numbers(T, B, U)
    run(inputs)
    assert run.experimental_get_tracing_count() == 1
    found = []
    for function in (run, run.python_function):
        with tf.GradientTape() as tape:
            outputs, _ = function(inputs)
            loss = weighted_sum(outputs, 0)
        found.append(tape.gradient(loss, kernel.value))
    assert run.experimental_get_tracing_count() == 1
    np.testing.assert_allclose(*found)
