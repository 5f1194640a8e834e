"""The training model: its steps, its wiring, and that it learns."""

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import numerics
from tests import pairs


def small_model(encoder=None, decoder=None, **options):
    """Draws its weights from a seed; `options` go to both layers."""
    keras.utils.set_random_seed(0)
    return Seq2Seq(
        s2s.layers.RNNEncoder(13, 4, 6, **{**(encoder or {}), **options}),
        s2s.layers.RNNDecoder(11, 4, 6, **{**(decoder or {}), **options}),
    )


def copy_task(count=16, length=3):
    """Copying words: inputs, labels and weights."""
    random = np.random.default_rng(0)
    words = random.integers(4, 11, (count, length)).astype("int32")
    column = np.ones((count, 1), "int32")
    inputs = {
        "source_ids": np.concatenate([words, 3 * column], axis=1),
        "target_ids": np.concatenate([2 * column, words], axis=1),
    }
    labels = np.concatenate([words, 3 * column], axis=1)
    return inputs, labels


def fit_losses(model, epochs=3, **options):
    model.compile(
        keras.optimizers.Adam(0.02), loss=s2s.losses.SequenceLoss(), **options
    )
    inputs, labels = copy_task()
    history = model.fit(inputs, labels, epochs=epochs, verbose=0)
    return history.history["loss"]


def test_it_learns_in_mixed_precision(eagerly):
    losses = fit_losses(small_model(dtype="mixed_float16"))
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


@pytest.mark.parametrize("option", ["run_eagerly", "jit_compile"])
def test_it_learns_eagerly_and_compiled(option):
    model = small_model({"bidirectional": False}, {"cell": "gru"})
    losses = fit_losses(model, **{option: True})
    assert losses[-1] < losses[0]


def test_ways_to_run_give_one_loss():
    options = {"encoder": {"cell": "gru"}, "decoder": {"attention": "dot"}}
    options["encoder"]["bidirectional"] = False
    first, second = (
        fit_losses(small_model(**options), epochs=1, run_eagerly=eagerly)
        for eagerly in (True, False)
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)


@pytest.mark.parametrize(
    "normalizer, padding, eagerly",
    [("tokens", 3, False), ("sequences", 0, True), ("batch", 3, True)],
)
def test_a_training_step_follows_the_gradient_of_the_loss(
    normalizer, padding, eagerly
):
    encoder, decoder = pairs.build(*pairs.make_layers("default"))
    model = Seq2Seq(encoder, decoder)
    weights = pairs.weights_of(encoder, decoder)
    source_ids, target_ids, labels = pairs.sentences()
    loss = s2s.losses.SequenceLoss(normalizer)

    def value():
        return loss(labels, decoder(target_ids, encoder(source_ids)))

    start = [numerics.numpy(weight.value) for weight in weights]
    expected, gradients = numerics.value_and_gradients(value, weights)
    model.compile(keras.optimizers.SGD(0.5), loss=loss, run_eagerly=eagerly)
    inputs = {
        "source_ids": pairs.pad(source_ids, padding),
        "target_ids": pairs.pad(target_ids, padding),
    }
    found = model.train_on_batch(inputs, pairs.pad(labels, padding))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    steps = [at - numerics.numpy(w.value) for at, w in zip(start, weights)]
    numerics.assert_close(
        steps, [0.5 * numerics.numpy(g) for g in gradients], 1e-4
    )


def test_a_word_that_comes_twice_takes_one_step(eagerly):
    model = Seq2Seq(*pairs.build(*pairs.make_layers("unfed")))
    _, target_ids, labels = pairs.sentences()
    source_ids = np.array([[5, 5, 6], [5, 6, 0], [5, 0, 0]], "int32")
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    before = [numerics.numpy(w.value) for w in model.trainable_weights]
    model.compile(keras.optimizers.Adam(0.01), loss=s2s.losses.SequenceLoss())
    model.train_on_batch(inputs, labels)
    # The first step of Adam is the learning rate times the gradient's sign.
    for weight, value in zip(model.trainable_weights, before):
        step = np.max(np.abs(numerics.numpy(weight.value) - value))
        assert step < 0.0101, weight.path


def test_sample_weights_weigh():
    model = small_model()
    inputs, labels = copy_task(4)
    model.compile("sgd", loss=s2s.losses.SequenceLoss())
    weights = np.zeros(labels.shape, "float32")
    weights[1, 2], weights[3, 0] = 1.0, 3.0
    scores = numerics.log_softmax(numerics.numpy(model(inputs)))
    losses = -np.take_along_axis(scores, labels[..., None], 2)[..., 0]
    expected = (losses[1, 2] + 3 * losses[3, 0]) / 4
    found = model.evaluate(inputs, labels, sample_weight=weights, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_model_wired_by_hand_is_the_same():
    encoder, decoder = pairs.pair("luong")
    source = keras.Input((None,), dtype="int32", name="source_ids")
    target = keras.Input((None,), dtype="int32", name="target_ids")
    model = keras.Model(
        {"source_ids": source, "target_ids": target},
        decoder(target, encoder(source)),
    )
    source_ids, target_ids, _ = pairs.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    numerics.assert_close(model(inputs), pairs.model_of("luong")(inputs), 1e-6)
    found, expected = (
        InferenceModel(m, max_length=4)(source_ids)
        for m in (model, pairs.model_of("luong"))
    )
    numerics.assert_close(found, expected, 0)


def test_a_model_inside_a_model_trains(eagerly):
    model = small_model({"cell": "gru"}, {"attention": None})
    outer = keras.Model(model.input, model(model.input))
    inputs, labels = copy_task(4)
    outer.compile(keras.optimizers.SGD(0.1), loss=s2s.losses.SequenceLoss())
    before = [numerics.numpy(w.value) for w in model.trainable_weights]
    first = outer.train_on_batch(inputs, labels)
    assert outer.train_on_batch(inputs, labels) < first
    for weight, value in zip(model.trainable_weights, before):
        assert np.any(numerics.numpy(weight.value) != value), weight.path


def test_frozen_layers_stay(eagerly):
    model = small_model({"cell": "gru"}, {"attention": "general"})
    model.encoder.trainable = False
    before = [numerics.numpy(w.value) for w in model.weights]
    fit_losses(model, epochs=1)
    count = len(model.encoder.weights)
    for weight, value in zip(model.encoder.weights, before[:count]):
        np.testing.assert_array_equal(numerics.numpy(weight.value), value)
    assert len(model.trainable_weights) == len(before) - count


def test_a_summary_counts_every_weight_once():
    model, lines = pairs.model_of("default"), []
    model.summary(print_fn=lambda line, **options: lines.append(line))
    # 452 in the encoder, 780 in the decoder: counted in their own tests.
    assert model.count_params() == 452 + 780
    assert "1,232" in "\n".join(lines)


def test_a_model_can_be_plotted(tmp_path):
    pytest.importorskip("pydot")
    try:
        keras.utils.plot_model(pairs.model_of("default"), tmp_path / "x.png")
    except ImportError:
        pytest.skip("graphviz is missing")


def test_its_parts_must_be_layers_of_their_kind():
    encoder, decoder = pairs.make_layers("default")
    with pytest.raises(TypeError, match="`encoder` must be a keras_s2s.layers"):
        Seq2Seq(decoder, encoder)
    with pytest.raises(TypeError, match="`decoder` must be a keras_s2s.layers"):
        Seq2Seq(encoder, keras.layers.Dense(3))


@pytest.mark.parametrize(
    "name, bad, size",
    [
        ("source_ids", 13, 13),
        ("source_ids", -1, 13),
        ("target_ids", 11, 11),
        ("labels", 12, 11),
    ],
)
def test_ids_outside_the_vocabulary_are_refused(name, bad, size):
    model = pairs.model_of("default")
    inputs, labels = copy_task(2)
    arrays = {**inputs, "labels": labels}
    arrays[name] = arrays[name].copy()
    arrays[name][1, 1] = bad
    labels = arrays.pop("labels")
    message = (
        rf"`{name}` must hold ids in \[0, {size}\), the vocabulary. "
        f"Received: an id of {bad}"
    )
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            method(arrays, labels)


def test_pairs_with_ids_outside_the_vocabulary_are_refused():
    model = pairs.model_of("default")
    data = s2s.data.SequencePairs([[5, 4], [6]], [[5], [11]])
    with pytest.raises(ValueError, match=r"`target_ids` must hold ids in \[0"):
        model.fit(data)


def test_unweighted_metrics_count_labels_of_weight_zero(eagerly):
    inputs = {
        "source_ids": np.array([[5, 3, 0], [6, 7, 3]]),
        "target_ids": np.array([[2, 4, 0], [2, 5, 6]]),
    }
    labels = np.array([[4, 3, 0], [5, 6, 3]])
    weights = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    model = small_model()
    accuracy = s2s.metrics.TokenAccuracy()
    model.compile(loss=s2s.losses.SequenceLoss(), metrics=[accuracy])
    model.evaluate(inputs, labels, sample_weight=weights, verbose=0)
    assert float(accuracy.count) == 5.0  # all but the padding
