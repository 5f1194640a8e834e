"""The laws on the backend of this process, and its results beside TensorFlow's.

`backends/test_backends.py` runs this file once for each backend, with a folder
of what TensorFlow computed in `REFERENCE`.
"""

import functools
import os
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from tests import encoders
from tests import laws
from tests import loops
from tests import numerics
from tests import pairs
from tests import slow_losses
from tests.decoding.searches import search_all
from tests.layers import backbones
from tests.layers import pointers
from tests.layers import test_parallel_encoder as parallel
from tests.layers.test_heads import check_a_fused_kernel
from tests.models import test_ensemble as to_one
from tests.models import test_language_model as language
from tests.models import test_one_to_many as to_many
from tests.models import test_scheduled_sampling as own_words
from tests.models import test_shares as shares
from tests.models import test_transformer_language_model as prompts
from tests.models.test_forecaster import check_it_reads_what_it_wrote
from tests.recurrence.test_cache import SHAPES
from tests.recurrence.test_cache import check_a_slice_is_written

NAMES = ["default", "luong", "transformer", "grouped"]
DECODERS = [
    ("gru", "general", 2, True),
    ("lstm", "normalized", 1, False),
    ("lstm", "additive", 2, True),
    ("gru", "dot", 1, True),
    ("lstm", "scaled", 1, True),
    ("gru", None, 1, True),
]
# Left padding, a gap, an empty row, and more padding than any row needs; and
# one token.
ODD_IDS = [[[0, 5, 6, 0, 0], [7, 0, 8, 0, 0], [0, 0, 0, 0, 0]], [[5]]]
# With recurrent layers, and without.
PADDED, SEARCHED = ["unfed", "llama"], ["llama", "unfed"]
STEPPED = ["default", "chunkwise", "llama", "unfed", "heads", "vaswani"]
if keras.backend.backend() == "jax":  # which compiles each of them anew
    DECODERS, ODD_IDS = DECODERS[:1], ODD_IDS[:1]
    NAMES = ["default", "grouped"]
    PADDED, SEARCHED = PADDED[:1], SEARCHED[:1]
    # "default" is held to a loop below, "llama" to its search.
    STEPPED = ["chunkwise"]
SEARCH = {"beam_size": 3, "length_penalty": "gnmt", "num_hypotheses": 2}


def results(model):
    """Logits, hypotheses and the losses of training, as one flat dict."""
    source_ids, target_ids, labels = pairs.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    inference = s2s.models.InferenceModel(
        model, s2s.decoding.BeamSearch(**SEARCH), max_length=6
    )
    # To trace a graph takes TensorFlow longer than these few steps.
    inference.run_eagerly = numerics.TENSORFLOW
    found = {"logits": numerics.numpy(numerics.compiled(model)(inputs))}
    found.update(inference.predict(source_ids, verbose=0))
    start = model.get_weights()
    loss = s2s.losses.SequenceLoss()
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    model.run_eagerly = numerics.TENSORFLOW
    losses = [model.train_on_batch(inputs, labels) for _ in range(3)]
    found["losses"] = np.array(losses, "float32")
    model.set_weights(start)
    return found


def encoder_results():
    """What encoders that are in no model here make, and gradients."""
    made = [
        encoders.drawn(name, dtype="float32", **options)
        for name, options in (
            ("convolutional", {}),
            ("even pooling", {}),
            ("pyramidal", {"cell": "layer_norm_gru"}),
        )
    ]

    def total():
        memories = [encoder(pairs.sentences()[0]) for encoder in made]
        return loops.weighted_sum([memory["outputs"] for memory in memories])

    value, gradients = numerics.value_and_gradients(
        total, pairs.weights_of(*made)
    )
    return numerics.numpy([value, *gradients])


def write_reference(folder):
    """Writes what TensorFlow computes, and the models it did it with."""
    np.savez(folder / "searches.npz", **search_all())
    for name in NAMES:
        model = pairs.model_of(name)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **results(model))
    np.savez(folder / "encoders.npz", *encoder_results())


def reference(name):
    """What TensorFlow computed, by name."""
    with np.load(Path(os.environ["REFERENCE"]) / f"{name}.npz") as arrays:
        return dict(arrays)


@functools.cache
def loaded(name):
    return keras.saving.load_model(Path(os.environ["REFERENCE"]) / name)


def test_this_is_the_backend_that_was_asked_for():
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


@pytest.mark.parametrize("name", NAMES)
def test_it_agrees_with_tensorflow(name):
    expected = reference(name)
    found = results(loaded(f"{name}.keras"))
    assert set(found) == set(expected)
    for key in ("ids", "lengths"):
        np.testing.assert_array_equal(found[key], expected[key])
    for key in ("scores", "token_scores", "logits", "losses"):
        numerics.assert_close(found[key], expected[key], 1e-4)
    assert found["losses"][2] < found["losses"][0]


def test_encoders_agree_with_tensorflow():
    expected = reference("encoders")
    numerics.assert_close(encoder_results(), list(expected.values()), 1e-4)


def test_losses_are_those_of_numpy():
    slow_losses.check_values()


@pytest.mark.parametrize("name", PADDED)
def test_padding_changes_nothing(name):
    laws.check_padding_changes_nothing(functools.partial(pairs.pair, name))


@pytest.mark.parametrize("name", STEPPED)
def test_steps_equal_whole(name):
    laws.check_steps_equal_whole(functools.partial(pairs.pair, name))


def test_a_decoder_copies():
    pointers.check_weights_add_up()
    laws.check_steps_equal_whole(functools.partial(pointers.pair, "fed"))


def test_several_encoders_make_one_memory():
    names = parallel.PAIRS[2]
    laws.check_padding_changes_nothing(functools.partial(parallel.pair, *names))


def test_several_models_write_together():
    ensemble = to_one.ensemble_of("probabilities")
    laws.check_scores_are_rescored(ensemble, laws.SEARCHES["greedy"]())


def test_several_decoders_train_together():
    encoder, decoders = to_many.make_parts()
    model = s2s.models.OneToMany(encoder, decoders)
    loss = s2s.losses.SequenceLoss()
    expected = numerics.compiled(
        lambda: sum(to_many.expected_losses(encoder, decoders, loss).values())
    )()
    model.compile(keras.optimizers.SGD(0.01), loss=loss)
    inputs, labels = to_many.make_batch(padding=1)
    losses = [model.train_on_batch(inputs, labels)[0] for _ in range(3)]
    np.testing.assert_allclose(losses[0], numerics.numpy(expected), rtol=1e-4)
    assert losses[2] < losses[0]


@pytest.mark.parametrize("options", DECODERS, ids=str)
def test_a_decoder_is_a_loop_of_steps(options):
    decoder = loops.make_decoder("float32", *options)
    mask = [[1, 1, 1, 1], [0, 1, 0, 0]]
    loops.check_decoder_is_a_loop(decoder, [[2, 5, 6], [2, 8, 0]], mask)


@pytest.mark.parametrize("ids", ODD_IDS, ids=len)
def test_odd_rows_give_what_a_loop_gives(ids):
    loops.check_pair_is_a_loop(*pairs.pair("default"), ids, ids)


def test_searches_find_what_tensorflow_does():
    expected = reference("searches")
    found = search_all()
    assert set(found) == set(expected)
    for name in found:
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


@pytest.mark.parametrize("name", SEARCHED)
def test_searches_keep_their_laws(name):
    # What a beam finds is held to TensorFlow above.
    laws.check_a_search(pairs.model_of(name), laws.SEARCHES["greedy"]())


def test_an_empty_batch_gives_an_empty_result():
    inference = s2s.models.InferenceModel(pairs.model_of("unfed"), max_length=4)
    assert inference.predict([], verbose=0)["ids"].shape == (0, 1, 4)


@pytest.mark.parametrize("name", ["default", "llama"])
def test_it_trains_in_mixed_precision(name):
    policy = {"dtype": "mixed_bfloat16"}
    model = s2s.models.Seq2Seq(*pairs.make_layers(name, **policy))
    model.compile("adam", loss=s2s.losses.SequenceLoss())
    source_ids, target_ids, labels = pairs.sentences()
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    losses = [model.train_on_batch(inputs, labels) for _ in range(3)]
    assert losses[2] < losses[0]


def test_a_forecaster_reads_and_learns_from_what_it_wrote():
    check_it_reads_what_it_wrote("R to R")
    layers = pairs.make_layers("R to R")
    forecaster = s2s.models.Forecaster(s2s.models.Seq2Seq(*layers), 4)
    loss = s2s.losses.SequenceRegressionLoss()
    forecaster.compile(keras.optimizers.SGD(0.01), loss=loss)
    source, labels, _ = pairs.examples(*layers)
    losses = [forecaster.train_on_batch(source, labels) for _ in range(3)]
    assert losses[2] < losses[0]


def test_a_state_is_carried_and_a_prompt_goes_on():
    language.check_the_state_is_carried()
    laws.check_steps_equal_whole(prompts.make_prompted)


def test_own_words_are_read_in_training():
    # Without dropout, two passes are one.
    own_words.check_a_step_trains_on_what_was_read(r_drop=2.0)


@pytest.mark.parametrize("name", ["unfed", "transformer"])
def test_a_row_of_only_padding_gives_no_nan(name):
    encoder, decoder = pairs.pair(name)
    run = numerics.compiled(lambda *ids: decoder(ids[1], encoder(ids[0])))
    logits = run(np.zeros((1, 2), "int32"), np.array([[2, 5]], "int32"))
    assert np.all(np.isfinite(numerics.numpy(logits)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_slice_is_written(shape):
    check_a_slice_is_written(shape, compiled=False)


def test_the_grid_of_an_image_is_a_memory():
    backbones.check_equals_a_slow_one(numerics.EXACT)
    backbones.check_preprocessing("tf")
    if keras.backend.backend() != "jax":  # which compiles each operation
        laws.check_scores_are_rescored(
            backbones.model_of("transformer"),
            laws.SEARCHES["greedy"](),
            backbones.IMAGES,
        )


@pytest.mark.parametrize("groups", [6, 2, 1])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_fused_kernel_gives_the_same_context(groups, dtype):
    check_a_fused_kernel(groups, dtype)


def test_parts_of_a_batch_train_as_the_whole():
    loss = s2s.losses.SequenceLoss(label_smoothing=0.1)
    expected = shares.train(loss)
    found = [shares.train(loss, 3, 3)]
    if keras.backend.backend() == "jax":  # on two devices
        shares.make_model.cache_clear()
        with keras.distribution.DataParallel().scope():
            found.append(shares.train(loss))
        shares.make_model.cache_clear()
    for one in found:
        numerics.assert_close(one, expected, 1e-5)
