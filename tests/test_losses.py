import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import SequenceLoss
from keras_s2s.losses import sequence_loss
from keras_s2s.losses import sequence_loss_by_example
from keras_s2s.losses import token_losses
from keras_s2s.normalizers import NORMALIZERS
from tests.slow_losses import LABELS
from tests.slow_losses import LOGITS
from tests.slow_losses import MASK
from tests.slow_losses import check_an_unlikely_label_counts
from tests.slow_losses import check_divergences
from tests.slow_losses import slow_loss
from tests.slow_losses import slow_losses


def gradient(loss, labels, logits, sample_weight=None):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits, sample_weight)
    return tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_token_losses_match_numpy(smoothing):
    expected = slow_losses(LABELS, LOGITS, smoothing)
    losses = token_losses(LABELS, LOGITS, smoothing)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    flat = token_losses(LABELS.ravel(), LOGITS.reshape(-1, 5), smoothing)
    np.testing.assert_allclose(flat, expected.ravel(), rtol=1e-5)


def test_token_losses_are_stable():
    logits = np.array([[1e4, 0.0, -1e4]], "float32")
    assert float(token_losses([0], logits)[0]) == 0.0
    assert float(token_losses([2], logits)[0]) == 2e4
    # 0.5 * 1e4 + 0.5 * (1e4 - 0)
    assert float(token_losses([1], logits, 0.5)[0]) == 1e4


def test_an_unlikely_label_counts():
    check_an_unlikely_label_counts()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_value_matches_numpy(normalizer, smoothing):
    loss = SequenceLoss(normalizer, smoothing)
    expected = slow_loss(normalizer, LABELS, LOGITS, MASK, smoothing)
    assert float(loss(LABELS, LOGITS)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_ignore_id_equals_sample_weight(normalizer):
    by_id = SequenceLoss(normalizer)(LABELS, LOGITS)
    by_weight = SequenceLoss(normalizer, ignore_id=None)(LABELS, LOGITS, MASK)
    by_both = SequenceLoss(normalizer)(LABELS, LOGITS, MASK)
    over_all = SequenceLoss(normalizer)(LABELS, LOGITS, np.ones((3, 4)))
    assert float(by_id) == float(by_weight) == float(by_both)
    assert float(by_id) == float(over_all)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_padding_changes_nothing(normalizer, smoothing):
    loss = SequenceLoss(normalizer, smoothing)
    labels = np.pad(LABELS, ((0, 2), (0, 3)))
    logits = np.pad(LOGITS, ((0, 2), (0, 3), (0, 0)), constant_values=9.0)
    value, padded = float(loss(LABELS, LOGITS)), float(loss(labels, logits))
    assert padded == pytest.approx(value, rel=1e-6)
    wide = gradient(loss, labels, logits)
    narrow = gradient(loss, LABELS, LOGITS)
    np.testing.assert_allclose(wide[:3, :4], narrow, rtol=1e-6, atol=1e-8)
    assert not wide[3:].any() and not wide[:, 4:].any()
    assert not narrow[MASK == 0].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_gradient_matches_finite_differences(normalizer, smoothing):
    weights = MASK * np.array([[1.0], [0.5], [2.0]])
    expected = np.zeros(LOGITS.shape)
    step = 1e-5
    for index in np.ndindex(*LOGITS.shape):
        move = np.zeros(LOGITS.shape)
        move[index] = step
        up, down = (
            slow_loss(
                normalizer, LABELS, LOGITS + sign * move, weights, smoothing
            )
            for sign in (1.0, -1.0)
        )
        expected[index] = (up - down) / (2 * step)
    loss = SequenceLoss(normalizer, smoothing)
    for sample_weight in (weights, np.array([1.0, 0.5, 2.0])):
        found = gradient(loss, LABELS, LOGITS, sample_weight)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_row_weights_count_for_all_labels_of_a_row(normalizer):
    loss = SequenceLoss(normalizer)
    rows = np.array([1.0, 0.5, 2.0])
    expected = slow_loss(normalizer, LABELS, LOGITS, MASK * rows[:, None])
    for sample_weight in (rows, rows[:, None], MASK * rows[:, None]):
        value = float(loss(LABELS, LOGITS, sample_weight))
        assert value == pytest.approx(expected, rel=1e-5)


def test_normalizers_by_hand():
    labels, logits = np.array([[1, 1, 1], [1, 0, 0]]), np.zeros((2, 3, 2))
    logits[1, 0, 1] = np.log(3.0)  # probability 3/4
    two, four_thirds = np.log(2.0), np.log(4.0 / 3.0)
    expected = {
        "tokens": (3 * two + four_thirds) / 4,
        "sequences": (two + four_thirds) / 2,
        "batch": (3 * two + four_thirds) / 2,
        "none": 3 * two + four_thirds,
    }
    for normalizer, value in expected.items():
        found = float(SequenceLoss(normalizer)(labels, logits))
        assert found == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_nothing_that_counts_is_zero(normalizer):
    loss = SequenceLoss(normalizer)
    assert float(loss(np.zeros((3, 4), int), LOGITS)) == 0.0
    assert not gradient(loss, np.zeros((3, 4), int), LOGITS).any()
    empty = loss(np.zeros((0, 4), int), np.zeros((0, 4, 5), "float32"))
    assert float(empty) == 0.0


@pytest.mark.parametrize("ignore_id", [-100, 4])
def test_other_ignore_ids(ignore_id):
    labels = np.where(MASK, np.minimum(LABELS, 3), ignore_id)
    expected = slow_loss("tokens", np.minimum(LABELS, 3), LOGITS, MASK)
    value = float(SequenceLoss(ignore_id=ignore_id)(labels, LOGITS))
    assert value == pytest.approx(expected, rel=1e-5)


def test_without_ignore_id_label_0_counts():
    value = float(SequenceLoss(ignore_id=None)(LABELS, LOGITS))
    expected = slow_losses(LABELS, LOGITS).mean()
    assert value == pytest.approx(expected, rel=1e-5)


def test_a_keras_mask_on_the_logits_is_not_read():
    logits = keras.ops.convert_to_tensor(LOGITS)
    logits._keras_mask = keras.ops.zeros((3, 4), "bool")
    value = float(SequenceLoss()(LABELS, logits))
    assert value == float(SequenceLoss()(LABELS, LOGITS))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    logits = tf.zeros((2, 300, 5000), dtype)
    value = SequenceLoss("none")(np.ones((2, 300), int), logits)
    assert value.dtype == "float32"
    assert float(value) == pytest.approx(600 * np.log(5000.0), rel=1e-5)


def test_float64_stays_float64():
    value = SequenceLoss()(LABELS, LOGITS.astype("float64"))
    assert value.dtype == "float64"
    expected = slow_loss("tokens", LABELS, LOGITS, MASK)
    assert float(value) == pytest.approx(expected, rel=1e-12)


def test_legacy_check_values():
    logits = np.full((2, 3, 5), 0.5, "float32")
    ones = np.ones((2, 3))
    for flags, expected in (
        ((True, True), 1.60944),
        ((False, True), 4.828314),
        ((False, False), 9.656628),
    ):
        value = sequence_loss(logits, ones, ones, *flags)
        assert float(value) == pytest.approx(expected, rel=1e-5)
    rows = sequence_loss_by_example(logits, ones, ones)
    np.testing.assert_allclose(rows, [1.609438, 1.609438], rtol=1e-6)
    rows = sequence_loss_by_example(logits, ones, ones, False)
    np.testing.assert_allclose(rows, [4.828314, 4.828314], rtol=1e-6)


def test_legacy_means_are_of_examples():
    weights = MASK * np.array([[0.5, 1.0, 2.0, 0.25]])
    losses = slow_losses(LABELS, LOGITS) * weights
    rows = losses.sum(1) / (weights.sum(1) + 1e-12)
    found = sequence_loss_by_example(LOGITS, LABELS, weights)
    np.testing.assert_allclose(found, rows, rtol=1e-5)
    value = float(sequence_loss(LOGITS, LABELS, weights))
    assert value == pytest.approx(rows.mean(), rel=1e-5)
    value = float(sequence_loss(LOGITS, LABELS, weights, True, False))
    assert value == pytest.approx(rows.sum(), rel=1e-5)
    assert float(sequence_loss(LOGITS, LABELS, 0 * weights)) == 0.0


def test_legacy_lists_are_time_major():
    arrays = (LOGITS, LABELS, MASK)
    lists = [[array[:, t] for t in range(4)] for array in arrays]
    assert float(sequence_loss(*lists)) == float(sequence_loss(*arrays))


def test_sequences_is_the_legacy_loss():
    value = float(SequenceLoss("sequences")(LABELS, LOGITS))
    legacy = float(sequence_loss(LOGITS, LABELS, MASK))
    assert value == pytest.approx(legacy, rel=1e-6)


def make_model(loss, **options):
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(5, 5)(ids))
    model.compile("sgd", loss, **options)
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("weights", [None, MASK, np.array([1.0, 0.5, 2.0])])
def test_fit_and_evaluate_show_the_value(weights, jit_compile):
    model = make_model(SequenceLoss(), jit_compile=jit_compile)
    logits = model.predict(LABELS, verbose=0)
    counted = MASK if weights is None else MASK * weights.reshape(3, -1)
    expected = slow_loss("tokens", LABELS, logits, counted)
    value = model.evaluate(LABELS, LABELS, 3, 0, weights)
    assert value == pytest.approx(expected, rel=1e-5)
    history = model.fit(LABELS, LABELS, 3, verbose=0, sample_weight=weights)
    assert history.history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_epoch_value_is_weighted_by_rows():
    model = make_model(SequenceLoss(), jit_compile=False)
    logits = model.predict(LABELS, verbose=0)
    halves = [
        slow_loss("tokens", LABELS[part], logits[part], MASK[part])
        for part in (slice(0, 2), slice(2, 3))
    ]
    expected = (2 * halves[0] + 1 * halves[1]) / 3
    assert model.evaluate(LABELS, LABELS, 2, 0) == pytest.approx(expected, 1e-5)


# Keras 3.15 saves variables through an old signature of NumPy's.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_compiled_model_keeps_the_loss(tmp_path):
    loss = SequenceLoss("batch", 0.2, ignore_id=4, name="named", chunk_size=8)
    model = make_model(loss, jit_compile=False)
    value = model.evaluate(LABELS, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == {
        "name": "named",
        "normalizer": "batch",
        "label_smoothing": 0.2,
        "ignore_id": 4,
        "chunk_size": 8,
    }
    assert loaded.evaluate(LABELS, LABELS, verbose=0) == value


def test_the_divergence_and_its_gradient_are_those_of_the_formula():
    check_divergences()
