"""The loss by chunks of tokens: the same training, without all logits."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import keras_s2s as s2s
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.layers.transformer_encoder import TransformerEncoder
from keras_s2s.losses import SequenceLoss
from keras_s2s.metrics import Perplexity
from keras_s2s.metrics import SequenceAccuracy
from keras_s2s.metrics import SequenceMetric
from keras_s2s.metrics import TokenAccuracy
from keras_s2s.models import Seq2Seq
from tests import numerics

SOURCE_IDS = np.array([[5, 6, 3, 0], [7, 9, 4, 3], [8, 3, 0, 0]], "int32")
TARGET_IDS = np.array([[2, 5, 6, 0], [2, 7, 0, 0], [2, 4, 5, 9]], "int32")
LABELS = np.array([[5, 6, 3, 0], [7, 3, 0, 0], [4, 5, 9, 3]], "int32")
INPUTS = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}
# Of the 9 real labels one counts nothing.
WEIGHTS = np.array([[1, 0.3, 0.5, 1], [0, 2, 1, 1], [0.7, 1, 1, 3]], "float32")


def make_model(dtype=None, tied=False, decoder=TransformerDecoder):
    keras.utils.set_random_seed(0)
    return Seq2Seq(
        TransformerEncoder(10, 8, 16, 1, 2, dtype=dtype),
        decoder(11, 8, 16, 1, 2, tie_embeddings=tied, dtype=dtype),
    )


def make_recurrent_model(dtype=None, tied=False):
    keras.utils.set_random_seed(0)
    return Seq2Seq(
        s2s.layers.RNNEncoder(10, 4, 6, dtype=dtype),
        s2s.layers.RNNDecoder(11, 4, 6, tie_embeddings=tied, dtype=dtype),
    )


def make_metrics():
    return {
        "metrics": [TokenAccuracy(), SequenceAccuracy()],
        "weighted_metrics": [
            Perplexity(),
            TokenAccuracy(ignore_id=None, name="accuracy_of_all"),
        ],
    }


def train(model, loss, steps=2, weights=WEIGHTS, metrics=None, **options):
    """Returns logs of training and evaluation, and the steps of weights."""
    start = model.get_weights()
    options = {"optimizer": keras.optimizers.SGD(0.5), **options}
    model.compile(loss=loss, **(metrics or {}), **options)
    logs = [
        model.train_on_batch(INPUTS, LABELS, weights, return_dict=True)
        for _ in range(steps)
    ]
    logs.append(
        model.evaluate(
            INPUTS,
            LABELS,
            sample_weight=weights,
            batch_size=3,
            return_dict=True,
            verbose=0,
        )
    )
    moved = [new - old for new, old in zip(model.get_weights(), start)]
    model.set_weights(start)
    return logs, moved


def assert_same(found, expected, tolerance):
    for one, other in zip(found[0], expected[0], strict=True):
        assert set(one) == set(other)
        for name in one:
            values = one[name], other[name]
            if name == "perplexity":  # Of 1e15, it holds no sixth digit.
                values = np.log(values)
            np.testing.assert_allclose(*values, rtol=tolerance, err_msg=name)
    largest = max(np.max(np.abs(step)) for step in expected[1])
    assert largest > 1e-3
    for step, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(step, other, atol=tolerance * largest)


# 9 real labels: chunks of 3, of 5 and 4, and one of 9.
@pytest.mark.parametrize(
    "make, sizes, tied",
    [(make_model, (3, 5, 100), True), (make_recurrent_model, (5,), False)],
)
def test_chunks_train_as_the_whole_in_float64(make, sizes, tied):
    model = make("float64", tied)
    loss = SequenceLoss(label_smoothing=0.1)
    expected = train(model, loss, run_eagerly=True)
    for size in sizes:
        loss = SequenceLoss(label_smoothing=0.1, chunk_size=size)
        found = train(model, loss, run_eagerly=size != 5 or not tied)
        # The weights of labels come in float32.
        assert_same(found, expected, 1e-9)


@pytest.mark.parametrize(
    "normalizer, option",
    [
        ("sequences", "run_eagerly"),
        ("none", "run_eagerly"),
        ("tokens", "jit_compile"),
    ],
)
def test_every_normalizer_and_metric_works(normalizer, option):
    model = make_model()
    expected, found = (
        train(
            model,
            SequenceLoss(normalizer, chunk_size=size),
            metrics=make_metrics(),
            **{option: True},
        )
        for size in (None, 4)
    )
    # Seen apart: of two steps the second starts from other roundings.
    assert_same(found, expected, 2e-6)


def test_one_step_agrees_to_a_millionth(eagerly):
    model = make_model()
    expected, found = (
        train(model, SequenceLoss(chunk_size=size), steps=1)
        for size in (None, 4)
    )
    assert_same(found, expected, 1e-6)


def test_what_nobody_counts_is_left_out():
    # Labels of 0 have no share, and no metric asks for them.
    model = make_model()
    expected, found = (
        train(
            model,
            SequenceLoss("sequences", chunk_size=size),
            metrics={"metrics": [SequenceAccuracy()]},
            run_eagerly=True,
        )
        for size in (None, 2)
    )
    assert_same(found, expected, 2e-6)


def test_mixed_precision_trains_alike():
    model = make_model("mixed_float16")
    expected, found = (
        train(model, SequenceLoss(chunk_size=size), run_eagerly=size is None)
        for size in (None, 4)
    )
    assert_same(found, expected, 0.005)


@keras.saving.register_keras_serializable(package="tests")
class WatchedDecoder(TransformerDecoder):
    """Notes how many rows its output layer saw at a time, eagerly."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rows = set()

    def project(self, features):
        logits = super().project(features)
        shape = tuple(logits.shape[:-1])
        self.rows.add(None if None in shape else int(np.prod(shape)))
        # What a user may do here counts too.
        return 3.0 * logits


def test_no_more_rows_than_a_chunk_have_logits_at_once():
    model = make_model(decoder=WatchedDecoder)
    expected, found = [], []
    for results, size in ((expected, None), (found, 4)):
        model.decoder.rows = set()
        loss = SequenceLoss(chunk_size=size)
        results.extend(train(model, loss, run_eagerly=True))
    assert_same(found, expected, 2e-6)
    # 9 real labels make three chunks of 3.
    if keras.backend.backend() == "tensorflow":
        assert max(model.decoder.rows - {None}) == 3


def test_a_batch_of_only_padding_and_one_of_one_token():
    model = make_model()
    model.compile("sgd", loss=SequenceLoss(chunk_size=4))
    nothing = np.zeros_like(LABELS)
    assert float(model.train_on_batch(INPUTS, nothing)) == 0.0
    for weight in model.weights:
        assert np.all(np.isfinite(numerics.numpy(weight.value)))
    labels = nothing.copy()
    labels[1, 0] = 7
    one, expected = (
        train(
            model,
            SequenceLoss(chunk_size=size),
            steps=1,
            weights=None,
            run_eagerly=True,
        )
        for size in (4, None)
    )
    assert_same(one, expected, 1e-6)


def test_frozen_weights_stay(eagerly):
    model = make_model()
    model.decoder.output_layer.trainable = False
    _, moved = train(model, SequenceLoss(chunk_size=4))
    moved = dict(zip([weight.path for weight in model.weights], moved))
    frozen = {weight.path for weight in model.decoder.output_layer.weights}
    for path, step in moved.items():
        assert path not in frozen or not np.any(step), path
    assert sum(bool(np.any(step)) for step in moved.values()) > 10


def test_fit_learns_and_a_saved_model_goes_on_alike(tmp_path, eagerly):
    model = make_model()
    model.compile(
        keras.optimizers.Adam(0.01),
        loss=SequenceLoss(chunk_size=4),
        metrics=[TokenAccuracy()],
    )
    history = model.fit(
        INPUTS,
        LABELS,
        batch_size=2,
        epochs=3,
        shuffle=False,
        validation_data=(INPUTS, LABELS),
        verbose=0,
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {
        *("loss", "token_accuracy", "val_loss", "val_token_accuracy")
    }
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.loss.chunk_size == 4
    for _, one in itertools.product(range(2), (model, loaded)):
        one.fit(INPUTS, LABELS, batch_size=3, verbose=0)
    for one, other in zip(loaded.get_weights(), model.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_regularization_is_added():
    values = []
    for size in (None, 4):
        model = make_model()
        model.decoder.embedding.embeddings.regularizer = keras.regularizers.L2(
            0.1
        )
        loss = SequenceLoss(chunk_size=size)
        values.append(train(model, loss, run_eagerly=True))
    assert_same(values[1], values[0], 2e-6)
    loss = SequenceLoss(chunk_size=4)
    plain = train(make_model(), loss, run_eagerly=True)
    assert values[1][0][0]["loss"] > 1.01 * plain[0][0]["loss"]


class WholeDecoder(TransformerDecoder):
    """As a user writes one: nothing but `call` and the steps."""

    features = s2s.layers.Decoder.features


class OwnMetric(SequenceMetric):
    """Writes `measure`, which must see all logits of a batch."""

    def measure(self, labels, logits, weights):
        return ops.sum(weights), ops.sum(weights)


def test_what_cannot_do_with_chunks_is_refused():
    loss = SequenceLoss(chunk_size=4)
    model = make_model()
    model.decoder.__class__ = WholeDecoder
    message = "`chunk_size` must be None where the decoder has no `features`"
    with pytest.raises(ValueError, match=message):
        model.compile(loss=loss)
    model = make_model()
    for metric in ("accuracy", OwnMetric(), keras.metrics.Mean()):
        for name in ("metrics", "weighted_metrics"):
            message = "`chunk_size` must be None where a metric is no"
            with pytest.raises(ValueError, match=message):
                model.compile(loss=loss, **{name: [metric]})
    message = "`loss_weights` must be None where the loss has a `chunk_size`"
    with pytest.raises(ValueError, match=message):
        model.compile(loss=loss, loss_weights=[2.0])


def test_what_is_refused_leaves_the_model_compiled_as_it_was():
    loss, model = SequenceLoss(chunk_size=4), make_model()
    model.compile("adam", loss=SequenceLoss(), r_drop=2.0)
    before = model.get_compile_config()
    with pytest.raises(ValueError, match="`loss_weights` must be None"):
        model.compile(loss=loss, loss_weights=[2.0])
    assert model.get_compile_config() == before and before["r_drop"] == 2.0
