"""Search over a trained model: what comes in, what goes out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import decoding
from keras_s2s.models import InferenceModel
from tests import laws
from tests import numerics
from tests import pairs


def inference_of(name="default", **options):
    return InferenceModel(pairs.model_of(name), **{"max_length": 5, **options})


def test_predict_takes_arrays_and_lists_in_any_batches():
    source_ids = pairs.sentences()[0]
    inference = inference_of()
    expected = numerics.numpy(inference(source_ids))
    lists = [[int(n) for n in row if n] for row in source_ids]
    for found in (
        inference.predict(source_ids, verbose=0),
        inference.predict(lists, batch_size=2, verbose=0),
        inference.predict(source_ids.astype("int64"), verbose=0),
        inference.predict_on_batch(source_ids),
    ):
        assert found["ids"].dtype == found["lengths"].dtype == "int32"
        numerics.assert_close(found, expected, 1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_results_come_in_the_order_of_their_sources(compiled):
    random = np.random.default_rng(0)
    lists = [random.integers(4, 13, n).tolist() for n in (2, 7, 1, 5, 3, 6)]
    inference = inference_of("transformer", return_alignments=True)
    alone = [numerics.numpy(inference(np.array([row]))) for row in lists]
    if compiled:
        inference.compile(jit_compile=True)
    inference.run_eagerly = not compiled
    widths = spy_on_widths(inference)
    found = inference.predict(lists, batch_size=3, verbose=0)
    # Two batches, the longest sources first, padded no further than needed.
    assert widths == [7, 3]
    for row, expected in enumerate(alone):
        for name in ("ids", "lengths"):
            np.testing.assert_array_equal(found[name][row], expected[name][0])
        for name in ("scores", "token_scores"):
            numerics.assert_close(found[name][row], expected[name][0], 1e-5)
        length = len(lists[row])
        shown = found["alignments"][row]
        numerics.assert_close(
            shown[..., :length], expected["alignments"][0], 1e-5
        )
        assert shown.shape == (1, 5, 7)
        assert not np.any(shown[..., length:])


def spy_on_widths(inference):
    """Returns a list that fills with the lengths that are searched."""
    widths, predict = [], inference.predict_on_batch

    def predict_on_batch(x):
        widths.append(x.shape[1])
        return predict(x)

    inference.predict_on_batch = predict_on_batch
    return widths


@pytest.mark.parametrize(
    "name, search",
    [
        # Of Transformers, others are in `test_transformers.py`.
        ("default", "penalty"),
        ("vaswani", "greedy"),
    ],
)
def test_a_compiled_search_finds_the_same(name, search):
    source_ids = pairs.sentences()[0]
    inference = inference_of(name, search=laws.SEARCHES[search]())
    expected = numerics.numpy(inference(source_ids))
    inference.compile(jit_compile=True)
    assert inference.jit_compile
    found = inference.predict_on_batch(source_ids)
    numerics.assert_close(found, expected, 1e-5)
    # The parts are trained as before.
    parts = [inference.encoder, inference.decoder, inference.generator]
    assert not any(part.supports_jit for part in parts)


def test_a_compiled_search_sees_few_lengths():
    inference = inference_of("transformer", return_alignments=True)
    inference.compile(jit_compile=True)
    seen, run = set(), inference.generator.call

    def call(source, inputs=None):
        seen.add(source.shape)
        return run(source, inputs)

    inference.generator.call = call
    for length in (1, 9, 64, 65):
        source_ids = np.full((1, length), 5, "int32")
        found = inference.predict_on_batch(source_ids)
        assert found["alignments"].shape == (1, 1, 5, length)
        np.testing.assert_allclose(found["alignments"][0, 0, 0].sum(), 1, 1e-5)
    assert {shape[1] for shape in seen} <= {64, 128, None}


def test_a_compiled_search_is_saved_and_exported(tmp_path):
    inference = inference_of("transformer")
    inference.compile(jit_compile=True)
    source_ids = pairs.sentences()[0]
    expected = numerics.numpy(inference(source_ids))
    inference.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.jit_compile
    loaded.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    numerics.assert_close(saved.serve(source_ids), expected, 1e-5)


def test_a_search_is_traced_once_whatever_the_shapes():
    traces = []

    class Counted(decoding.GreedySearch):
        def search(self, *args, **options):
            traces.append(1)
            return super().search(*args, **options)

    inference = inference_of(search=Counted(), max_length=4)
    traces.clear()  # the one that made the functional model
    for shape in [(2, 3), (4, 5), (1, 9)]:
        inference.predict(np.full(shape, 5), verbose=0)
    assert len(traces) == 1


def test_an_empty_batch_gives_an_empty_result():
    inference = inference_of(search=decoding.BeamSearch(3, num_hypotheses=2))
    for empty in ([], np.zeros((0, 4), "int32")):
        found = inference.predict(empty, verbose=0)
        assert found["ids"].shape == found["token_scores"].shape == (0, 2, 5)
        assert found["scores"].shape == found["lengths"].shape == (0, 2)


def test_one_token_in_and_one_out():
    found = inference_of(max_length=1).predict([[5]], verbose=0)
    assert found["ids"].shape == (1, 1, 1)


@pytest.mark.parametrize("name", ["default", "unfed"])
def test_alignments_are_attention_weights(name):
    source_ids = pairs.sentences()[0]
    options = {"search": decoding.BeamSearch(3, num_hypotheses=2)}
    inference = inference_of(name, return_alignments=True, **options)
    result = numerics.numpy(inference(source_ids))
    alignments = result["alignments"]
    assert alignments.shape == (3, 2, 5, 5)
    assert alignments.dtype == "float32"
    is_there = np.arange(5) < result["lengths"][..., None]
    np.testing.assert_allclose(alignments.sum(-1), is_there, atol=1e-6)
    for row in range(3):
        assert not np.any(alignments[row][..., source_ids[row] == 0])


def test_it_shares_its_weights_with_the_model():
    inference = inference_of()
    model = pairs.model_of("default")
    assert {id(w) for w in inference.weights} == {id(w) for w in model.weights}
    assert inference.count_params() == model.count_params()


def test_another_search_has_the_same_layers():
    greedy = decoding.GreedySearch()
    options = {"bos_id": 5, "eos_id": 4, "pad_id": 1, "max_length": 7}
    options["return_alignments"] = True
    inference = inference_of(search=decoding.BeamSearch(2), **options)
    expected = inference_of(search=greedy, **options)
    made = inference.with_search(greedy)
    config = {**made.get_config(), "name": expected.name}
    assert config == expected.get_config()
    assert made.encoder is inference.encoder
    assert made.decoder is inference.decoder
    assert not made.compiled
    inference.compile(jit_compile=True)
    made = inference.with_search(greedy)
    assert made.jit_compile and made.generator.compiled


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_searches_in_mixed_precision(policy):
    from keras_s2s.models import Seq2Seq

    model = Seq2Seq(*pairs.pair("luong", policy))
    inference = InferenceModel(model, max_length=4, return_alignments=True)
    result = numerics.numpy(inference(pairs.sentences()[0]))
    for name in ("scores", "token_scores", "alignments"):
        assert result[name].dtype == "float32"
        assert np.all(np.isfinite(result[name]))


def test_a_saved_model_takes_any_batch_and_length(tmp_path):
    inference = inference_of(search=decoding.BeamSearch(2))
    inference.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    source_ids = pairs.sentences()[0]
    for ids in (source_ids, pairs.pad(source_ids, 3), source_ids[:1, :2]):
        expected = numerics.numpy(inference(ids))
        numerics.assert_close(saved.serve(ids), expected, 1e-5)


def test_more_than_the_vocabulary_is_refused():
    for bad in (13, -1):
        with pytest.raises(
            ValueError,
            match=rf"`source_ids` must hold ids in \[0, 13\), the vocabulary. "
            f"Received: an id of {bad}.",
        ):
            inference_of().predict([[5, bad]])


def test_a_source_of_only_padding_is_refused():
    with pytest.raises(
        ValueError,
        match="`source_ids` must be rows with at least one token that is not "
        "padding. Received: source_ids='only padding in row 1'",
    ):
        inference_of().predict([[5, 6], [0, 0]])
    with pytest.raises(ValueError, match="only padding in row 0"):
        inference_of().predict([[], [5]])


@pytest.mark.parametrize("bad", [np.ones((2, 3)), np.ones(3, "int32")])
def test_no_matrix_of_integers_is_refused(bad):
    with pytest.raises(
        ValueError, match=r"`source_ids` must be an integer array \(B, S\)"
    ):
        inference_of().predict(bad)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`max_length` must be an integer >="):
        inference_of(max_length=0)
    with pytest.raises(TypeError, match="`search` must be a search of keras_s"):
        inference_of(search="beam")
    with pytest.raises(ValueError, match="eos_id` must hold ids in"):
        inference_of(eos_id=11)(pairs.sentences()[0])


def test_a_model_without_its_parts_is_refused():
    model = keras.Sequential([keras.layers.Dense(2, name="dense")])
    with pytest.raises(
        ValueError,
        match=r"`model` must be a model with one keras_s2s.layers.Encoder "
        r"among its layers. Received: model=\['dense'\]",
    ):
        InferenceModel(model)
    encoder, _ = pairs.pair("default")
    source = encoder.make_input()
    model = keras.Model(source, encoder(source))
    with pytest.raises(ValueError, match="one keras_s2s.layers.Decoder among"):
        InferenceModel(model)
    with pytest.raises(ValueError, match="one keras_s2s.layers.Encoder among"):
        InferenceModel("model.keras")


def test_alignments_need_attention():
    inference = pairs.model_of("sutskever")
    with pytest.raises(ValueError, match="entry `alignment`"):
        InferenceModel(inference, return_alignments=True)(pairs.sentences()[0])
