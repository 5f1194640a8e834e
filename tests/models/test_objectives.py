"""What training adds to the loss of the labels, in slow NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_s2s as s2s
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import OneToMany
from keras_s2s.models import Seq2Seq
from keras_s2s.models.objectives import Objectives
from tests import numerics
from tests import pairs
from tests.models.test_scheduled_sampling import batch

# Three sentences, and the same again; two labels are padding, one has weight 0.
LABELS = np.array([[5, 3, 0], [4, 6, 3], [3, 0, 0]] * 2, "int32")
WEIGHTS = np.array([[1, 2, 1], [0.5, 0, 1], [3, 1, 1]] * 2, "float32")


def divergence(scores, other_scores):
    """The mean of the divergences in both directions, word by word."""
    total = 0.0
    for one, other in zip(scores, other_scores):
        total += np.exp(one) * (one - other) + np.exp(other) * (other - one)
    return total / 2


def expected_term(logits, labels, weights, alpha):
    """Half of the paper's: its mean over the tokens of one copy."""
    scores = numerics.log_softmax(logits)
    count, total = len(labels) // 2, 0.0
    weights = weights * (labels != 0)
    for row in range(count):
        for time in range(labels.shape[1]):
            one, other = scores[row, time], scores[row + count, time]
            total += weights[row, time] * divergence(one, other)
    return 0.5 * alpha * total / np.sum(weights[:count])


def make_logits(length=3):
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, 3, 7), scale=2.0).astype("float32")
    return np.pad(logits, [(0, 0), (0, length - 3), (0, 0)])


@pytest.mark.parametrize("padding", [0, 2])
def test_both_copies_are_compared_token_by_token(padding):
    objectives = Objectives(None, SequenceLoss(), None, 2.0, 0.0)
    logits = make_logits(3 + padding)
    labels = pairs.pad(LABELS, padding)
    weights = np.pad(WEIGHTS, [(0, 0), (0, padding)], constant_values=1.0)
    expected = expected_term(make_logits(), LABELS, WEIGHTS, 2.0)
    found = float(objectives.divergence(labels, logits, weights))
    assert found == pytest.approx(expected, 1e-5) and expected > 0.1
    # With padding left out, all that is real in one row.
    real = labels != 0
    packed = [array[real][None] for array in (labels, logits, weights)]
    assert float(objectives.divergence(*packed)) == pytest.approx(found, 1e-5)


def make_model(dropout=0.0, dtype="float32"):
    layers = pairs.make_layers("transformer", dropout=dropout, dtype=dtype)
    return Seq2Seq(*pairs.build(*layers))


def compile_model(model, **options):
    options = {"loss": SequenceLoss(), **options}
    model.compile(keras.optimizers.SGD(0.5), **options)
    return model


def test_without_dropout_it_changes_nothing():
    results = []
    for options in ({}, {"r_drop": 5.0}):
        model = compile_model(make_model(), run_eagerly=True, **options)
        loss = model.train_on_batch(*batch())
        results.append([loss, *model.get_weights()])
    numerics.assert_close(results[1], results[0], 1e-5)


def reset_dropout(model):
    for variable in model.non_trainable_variables:
        variable.assign(np.full(variable.shape, 7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_compares_two_passes(dtype):
    model = compile_model(make_model(0.5, dtype), r_drop=3.0, run_eagerly=True)
    inputs, labels = batch()
    twice = {name: np.tile(ids, (2, 1)) for name, ids in inputs.items()}
    labels_twice = np.tile(labels, (2, 1))
    reset_dropout(model)
    logits = numerics.numpy(model(twice, training=True))
    scores = np.take_along_axis(
        numerics.log_softmax(logits), labels_twice[..., None], axis=2
    )[..., 0]
    weights = np.ones(labels_twice.shape)
    term = expected_term(logits, labels_twice, weights, 3.0)
    loss = -np.mean(scores[labels_twice != 0])
    reset_dropout(model)
    found = model.train_on_batch(inputs, labels)
    assert found == pytest.approx(loss + term, 1e-5) and term > 0.1
    # Evaluation knows nothing of it.
    plain = compile_model(
        Seq2Seq(model.encoder, model.decoder), run_eagerly=True
    )
    found, expected = (one.test_on_batch(*batch()) for one in (model, plain))
    assert found == expected


def test_of_several_decoders_each_compares_its_own():
    layers = pairs.make_layers("transformer", dropout=0.5)
    encoder, german = pairs.build(*layers)
    french = pairs.make_layers("transformer", dropout=0.5)[1]
    pairs.build(encoder, french)
    model = OneToMany(encoder, {"de": german, "fr": french})
    compile_model(model, r_drop=3.0, run_eagerly=True, loss_weights={"fr": 0.5})
    inputs, labels = batch()
    names, targets = ("de", "fr"), inputs["target_ids"]
    inputs["target_ids"] = dict(zip(names, (targets, targets[::-1])))
    labels = dict(zip(names, (labels, labels[::-1])))
    reset_dropout(model)
    twice = keras.tree.map_structure(lambda ids: np.tile(ids, (2, 1)), inputs)
    logits = model(twice, training=True)
    expected = 0.0
    for name, weight in (("de", 1.0), ("fr", 0.5)):
        own = np.tile(labels[name], (2, 1))
        loss = float(SequenceLoss()(own, logits[name]))
        own_logits, ones = numerics.numpy(logits[name]), np.ones(own.shape)
        term = expected_term(own_logits, own, ones, 3.0)
        assert term > 0.1
        expected += weight * (loss + term)
    reset_dropout(model)
    found, *_ = model.train_on_batch(inputs, labels)
    assert found == pytest.approx(expected, 1e-5)
    assert model.get_compile_config()["r_drop"] == 3.0
    with pytest.raises(ValueError, match="`r_drop` must be 0 where `loss` is"):
        compile_model(model, r_drop=3.0, loss={"de": SequenceLoss()})


def make_alignments():
    """Of each label; of some nothing is known. Padding is what it likes."""
    random = np.random.default_rng(4)
    alignments = random.uniform(size=(3, 4, 5)).astype("float32")
    alignments *= (pairs.sentences()[0] != 0)[:, None]
    alignments /= alignments.sum(-1, keepdims=True)
    alignments[0, 2] = 0.0
    return alignments


def test_a_step_follows_the_gradient_of_the_guided_attention():
    model = Seq2Seq(*pairs.build(*pairs.make_layers("default")))
    encoder, decoder = model.encoder, model.decoder
    (inputs, labels), alignments = batch(), make_alignments()
    weights = pairs.weights_of(encoder, decoder)

    def value():
        memory = encoder(inputs["source_ids"])
        found = decoder.attended_features(inputs["target_ids"], memory)
        logits = decoder.project(found["features"])
        is_there = (alignments > 0) & (labels != 0)[..., None]
        scores = ops.log(ops.where(is_there, found["weights"], 1.0))
        guided = -ops.sum(alignments * scores)
        guided = guided / np.count_nonzero(labels)
        results.append(float(numerics.numpy(guided)))
        return SequenceLoss()(labels, logits) + 0.5 * guided

    results = []
    start = model.get_weights()
    before = [numerics.numpy(weight.value) for weight in weights]
    expected, gradients = numerics.value_and_gradients(value, weights)
    assert results[0] > 0.1
    # As it is, in chunks, and with padding and two passes.
    for padding, options in (
        (0, {}),
        (0, {"loss": SequenceLoss(chunk_size=2)}),
        (2, {"r_drop": 1.0}),
    ):
        model.set_weights(start)
        compile_model(model, guided_alignment=0.5, run_eagerly=True, **options)
        data = {name: pairs.pad(ids, padding) for name, ids in inputs.items()}
        data["alignments"] = np.pad(
            alignments, [(0, 0), (0, padding), (0, padding)]
        )
        found = model.train_on_batch(data, pairs.pad(labels, padding))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        steps = [
            at - numerics.numpy(weight.value)
            for at, weight in zip(before, weights)
        ]
        numerics.assert_close(
            steps, [0.5 * numerics.numpy(g) for g in gradients], 1e-4
        )


def test_evaluation_knows_of_no_alignments():
    model = compile_model(make_model(), guided_alignment=0.5, run_eagerly=True)
    inputs, labels = batch()
    data = {**inputs, "alignments": make_alignments()}
    found = model.fit(data, labels, validation_data=(data, labels), verbose=0)
    expected = model.evaluate(inputs, labels, verbose=0)
    assert found.history["val_loss"] == [expected]
    np.testing.assert_array_equal(
        model.predict(data, verbose=0), model.predict(inputs, verbose=0)
    )


def test_options_come_back_with_the_model():
    model = compile_model(
        make_model(),
        r_drop=2.0,
        guided_alignment=0.1,
        scheduled_sampling=s2s.models.ScheduledSampling(0.5),
    )
    copy = Seq2Seq.from_config(model.get_config())
    copy.compile_from_config(model.get_compile_config())
    found = copy.objectives.get_config()
    assert found == model.objectives.get_config() and len(found) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"r_drop": -1.0}, r"`r_drop` must be a number in \[0.0, inf\)"),
        ({"loss": "mse"}, "`r_drop` must be 0 where `loss` is no"),
        (
            {"loss": SequenceLoss(chunk_size=2)},
            "`r_drop` must be 0 where the loss has a `chunk_size`",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    model = pairs.model_of("transformer")
    with pytest.raises(ValueError, match=message):
        compile_model(model, **{"r_drop": 1.0, **options})


def test_what_alignments_need_is_named():
    inputs, labels = batch()
    plain = Seq2Seq(*pairs.make_layers("sutskever"))
    message = "`guided_alignment` must be 0 where the decoder has no attention"
    with pytest.raises(ValueError, match=message):
        compile_model(plain, guided_alignment=1.0)
    model = compile_model(make_model(), guided_alignment=1.0, run_eagerly=True)
    with pytest.raises(ValueError, match="`inputs` must be a dict with 'align"):
        model.train_on_batch(inputs, labels)
    inputs["alignments"] = make_alignments()[0]
    message = r"`alignments` must be of shape \(B, T, S\). Received: align"
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(inputs, labels)
