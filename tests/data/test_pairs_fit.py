"""What Keras does with batches of any lengths."""

import keras
import numpy as np
import pytest

from keras_s2s import batching
from keras_s2s.data import SequencePairs
from tests.data.test_pairs import random_pairs


def make_model():
    keras.utils.set_random_seed(0)
    source = keras.Input((None,), dtype="int32", name="source_ids")
    target = keras.Input((None,), dtype="int32", name="target_ids")
    memory = keras.layers.Embedding(300, 4)(source)
    memory = keras.layers.GlobalAveragePooling1D(keepdims=True)(memory)
    hidden = keras.layers.Embedding(300, 4)(target) + memory
    logits = keras.layers.Dense(300)(hidden)
    model = keras.Model({"source_ids": source, "target_ids": target}, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.5)
    model.compile(optimizer, loss, jit_compile=False)
    return model


def test_fit_takes_any_lengths_in_any_order():
    # Keras would take the first target length for the only one.
    source = [[5], [5], [5, 6], [5, 6, 7]]
    target = [[8], [8], [8], [8, 9, 8]]
    model = make_model()
    for seed in range(3):
        data = SequencePairs(source, target, batch_size=1, seed=seed)
        model.fit(data, epochs=2, verbose=0)
    data = SequencePairs(source, target, batch_size=1, shuffle=False)
    assert model.evaluate(data, verbose=0) > 0


@pytest.mark.parametrize("seed", range(20))
def test_the_first_two_batches_differ_in_each_length_that_varies(seed):
    data = SequencePairs(*random_pairs(20, 3, seed), batch_size=2)
    lengths = np.array(data.shapes)[:, 1:]
    varies = (lengths != lengths[0]).any(axis=0)
    for data.epoch in range(5):
        first, second = (
            np.array([data[i][0]["source_ids"].shape[1], data[i][1].shape[1]])
            for i in range(2)
        )
        assert np.array_equal(first != second, varies)


def test_only_a_pair_that_differs_in_both_lengths_comes_first():
    lengths = np.array([[8, 8], [8, 8], [8, 10], [8, 8], [10, 8]])
    order = batching.vary_first(np.arange(5), lengths)
    assert order.tolist() == [2, 4, 0, 1, 3]
    order = batching.vary_first(np.arange(3), np.array([[8, 8]] * 3))
    assert order.tolist() == [0, 1, 2]
    order = batching.vary_first(
        np.arange(3), np.array([[8, 8], [8, 8], [8, 9]])
    )
    assert order.tolist() == [0, 2, 1]


def test_resumed_training_is_the_same_training():
    pairs = random_pairs(60, 6)
    straight, resumed = make_model(), make_model()
    straight.fit(
        SequencePairs(*pairs, batch_size=8), epochs=4, shuffle=False, verbose=0
    )
    data = SequencePairs(*pairs, batch_size=8)
    resumed.fit(data, epochs=2, shuffle=False, verbose=0)
    data = SequencePairs(*pairs, batch_size=8)
    data.epoch = 2
    resumed.fit(data, initial_epoch=2, epochs=4, shuffle=False, verbose=0)
    for one, other in zip(straight.get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
