"""Compiled updates of weights on TensorFlow are those of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.recurrence import tensorflow_updates
from keras_s2s.recurrence.tensorflow_updates import fast_updates

# Three of six parts have two weights each.
SHAPES = [(7, 5), (), (3,), (1, 40), (3,), (2,), (30, 2), (2, 2, 2), (2,)]
NUM_PARTS = 6


def scaled():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1))


def scheduled():
    rate = keras.optimizers.schedules.InverseTimeDecay(0.1, 2, 0.5)
    return keras.optimizers.Adam(rate)


# Those whose weights are each updated by their own gradient alone.
IN_PARTS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.1, amsgrad=True),
    "nadam": lambda: keras.optimizers.Nadam(0.1),
    "adafactor": lambda: keras.optimizers.Adafactor(0.1),
    "a schedule": scheduled,
}
AS_A_WHOLE = {
    "decay": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.1),
    "norm": lambda: keras.optimizers.Adam(0.1, clipnorm=0.5),
    "global norm": lambda: keras.optimizers.Adam(0.1, global_clipnorm=0.5),
    "value": lambda: keras.optimizers.SGD(0.1, clipvalue=0.1),
    "average": lambda: keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "accumulated": lambda: keras.optimizers.Adam(
        0.1, gradient_accumulation_steps=2
    ),
    "scaled": scaled,
}
ALL = {**IN_PARTS, **AS_A_WHOLE}


def make_weights():
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape), dtype="float32")
        for shape in SHAPES
    ]


def make_step(name, fast):
    """Returns the variables that a step changes, and the step, as a graph."""
    weights = make_weights()
    optimizer = ALL[name]()
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(number):
        gradients = [
            tf.cos(tf.cast(number, "float32") + 3 * weight)
            for weight in weights
        ]
        if not fast:
            optimizer.apply(gradients, weights)
            return
        with fast_updates(optimizer):
            optimizer.apply(gradients, weights)

    return [*weights, *optimizer.variables], step


@pytest.mark.parametrize("name", ALL)
def test_weights_are_those_of_keras(name):
    results = []
    for fast in (False, True):
        variables, step = make_step(name, fast)
        for number in range(5):
            step(tf.constant(number))
        results.append([keras.ops.convert_to_numpy(v) for v in variables])
    for found, expected in zip(*results):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_what_is_compiled(name):
    step = make_step(name, fast=True)[1]
    graph = step.get_concrete_function(tf.constant(0)).graph
    calls = [
        node
        for node in graph.get_operations()
        if node.type.endswith("PartitionedCall")
        and node.get_attr("_XlaMustCompile")
    ]
    assert len(calls) == (NUM_PARTS if name in IN_PARTS else 1)


def test_parts_have_every_weight_once_and_are_of_a_size():
    weights = [weight.value for weight in make_weights()]
    weights = 5 * [*weights, tf.Variable(tf.zeros((100, 3)))]
    pairs = list(enumerate(weights))
    parts = tensorflow_updates._split(pairs)
    assert sum(parts, []) == pairs
    assert len(parts) <= tensorflow_updates.MOST_PARTS
    sizes = [
        sum(weight.shape.num_elements() for _, weight in part) for part in parts
    ]
    largest = max(weight.shape.num_elements() for weight in weights)
    assert max(sizes) < sum(sizes) / len(parts) + largest


def test_an_optimizer_is_left_as_it_was():
    optimizer = keras.optimizers.Adam()
    before = set(vars(optimizer))
    with fast_updates(optimizer):
        assert set(vars(optimizer)) != before
    assert set(vars(optimizer)) == before


def test_eagerly_as_well():
    weights = make_weights()
    expected = [weight - 0.5 for weight in weights]
    optimizer = keras.optimizers.SGD(0.5)
    with fast_updates(optimizer):
        optimizer.apply([tf.ones(shape) for shape in SHAPES], weights)
    for found, one in zip(weights, expected):
        np.testing.assert_allclose(found, one, rtol=1e-6)
