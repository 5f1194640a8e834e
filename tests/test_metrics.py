import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.losses import SequenceLoss
from keras_s2s.metrics import Perplexity
from keras_s2s.metrics import SequenceAccuracy
from keras_s2s.metrics import TokenAccuracy

METRICS = [TokenAccuracy, Perplexity, SequenceAccuracy]

LABELS = np.array([[3, 1, 2, 4], [2, 3, 0, 0], [1, 0, 0, 0]])  # 0 is padding
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], "float32")
# Right but for the second label of the first row; padding is guessed wrong.
GUESSES = np.array([[3, 2, 2, 4], [2, 3, 1, 1], [1, 4, 4, 4]])
LOGITS = np.log(np.where(np.eye(5)[GUESSES], 0.6, 0.1)).astype("float32")

# 6 of 7 labels; 2 of 3 rows; 0.6 for each right label and 0.1 for the other
EXPECTED = {
    TokenAccuracy: 6 / 7,
    SequenceAccuracy: 2 / 3,
    Perplexity: np.exp(-(6 * np.log(0.6) + np.log(0.1)) / 7),
}


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("by", ["ignore_id", "sample_weight", "both"])
def test_value_by_hand(kind, by):
    metric = kind(ignore_id=None if by == "sample_weight" else 0)
    weights = None if by == "ignore_id" else MASK
    value = float(metric(LABELS, LOGITS, weights))
    assert value == pytest.approx(EXPECTED[kind], rel=1e-6)


@pytest.mark.parametrize("kind", METRICS)
def test_padding_changes_nothing(kind):
    labels = np.pad(LABELS, ((0, 2), (0, 3)))
    logits = np.pad(LOGITS, ((0, 2), (0, 3), (0, 0)), constant_values=9.0)
    value = float(kind()(labels, logits))
    assert value == pytest.approx(EXPECTED[kind], rel=1e-6)


@pytest.mark.parametrize("kind", METRICS)
def test_batches_do_not_change_the_epoch(kind):
    metric = kind()
    for row in range(3):
        metric.update_state(LABELS[row : row + 1], LOGITS[row : row + 1])
    assert float(metric.result()) == pytest.approx(EXPECTED[kind], rel=1e-6)
    metric.reset_state()
    metric.update_state(LABELS[1:], LOGITS[1:])
    expected = {Perplexity: 1 / 0.6}.get(kind, 1.0)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_nothing_counted_is_no_nan():
    for kind, expected in zip(METRICS, (0.0, 1.0, 0.0)):
        metric = kind()
        assert float(metric.result()) == expected
        metric.update_state(0 * LABELS, LOGITS)
        assert float(metric.result()) == expected


def test_row_weights():
    rows = np.array([1.0, 3.0, 0.0])
    value = float(TokenAccuracy()(LABELS, LOGITS, rows))
    assert value == pytest.approx((3 + 3 * 2) / (4 + 3 * 2))
    value = float(SequenceAccuracy()(LABELS, LOGITS, rows))
    assert value == pytest.approx(3 / 4)
    value = float(Perplexity()(LABELS, LOGITS, rows))
    nats = -(3 * np.log(0.6) + np.log(0.1) + 3 * 2 * np.log(0.6))
    assert value == pytest.approx(np.exp(nats / 10), rel=1e-6)


@pytest.mark.parametrize("kind", METRICS)
def test_other_ignore_ids(kind):
    labels = np.where(MASK, LABELS, -100)
    value = float(kind(ignore_id=-100)(labels, LOGITS))
    assert value == pytest.approx(EXPECTED[kind], rel=1e-6)


def test_perplexity_of_uniform_logits_is_the_vocabulary():
    for dtype in ("float16", "float32"):
        value = float(Perplexity()(LABELS, tf.zeros((3, 4, 1000), dtype)))
        assert value == pytest.approx(1000.0, rel=1e-5)


def make_model(**options):
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(5, 5)(ids))
    model.compile("sgd", SequenceLoss(), jit_compile=False, **options)
    return model


@pytest.mark.parametrize("kind", METRICS)
def test_metrics_and_weighted_metrics_are_equal(kind):
    model = make_model(
        metrics=[kind(name="plain")], weighted_metrics=[kind(name="weighted")]
    )
    found = model.evaluate(LABELS, LABELS, 2, 0, MASK, return_dict=True)
    logits = model.predict(LABELS, verbose=0)
    expected = float(kind()(LABELS, logits))
    assert found["plain"] == found["weighted"]
    assert found["plain"] == pytest.approx(expected, rel=1e-6)


# Keras 3.15 saves variables through an old signature of NumPy's.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("kind", METRICS)
def test_loaded_model_keeps_the_metric(kind, tmp_path):
    model = make_model(metrics=[kind(ignore_id=4)])
    value = model.evaluate(LABELS, LABELS, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = loaded.evaluate(LABELS, LABELS, verbose=0, return_dict=True)
    assert found == value
    logits = model.predict(LABELS, verbose=0)
    expected = float(kind(ignore_id=4)(LABELS, logits))
    assert value[kind().name] == pytest.approx(expected, rel=1e-6)


def test_default_names():
    names = [kind().name for kind in METRICS]
    assert names == ["token_accuracy", "perplexity", "sequence_accuracy"]


@pytest.mark.parametrize("kind", METRICS)
def test_early_stopping_knows_the_direction(kind):
    stopping = keras.callbacks.EarlyStopping(monitor=f"val_{kind().name}")
    model = make_model(metrics=[kind()])
    model.evaluate(LABELS, LABELS, verbose=0)
    stopping.set_model(model)
    stopping.on_train_begin()
    stopping._set_monitor_op()
    is_better = bool(stopping.monitor_op(2.0, 1.0))
    assert is_better == (kind is not Perplexity)


def test_refuses_arguments():
    message = "`ignore_id` must be an integer .* ignore_id='0'."
    with pytest.raises(TypeError, match=message):
        TokenAccuracy(ignore_id="0")
    message = r"`y_true` must be int ids of shape \(B, T\). .*\(3, 4, 1\)"
    with pytest.raises(ValueError, match=message):
        TokenAccuracy()(LABELS[..., None], LOGITS)
    message = r"`y_pred` must be logits of shape \(B, T, V\). .*\(3, 4\)"
    with pytest.raises(ValueError, match=message):
        TokenAccuracy()(LABELS, LABELS)
