"""The loss over vectors, against slow NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import SequenceRegressionLoss
from keras_s2s.normalizers import NORMALIZERS
from keras_s2s.regression import ERRORS
from tests import numerics

NAN = np.nan
RANDOM = np.random.default_rng(3)
PREDICTIONS = RANDOM.normal(size=(3, 4, 2)).astype("float32")
LABELS = RANDOM.normal(size=(3, 4, 2), scale=2.0).astype("float32")
LABELS[1, 2:] = LABELS[2, 1:] = NAN  # padding
HOLES = LABELS.copy()
HOLES[0, 1, 1] = NAN  # one value of a position is missing
MASK = ~np.isnan(LABELS).all(-1)
DELTA = 0.75
every_normalizer = pytest.mark.parametrize("normalizer", NORMALIZERS)


def slow_error(error, difference):
    size = abs(difference)
    if error == "squared":
        return size * size
    if error == "absolute":
        return size
    return size * size / 2 if size <= DELTA else DELTA * (size - DELTA / 2)


def slow_loss(error, normalizer, labels, weights):
    """Value by value, in loops."""
    totals, counts, heaviest = np.zeros(3), np.zeros(3), np.zeros(3)
    for row, step, channel in np.ndindex(labels.shape):
        if np.isnan(labels[row, step, channel]):
            continue
        difference = float(PREDICTIONS[row, step, channel])
        difference -= float(labels[row, step, channel])
        weight = weights[row, step] / 2  # two channels
        totals[row] += weight * slow_error(error, difference)
        counts[row] += weight
        there = np.mean(~np.isnan(labels[row, step]))
        heaviest[row] = max(heaviest[row], weights[row, step] * there)
    if normalizer == "none":
        return totals.sum()
    if normalizer == "tokens":
        return totals.sum() / counts.sum()
    if normalizer == "batch":
        return totals.sum() / np.sum(counts > 0)
    return np.sum(heaviest * totals / counts) / heaviest.sum()


def gradient(loss, labels, predictions):
    predictions = keras.Variable(predictions)
    _, (found,) = numerics.value_and_gradients(
        lambda: loss(labels, predictions), [predictions]
    )
    return numerics.numpy(found)


@pytest.mark.parametrize("error", ERRORS)
@every_normalizer
def test_value_matches_numpy(error, normalizer):
    loss = SequenceRegressionLoss(error, normalizer, DELTA)
    rows = np.array([1.0, 0.5, 2.0])
    steps = RANDOM.uniform(0.1, 2.0, size=(3, 4))
    for labels in (LABELS, HOLES):
        for given, weights in (
            (None, np.ones((3, 4))),
            (rows, np.tile(rows[:, None], (1, 4))),
            (steps, steps),
        ):
            expected = slow_loss(error, normalizer, labels, weights)
            found = float(loss(labels, PREDICTIONS, given))
            assert found == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    labels = np.array([[[1.0, 4.0], [NAN, 3.0]], [[2.0, 2.0], [NAN, NAN]]])
    zeros = np.zeros((2, 2, 2))
    expected = {
        "tokens": (1 + 4 + 3 + 2 + 2) / 5,
        # Means of 8 / 3 and 2, of rows whose heaviest positions weigh 1.
        "sequences": (8 / 3 + 2) / 2,
        "batch": ((1 + 4 + 3) / 2 + 2) / 2,
        "none": (1 + 4 + 3 + 2 + 2) / 2,
    }
    for normalizer, value in expected.items():
        loss = SequenceRegressionLoss("absolute", normalizer)
        assert float(loss(labels, zeros)) == pytest.approx(value, rel=1e-6)


@every_normalizer
def test_nan_equals_sample_weight(normalizer):
    loss = SequenceRegressionLoss("huber", normalizer)
    by_nan = float(loss(LABELS, PREDICTIONS))
    zeros = np.nan_to_num(LABELS)
    by_weight = float(loss(zeros, PREDICTIONS, MASK.astype("float32")))
    by_both = float(loss(LABELS, PREDICTIONS, MASK.astype("float32")))
    assert by_nan == by_weight == by_both


@pytest.mark.parametrize("error", ERRORS)
@every_normalizer
def test_padding_changes_nothing(error, normalizer):
    loss = SequenceRegressionLoss(error, normalizer)
    padding = ((0, 2), (0, 3), (0, 0))
    labels = np.pad(HOLES, padding, constant_values=NAN)
    # Nor does what the model makes of it, were it NaN itself.
    predictions = np.pad(PREDICTIONS, padding, constant_values=NAN)
    value, padded = loss(HOLES, PREDICTIONS), loss(labels, predictions)
    assert float(padded) == pytest.approx(float(value), rel=1e-6)
    wide = gradient(loss, labels, predictions)
    narrow = gradient(loss, HOLES, PREDICTIONS)
    np.testing.assert_allclose(wide[:3, :4], narrow, rtol=1e-6, atol=1e-8)
    assert not wide[3:].any() and not wide[:, 4:].any()
    assert not narrow[np.isnan(HOLES)].any()
    assert narrow[~np.isnan(HOLES)].all()


@every_normalizer
def test_nothing_that_counts_is_zero(normalizer):
    loss = SequenceRegressionLoss("squared", normalizer)
    nothing = np.full((3, 4, 2), NAN, "float32")
    assert float(loss(nothing, PREDICTIONS)) == 0.0
    assert not gradient(loss, nothing, PREDICTIONS).any()
    empty = np.zeros((0, 4, 2), "float32")
    assert float(loss(empty, empty)) == 0.0


def test_half_precision_is_computed_in_float32_and_float64_stays():
    value = SequenceRegressionLoss("squared", "none")(
        tf.fill((2, 300, 1), 20.0), tf.zeros((2, 300, 1), "float16")
    )
    assert value.dtype == "float32" and float(value) == 600 * 400.0
    value = SequenceRegressionLoss()(LABELS, PREDICTIONS.astype("float64"))
    assert value.dtype == "float64"


def test_its_config_survives():
    loss = SequenceRegressionLoss("huber", "batch", 0.5, "name")
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()
    assert float(copy(LABELS, PREDICTIONS)) == float(loss(LABELS, PREDICTIONS))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"error": "cubic"}, "`error` must be one of"),
        ({"normalizer": "values"}, "`normalizer` must be one of"),
        ({"delta": 0.0}, r"`delta` must be a number in \(0.0, inf\)"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SequenceRegressionLoss(**options)


@pytest.mark.parametrize(
    "labels, predictions, message",
    [
        ((3, 4), (3, 4, 2), r"`y_true` must be of the shape of `y_pred`, \(3,"),
        ((3, 4, 1), (3, 4, 2), "`y_true` must be of the shape of `y_pred`"),
        ((3, 4), (3, 4), r"`y_pred` must be vectors of shape \(B, T, C\)"),
    ],
)
def test_other_shapes_are_refused(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        SequenceRegressionLoss()(np.zeros(labels), np.zeros(predictions))


def test_weights_of_another_rank_are_refused():
    with pytest.raises(ValueError, match="`sample_weight` must be of shape"):
        SequenceRegressionLoss()(LABELS, PREDICTIONS, np.ones((3, 4, 2)))
