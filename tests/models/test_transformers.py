"""Models of Transformers: trained, compiled, exported, in few bits."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_s2s as s2s
from keras_s2s import decoding
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import laws
from tests import numerics
from tests import pairs
from tests.models.test_seq2seq import copy_task


def small_model(name="transformer", **options):
    """Draws its weights from a seed; `options` go to both layers."""
    keras.utils.set_random_seed(0)
    return Seq2Seq(*pairs.make_layers(name, **options))


def fit_losses(model, **options):
    model.compile(
        keras.optimizers.Adam(0.02), loss=s2s.losses.SequenceLoss(), **options
    )
    inputs, labels = copy_task(count=16)
    history = model.fit(inputs, labels, epochs=3, verbose=0)
    return history.history["loss"]


def test_it_learns_in_mixed_precision():
    losses = fit_losses(small_model("llama", dtype="mixed_float16"))
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


def test_ways_to_run_give_one_loss():
    expected = fit_losses(small_model("grouped"))
    assert expected[-1] < expected[0]
    for option in ("run_eagerly", "jit_compile"):
        losses = fit_losses(small_model("grouped"), **{option: True})
        np.testing.assert_allclose(losses, expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["transformer", "transformer over rnn"])
def test_a_training_step_follows_the_gradient_of_the_loss(name):
    encoder, decoder = pairs.build(*pairs.make_layers(name))
    model = Seq2Seq(encoder, decoder)
    weights = pairs.weights_of(encoder, decoder)
    source_ids, target_ids, labels = pairs.sentences()
    loss = s2s.losses.SequenceLoss()

    def value():
        return loss(labels, decoder(target_ids, encoder(source_ids)))

    start = [numerics.numpy(weight.value) for weight in weights]
    expected, gradients = numerics.value_and_gradients(value, weights)
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    found = model.train_on_batch(
        {k: pairs.pad(v, 2) for k, v in inputs.items()}, pairs.pad(labels, 2)
    )
    numerics.assert_close(found, expected, 1e-5)
    for weight, before, gradient in zip(weights, start, gradients):
        numerics.assert_close(
            weight.value, before - 0.1 * numerics.numpy(gradient), 1e-4
        )


@pytest.mark.parametrize(
    "name, search",
    [("llama", "greedy"), ("grouped", "beam")],
)
def test_a_compiled_search_gives_the_same(name, search):
    encoder, decoder = pairs.make_layers(name)
    model = Seq2Seq(*pairs.build(encoder, decoder))
    inference = InferenceModel(model, laws.SEARCHES[search](), max_length=6)
    source_ids = pairs.sentences()[0]
    expected = numerics.numpy(inference(source_ids))
    encoder.supports_jit = decoder.supports_jit = True
    compiled = tf.function(inference, jit_compile=True, autograph=False)
    found = numerics.numpy(compiled(tf.constant(source_ids)))
    for key in ("ids", "lengths"):
        np.testing.assert_array_equal(found[key], expected[key])
    for key in ("scores", "token_scores"):
        numerics.assert_close(found[key], expected[key], 1e-5)
    # And so outside of it, slower.
    numerics.assert_close(inference(source_ids), expected, 1e-5)


@pytest.mark.parametrize("name, beam_size", [("llama", 1), ("transformer", 3)])
def test_a_long_search_gives_what_the_whole_does(name, beam_size):
    """Of more steps than a cache has room for at first."""
    constraints = [decoding.MinimumLength(37)]
    search = decoding.BeamSearch(
        beam_size, num_hypotheses=beam_size, constraints=constraints
    )
    inference = InferenceModel(pairs.model_of(name), search, max_length=38)
    source_ids = pairs.sentences()[0]
    result = inference.predict_on_batch(source_ids)
    assert np.min(result["lengths"]) >= 37
    for n in range(beam_size):
        scored = inference.score(source_ids, result["ids"][:, n], verbose=0)
        for key in ("scores", "token_scores"):
            numerics.assert_close(scored[key], result[key][:, n], 1e-5)


@pytest.mark.parametrize("name", ["transformer", "grouped"])
def test_alignments_are_attention_weights(name):
    source_ids = pairs.sentences()[0]
    inference = InferenceModel(
        pairs.model_of(name),
        decoding.BeamSearch(3, num_hypotheses=2),
        max_length=5,
        return_alignments=True,
    )
    result = numerics.numpy(inference(source_ids))
    alignments = result["alignments"]
    assert alignments.shape == (3, 2, 5, 5)
    is_there = np.arange(5) < result["lengths"][..., None]
    np.testing.assert_allclose(alignments.sum(-1), is_there, atol=1e-6)
    for row in range(3):
        assert not np.any(alignments[row][..., source_ids[row] == 0])


def test_no_alignment_changes_no_result():
    source_ids = pairs.sentences()[0]
    make = functools.partial(
        InferenceModel, pairs.model_of("vaswani"), max_length=5
    )
    with_them = numerics.numpy(make(return_alignments=True)(source_ids))
    del with_them["alignments"]
    numerics.assert_close(make()(source_ids), with_them, 1e-6)


def test_a_training_model_is_exported(tmp_path):
    model = pairs.model_of("grouped")
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    source_ids, target_ids, _ = pairs.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    numerics.assert_close(saved.serve(inputs), model(inputs), 1e-5)


def test_one_embedding_is_shared():
    encoder, decoder = (
        make("grouped") for make in (pairs.make_encoder, pairs.make_decoder)
    )
    model = Seq2Seq(encoder, decoder, share_embeddings=True)
    assert encoder.embedding is decoder.embedding
    model(dict(zip(["source_ids", "target_ids"], pairs.sentences())))
    names = [w.path for w in model.trainable_weights]
    assert len(names) == len(set(names))
    shapes = [tuple(w.shape) for w in model.trainable_weights]
    assert shapes.count((13, 8)) == 1
    # Asked for again, nothing changes.
    Seq2Seq(encoder, decoder, share_embeddings=True)
    assert len(model.trainable_weights) == len(names)


def test_layers_that_are_built_share_one_embedding():
    encoder = pairs.make_encoder("grouped")
    decoder = pairs.make_decoder("grouped")
    pairs.build(encoder, decoder)
    model = Seq2Seq(encoder, decoder, share_embeddings=True)
    shapes = [tuple(w.shape) for w in model.trainable_weights]
    assert shapes.count((13, 8)) == 1


def test_embeddings_of_unequal_sizes_are_not_shared():
    encoder, decoder = pairs.make_layers("transformer")
    with pytest.raises(
        ValueError,
        match="`share_embeddings` must be False where the embeddings of "
        r"encoder and decoder differ, \[\(13, 8\), \(11, 8\)\]. Received: "
        "share_embeddings=True.",
    ):
        Seq2Seq(encoder, decoder, share_embeddings=True)
    assert encoder.embedding is not decoder.embedding
