"""What a decoder reads in training: by induction, one call checks it all.

What was read must be what follows from the outputs of the positions before.
"""

import functools

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.models import ScheduledSampling
from keras_s2s.models import Seq2Seq
from keras_s2s.schedules import Linear
from tests import numerics
from tests import pairs
from tests.layers import pointers

# Of 24 positions, those that read own words, and the noise to draw them with.
# Targets are long, so that a word read in error changes one behind it.
COINS, NOISE = np.random.default_rng(3).uniform(size=(2, 3, 8))
IS_OWN, NOISE = COINS < 0.8, NOISE.astype("float32")
MAKERS = {
    "default": functools.partial(pairs.pair, "default"),
    "transformer": functools.partial(pairs.pair, "transformer"),
    "copying": functools.partial(pointers.pair, "fed"),
    "vectors": functools.partial(pairs.pair, "R to R"),
}
CASES = [
    ("default", "sample"),
    ("transformer", "sample"),
    ("copying", "best"),
    ("vectors", "best"),
]


def read(encoder, decoder, source, target, choice="best", is_own=IS_OWN):
    """What `ScheduledSampling` has the decoder read, and its outputs then."""
    sampling = ScheduledSampling(0.5, choice)

    def run(source, target, is_own, noise):
        memory = encoder(source)
        fed = sampling.read(decoder, memory, target, is_own, noise)
        return fed, decoder(fed, memory)

    count, length = target.shape[:2]
    arrays = [array[:count, :length] for array in (is_own, NOISE)]
    return numerics.numpy(numerics.compiled(run)(source, target, *arrays))


def long_targets(decoder):
    """Three targets of up to 8 words."""
    words = np.random.default_rng(6).integers(4, pairs.TARGET_SIZE, (3, 8))
    words[:, 0], words[1, 5:] = pairs.BOS, 0
    if hasattr(decoder, "vector_dim"):
        return pairs.as_vectors(words, seed=1)
    return words.astype("int32")


def check_each_step_reads_what_was_chosen(name, choice):
    encoder, decoder = MAKERS[name]()
    source, target = pairs.examples(encoder, decoder)[0], long_targets(decoder)
    check_choices(
        target, IS_OWN, *read(encoder, decoder, source, target, choice), choice
    )


def check_choices(target, is_own, fed, outputs, choice="best"):
    """What was read follows from what the step before wrote."""
    expected, real = target.copy(), pairs.is_real(target)
    for row, time in zip(*np.nonzero(is_own & real)):
        if time > 0:
            own = outputs[row, time - 1]
            if target.ndim == 2:
                own = choose(own, NOISE[row, time - 1], choice)
            expected[row, time] = own
    assert fed.dtype == target.dtype
    if target.ndim == 2:
        np.testing.assert_array_equal(fed, expected)
    else:
        np.testing.assert_allclose(fed, expected, atol=1e-5)
    assert np.any(fed != target)


def choose(logits, noise, choice):
    """The likeliest word, or the first behind `noise` of all, never 0."""
    scores = logits.astype("float64")[1:]
    if choice == "best":
        return 1 + np.argmax(scores)
    cumulative = np.cumsum(np.exp(scores - scores.max()))
    return 1 + np.argmax(cumulative > noise * cumulative[-1])


@pytest.mark.parametrize("name, choice", CASES)
def test_each_step_reads_what_was_chosen(name, choice):
    check_each_step_reads_what_was_chosen(name, choice)


def test_with_probability_1_the_best_are_what_greedy_search_finds():
    model = pairs.model_of("transformer")
    source_ids = pairs.sentences()[0]
    inference = s2s.models.InferenceModel(model, max_length=4)
    found = numerics.numpy(inference(source_ids))
    ids, lengths = found["ids"][:, 0], found["lengths"][:, 0]
    target_ids = np.full((3, 5), pairs.BOS, "int32")
    everywhere = np.ones((3, 5), bool)
    parts = model.encoder, model.decoder
    fed, _ = read(*parts, source_ids, target_ids, is_own=everywhere)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(
            fed[row, 1 : 1 + length], ids[row, :length]
        )
    assert np.sum(lengths) > 3


def test_padding_and_batch_mates_change_nothing():
    encoder, decoder = pairs.pair("default")
    source_ids, target_ids, _ = pairs.sentences()
    expected, _ = read(encoder, decoder, source_ids, target_ids)
    padded = [pairs.pad(ids, 2) for ids in (source_ids, target_ids)]
    found, _ = read(encoder, decoder, *padded)
    np.testing.assert_array_equal(found, pairs.pad(expected, 2))
    alone, _ = read(encoder, decoder, source_ids[:1], target_ids[:1])
    np.testing.assert_array_equal(alone, expected[:1])


def make_model(name="default"):
    """A new model with the weights of `name`."""
    return Seq2Seq(*pairs.build(*pairs.make_layers(name)))


def compile_model(model, sampling, **options):
    model.compile(
        keras.optimizers.SGD(0.5),
        loss=s2s.losses.SequenceLoss(),
        scheduled_sampling=sampling,
        **options,
    )
    return model


def batch():
    source_ids, target_ids, labels = pairs.sentences()
    return {"source_ids": source_ids, "target_ids": target_ids}, labels


def of_any_length(inputs, labels):
    """Yields one batch: in a graph, lengths are unknown."""
    yield inputs, labels


def check_a_step_trains_on_what_was_read(**options):
    """Returns the model after the step, and what it read."""
    inputs, labels = batch()
    model = make_model()
    everywhere = np.ones((3, 4), bool)
    parts = model.encoder, model.decoder
    fed, outputs = read(*parts, *inputs.values(), is_own=everywhere)
    check_choices(inputs["target_ids"], everywhere, fed, outputs)
    scores = numerics.log_softmax(outputs)
    scores = np.take_along_axis(scores, labels[..., None], 2)[..., 0]
    compile_model(model, ScheduledSampling(1.0, "best"), **options)
    found = model.fit(
        of_any_length(inputs, labels),
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
    ).history["loss"][0]
    np.testing.assert_allclose(found, -np.mean(scores[labels != 0]), 1e-5)
    return model, fed


def test_a_step_trains_on_what_was_read():
    """It is a step of teacher forcing with other inputs."""
    found, fed = check_a_step_trains_on_what_was_read()
    expected = compile_model(make_model(), None, run_eagerly=True)
    inputs, labels = batch()
    expected.train_on_batch({**inputs, "target_ids": fed}, labels)
    numerics.assert_close(found.get_weights(), expected.get_weights(), 1e-5)


def test_a_saved_run_goes_on_with_the_same_choices(tmp_path):
    """The schedule reads the truth first, then own words, by the updates."""
    inputs, labels = batch()
    sampling = ScheduledSampling(Linear(1), "sample", seed=5)
    model, plain = (
        compile_model(make_model("transformer"), option, run_eagerly=True)
        for option in (sampling, None)
    )
    for one in (model, plain):
        one.train_on_batch(inputs, labels)
    numerics.assert_close(model.get_weights(), plain.get_weights(), 0)
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    copy = loaded.objectives.scheduled_sampling
    assert copy.get_config() == sampling.get_config()
    losses = [
        one.train_on_batch(inputs, labels) for one in (model, loaded, plain)
    ]
    assert losses[0] == losses[1] and losses[0] != losses[2]


def test_choices_depend_on_seed_and_step():
    target_ids = np.zeros((8, 50), "int32")

    def draw(seed, step, probability=0.3):
        drawn = ScheduledSampling(probability, seed=seed).draw(target_ids, step)
        return numerics.numpy(drawn["_is_own"])

    first = draw(7, 3)
    np.testing.assert_array_equal(draw(7, 3), first)
    assert np.any(draw(8, 3) != first) and np.any(draw(7, 4) != first)
    assert 0.2 < first.mean() < 0.4  # 400 draws: 4 standard deviations
    assert not draw(0, 0, 0.0).any() and draw(0, 0, 1.0).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1.5,), r"`probability` must be a number in \[0.0, 1.0\]"),
        ((0.5, "argmax"), "`choice` must be one of"),
        ((0.5, "best", -1), "`seed` must be an integer >= 0"),
        ((0.5, "best", 2**31), "`seed` must be a number in"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        ScheduledSampling(*arguments)


def test_compile_takes_nothing_else():
    with pytest.raises(TypeError, match="`scheduled_sampling` must be a keras"):
        compile_model(pairs.model_of("default"), 0.5)
