"""One encoder with several decoders: one step, the sum of their losses."""

import functools

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.models import InferenceModel
from keras_s2s.models import OneToMany
from keras_s2s.models import Seq2Seq
from tests import numerics
from tests import pairs

# Of the French, the second is missing.
FRENCH_ROWS = [0, 2]


def make_parts():
    encoder, german = pairs.build(*pairs.make_layers("transformer"))
    french = pairs.make_decoder("llama")
    pairs.build(encoder, french)
    return encoder, {"fr": french, "de": german}


@functools.cache
def model_of_two():
    return OneToMany(*make_parts())


def make_batch(padding=0):
    source_ids, german, german_labels = pairs.sentences()
    _, french, french_labels = pairs.sentences(seed=2)
    french[1], french_labels[1] = [2, 0, 0, 0], 0
    targets, labels = (
        {name: pairs.pad(ids, padding) for name, ids in sides.items()}
        for sides in (
            {"de": german, "fr": french},
            {"de": german_labels, "fr": french_labels},
        )
    )
    source_ids = pairs.pad(source_ids, padding)
    return {"source_ids": source_ids, "target_ids": targets}, labels


def make_data():
    targets = {"de": [[8], [9, 9], [8]], "fr": [[4, 5, 6], None, [4]]}
    source_ids = [[5, 3], [6, 7, 8, 3], [9, 3]]
    return s2s.data.SequencePairs(source_ids, targets, batch_size=2)


def expected_losses(encoder, decoders, loss):
    """What each decoder's loss is without padding, and what is missing."""
    inputs, labels = make_batch()
    losses = {}
    for name, rows in (("de", [0, 1, 2]), ("fr", FRENCH_ROWS)):
        memory = encoder(inputs["source_ids"][rows])
        logits = decoders[name](inputs["target_ids"][name][rows], memory)
        losses[name] = loss(labels[name][rows], logits)
    return losses


def compile_eagerly(model, **options):
    loss = s2s.losses.SequenceLoss(label_smoothing=0.1)
    options = {"loss": loss, **options}
    model.compile(keras.optimizers.SGD(0.5), run_eagerly=True, **options)
    return options["loss"]


@pytest.mark.parametrize(
    "metrics", [None, {"fr": [s2s.metrics.SequenceAccuracy()]}], ids=str
)
def test_a_step_follows_the_gradient_of_the_sum_of_losses(metrics):
    encoder, decoders = make_parts()
    model = OneToMany(encoder, decoders)
    loss = compile_eagerly(model, metrics=metrics)
    weights = pairs.weights_of(*model.parts())

    def value():
        return sum(expected_losses(encoder, decoders, loss).values())

    start = [numerics.numpy(weight.value) for weight in weights]
    expected, gradients = numerics.value_and_gradients(value, weights)
    found = model.train_on_batch(*make_batch(padding=3), return_dict=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    steps = [at - numerics.numpy(w.value) for at, w in zip(start, weights)]
    numerics.assert_close(
        steps, [0.5 * numerics.numpy(g) for g in gradients], 1e-4
    )


def test_padding_is_left_out_and_the_encoder_runs_once(monkeypatch):
    model, shapes, reads = model_of_two(), [], []
    project = s2s.layers.TransformerDecoder.project
    encode = s2s.layers.TransformerEncoder.encode

    def record(layer, features):
        shapes.append(tuple(features.shape[:2]))
        return project(layer, features)

    def count(layer, *args):
        reads.append(layer)
        return encode(layer, *args)

    monkeypatch.setattr(s2s.layers.TransformerDecoder, "project", record)
    monkeypatch.setattr(s2s.layers.TransformerEncoder, "encode", count)
    accuracy = {"de": [s2s.metrics.TokenAccuracy()]}
    loss = compile_eagerly(model, weighted_metrics=accuracy)
    inputs, labels = make_batch(padding=2)
    found = model.test_on_batch(inputs, labels, return_dict=True)
    # 4 + 1 + 2 German tokens; of the French, the single one is missing.
    assert sorted(shapes) == [(1, 6), (1, 7)] and len(reads) == 1
    logits = numerics.numpy(model(inputs))["de"]
    right = (np.argmax(logits, -1) == labels["de"])[labels["de"] != 0]
    np.testing.assert_allclose(found["de_token_accuracy"], np.mean(right))
    expected = expected_losses(model.encoder, model.decoders, loss)
    for name, value in expected.items():
        np.testing.assert_allclose(found[f"{name}_loss"], value, rtol=1e-5)


def test_losses_and_their_weights_may_be_by_name():
    model, loss = OneToMany(*make_parts()), s2s.losses.SequenceLoss()
    expected = expected_losses(model.encoder, model.decoders, loss)
    total = 2.0 * expected["de"] + 0.5 * expected["fr"]
    losses = {name: s2s.losses.SequenceLoss() for name in ("de", "fr")}
    compile_eagerly(model, loss=losses, loss_weights={"de": 2.0, "fr": 0.5})
    found = model.test_on_batch(*make_batch(), return_dict=True)
    np.testing.assert_allclose(found["loss"], total, rtol=1e-5)
    # One loss for all, and one weight.
    compile_eagerly(model, loss=loss, loss_weights={"fr": 0.25})
    found = model.test_on_batch(*make_batch(), return_dict=True)
    total = expected["de"] + 0.25 * expected["fr"]
    np.testing.assert_allclose(found["loss"], total, rtol=1e-5)


def test_it_learns_from_pairs():
    model, data = OneToMany(*make_parts()), make_data()
    compile_eagerly(model)
    model.optimizer.learning_rate = 0.01
    history = model.fit(data, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert {"de_loss", "fr_loss"} < set(history)


def test_a_pair_is_a_model_of_the_same_layers():
    model = model_of_two()
    pair = model.pair("fr")
    assert pair.encoder is model.encoder
    assert pair.decoder is model.decoders["fr"]
    inputs, _ = make_batch()
    one = {**inputs, "target_ids": inputs["target_ids"]["fr"]}
    numerics.assert_close(pair(one), model(inputs)["fr"], 1e-6)
    assert isinstance(pair, Seq2Seq)
    with pytest.raises(ValueError, match=r"`name` must be one of \['fr', 'de'"):
        model.pair("it")


def test_it_is_saved_with_its_losses_and_its_order(tmp_path):
    model = OneToMany(*make_parts())
    losses = {name: s2s.losses.SequenceLoss() for name in ("de", "fr")}
    compile_eagerly(model, loss=losses)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert list(loaded.decoders) == ["fr", "de"]
    inputs, labels = make_batch()
    numerics.assert_close(loaded(inputs), model(inputs), 1e-6)
    # Keras does not save `run_eagerly`.
    loaded.run_eagerly = True
    found = loaded.test_on_batch(inputs, labels)
    np.testing.assert_allclose(found, model.test_on_batch(inputs, labels))


def test_decoders_of_words_and_of_numbers_train_together():
    encoder, _ = pairs.make_layers("transformer")
    numbers = pairs.make_decoder("T to T")
    decoders = {"de": pairs.make_decoder("transformer"), "numbers": numbers}
    model = OneToMany(encoder, decoders)
    losses = {name: pairs.loss_of(layer) for name, layer in decoders.items()}
    compile_eagerly(model, loss=losses)
    source_ids, german, german_labels = pairs.sentences()
    _, series, ahead = pairs.examples(encoder, numbers)
    targets = {"de": german, "numbers": series}
    labels = {"de": german_labels, "numbers": ahead}
    found = model.test_on_batch(
        {"source_ids": source_ids, "targets": targets}, labels, return_dict=True
    )
    memory = encoder(source_ids)
    for name, decoder in decoders.items():
        value = losses[name](labels[name], decoder(targets[name], memory))
        np.testing.assert_allclose(found[f"{name}_loss"], value, rtol=1e-5)
    with pytest.raises(ValueError, match="`loss` must be of vectors"):
        model.compile(loss=s2s.losses.SequenceLoss())


def test_data_of_other_names_are_refused_before_any_step():
    model = model_of_two()
    inputs, labels = make_batch()
    names = r"must be a dict of the names of the model, \['fr', 'de'\]"
    wrong = {**inputs, "target_ids": {"de": inputs["target_ids"]["de"]}}
    with pytest.raises(ValueError, match=rf"`target_ids` {names}.*=\['de'\]"):
        model.fit(wrong, labels)
    with pytest.raises(ValueError, match=rf"`labels` {names}.*'ndarray'"):
        model.evaluate(inputs, labels["de"])
    data = s2s.data.SequencePairs([[5, 3]], {"de": [[5]], "it": [[5]]})
    with pytest.raises(ValueError, match=rf"`target_ids` {names}.*'it'"):
        model.fit(data)
    with pytest.raises(ValueError, match=rf"`target_ids` {names}"):
        model.fit(make_data(), validation_data=data)
    with pytest.raises(ValueError, match=rf"`target_ids` {names}.*'int'"):
        model.fit(s2s.data.SequencePairs([[5, 3]], [[5]]))
    with pytest.raises(ValueError, match="`target_ids` must be one array"):
        model.pair("de").fit(make_data())
    compile_eagerly(model)
    # What cannot be looked at before is refused in the first step.
    with pytest.raises(ValueError, match=rf"`target_ids` {names}"):
        model.train_on_batch(wrong, labels)


def test_ids_are_checked_by_the_vocabulary_of_their_decoder():
    model = model_of_two()
    inputs, labels = make_batch()
    inputs["target_ids"]["fr"][0, 1] = 11
    with pytest.raises(ValueError, match=r"`target_ids\['fr'\]` must hold ids"):
        model.fit(inputs, labels)
    data = s2s.data.SequencePairs([[5, 3]], {"de": [[11]], "fr": [[5]]})
    with pytest.raises(ValueError, match=r"`target_ids\['de'\]` must hold ids"):
        model.evaluate(data)


def test_losses_and_metrics_of_other_names_are_refused():
    model, loss = model_of_two(), s2s.losses.SequenceLoss()
    names = r"must be a dict by the names \['fr', 'de'\]"
    with pytest.raises(ValueError, match=rf"`loss` {names}.*=\['it'\]"):
        model.compile(loss={"it": loss})
    with pytest.raises(ValueError, match=rf"`metrics` {names}"):
        model.compile(loss=loss, metrics=[s2s.metrics.TokenAccuracy()])
    model.compile("adam", loss=loss, r_drop=2.0)
    before = model.get_compile_config()
    with pytest.raises(ValueError, match="`chunk_size` must be None where"):
        model.compile(loss=s2s.losses.SequenceLoss(chunk_size=5))
    assert model.get_compile_config() == before and before["r_drop"] == 2.0


def test_its_parts_are_checked():
    encoder, decoders = model_of_two().encoder, model_of_two().decoders
    german = decoders["de"]
    with pytest.raises(TypeError, match="`encoder` must be a keras_s2s"):
        OneToMany(german, decoders)
    with pytest.raises(
        TypeError, match=r"`decoders\['de'\]` must be a keras_s"
    ):
        OneToMany(encoder, {"de": encoder})
    with pytest.raises(TypeError, match="`decoders` must be a dict of keras_s"):
        OneToMany(encoder, [german])
    with pytest.raises(ValueError, match="`decoders` must be of at least one"):
        OneToMany(encoder, {})
    with pytest.raises(ValueError, match="`decoders` must be a different lay"):
        OneToMany(encoder, {"de": german, "fr": german})
    with pytest.raises(ValueError, match="`decoders` must be a dict by str, n"):
        OneToMany(encoder, {"de/at": german})
    with pytest.raises(ValueError, match="Of a `OneToMany`, take one `pair`"):
        InferenceModel(model_of_two())
