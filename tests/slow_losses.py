"""Losses in slow NumPy, and what every backend must make of them."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.losses import SequenceLoss
from keras_s2s.losses import sequence_loss
from keras_s2s.losses import token_divergences
from keras_s2s.losses import token_losses
from keras_s2s.normalizers import NORMALIZERS
from tests import numerics

LABELS = np.array([[3, 1, 2, 4], [2, 3, 0, 0], [1, 0, 0, 0]])  # 0 is padding
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], "float32")
LOGITS = np.random.default_rng(7).normal(size=(3, 4, 5)).astype("float32")


def slow_losses(labels, logits, smoothing=0.0):
    logits = logits.astype("float64")
    vocabulary_size = logits.shape[-1]
    log_sum = np.log(np.exp(logits).sum(-1, keepdims=True))
    target = np.eye(vocabulary_size)[labels] * (1.0 - smoothing)
    target += smoothing / vocabulary_size
    return -(target * (logits - log_sum)).sum(-1)


def slow_loss(normalizer, labels, logits, weights, smoothing=0.0):
    losses = slow_losses(labels, logits, smoothing)
    total = (losses * weights).sum()
    if normalizer == "tokens":
        return total / weights.sum()
    if normalizer == "batch":
        return total / len(labels)
    if normalizer == "none":
        return total
    rows = (losses * weights).sum(1) / weights.sum(1)
    heaviest = weights.max(1)
    return (rows * heaviest).sum() / heaviest.sum()


def check_values():
    """Holds every loss to NumPy, and training with a row of padding."""
    for normalizer in NORMALIZERS:
        for smoothing in (0.0, 0.1):
            loss = SequenceLoss(normalizer, smoothing)
            for weights, full in (
                (None, MASK),
                (MASK, MASK),
                (np.array([1.0, 0.5, 2.0]), MASK * [[1.0], [0.5], [2.0]]),
            ):
                expected = slow_loss(
                    normalizer, LABELS, LOGITS, full, smoothing
                )
                found = float(loss(LABELS, LOGITS, weights))
                assert found == pytest.approx(expected, rel=1e-5)
    expected = slow_loss("sequences", LABELS, LOGITS, MASK)
    found = float(sequence_loss(LOGITS, LABELS, MASK))
    assert found == pytest.approx(expected, rel=1e-5)
    rounded = ops.cast(LOGITS, "bfloat16")
    expected = slow_loss(
        "tokens",
        LABELS,
        ops.convert_to_numpy(ops.cast(rounded, "float32")),
        MASK,
    )
    found = float(SequenceLoss()(LABELS, rounded))
    assert found == pytest.approx(expected, rel=1e-5)
    check_an_unlikely_label_counts()
    check_a_row_of_padding_trains()
    check_divergences()


def check_an_unlikely_label_counts():
    """Its loss is right, and changes that of no other label of its batch."""
    logits = np.array([[2.0, 0.5, -70.0, -1e3]] * 4, "float32")
    # Probable, of a probability that float32 rounds to 0, and lost to it.
    labels = np.array([0, 1, 2, 3])
    likely = np.log(1.0 + np.exp(-1.5))
    expected = [likely, 1.5 + likely, 72.0 + likely, 1002.0 + likely]
    found = numerics.numpy(token_losses(labels, logits))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    few = numerics.numpy(token_losses(labels[:2], logits[:2]))
    np.testing.assert_array_equal(few, found[:2])
    smooth = numerics.numpy(token_losses(labels, logits, 0.2))
    mean = likely + 2.0 - logits[0].mean()
    expected = 0.8 * np.array(expected) + 0.2 * mean
    np.testing.assert_allclose(smooth, expected, rtol=1e-6)


def check_a_row_of_padding_trains():
    """Its gradient has to be 0, not NaN."""
    inputs = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(5, 5, embeddings_initializer="ones")
    model = keras.Model(inputs, embedding(inputs))
    model.compile(keras.optimizers.SGD(1.0), SequenceLoss("sequences", 0.1))
    padded = np.concatenate([LABELS, 0 * LABELS[:1]])
    losses = [float(model.train_on_batch(padded, padded)) for _ in range(2)]
    assert losses[0] == pytest.approx(np.log(5.0)) and losses[1] < losses[0]


def slow_divergences(logits, other_logits):
    """As the formula has it, op by op."""
    score, other_score = map(ops.log_softmax, (logits, other_logits))
    difference = ops.exp(score) - ops.exp(other_score)
    return 0.5 * ops.sum(difference * (score - other_score), axis=-1)


def check_divergences():
    """What R-Drop adds, and its gradients, which are written out."""
    shares = np.arange(1.0, 13.0, dtype="float32").reshape(3, 4)

    def total(divergences, variables):
        return ops.sum(ops.multiply(divergences(*variables), shares))

    for others in (-9.0 * LOGITS, 0.9 * LOGITS):  # far apart, and alike
        variables = [keras.Variable(part) for part in (LOGITS, others)]
        found, expected = (
            numerics.value_and_gradients(
                functools.partial(total, divergences, variables), variables
            )
            for divergences in (token_divergences, slow_divergences)
        )
        for one, other in zip(found, expected):  # the value, and gradients
            numerics.assert_close(one, other, 1e-5)
    # The same distributions, if not the same logits.
    for others in (LOGITS, LOGITS + 50.0, LOGITS - 50.0):
        same = numerics.numpy(token_divergences(LOGITS, others))
        assert np.all(same >= 0) and np.all(same < 2e-5)
