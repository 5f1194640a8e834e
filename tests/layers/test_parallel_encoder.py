"""Several sources in one memory, as if they were one behind the other."""

import functools

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.layers import Encoder
from keras_s2s.layers import ParallelEncoder
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import laws
from tests import layer_checks
from tests import numerics
from tests import pairs

# The second source is longer, and in other rows.
SOURCES = {
    "en": pairs.sentences()[0],
    "cs": np.array([[5, 6, 0, 0], [7, 8, 9, 4], [5, 4, 6, 0]], "int32"),
}


def make_encoder(first="transformer", second="llama", **options):
    encoders = {
        "en": pairs.make_encoder(first, **options),
        "cs": pairs.make_encoder(second, **options),
    }
    return ParallelEncoder(encoders, **options)


class Twice(Encoder):
    """Has two encoders read one source: what the laws can look at."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, source_ids, training=None):
        return self.inner({name: source_ids for name in ("en", "cs")})

    def compute_output_spec(self, source_ids, training=None):
        return self.inner.compute_output_spec(
            {name: source_ids for name in ("en", "cs")}
        )


@functools.cache
def pair(encoders, decoder, dtype="float32"):
    inner = make_encoder(*encoders, dtype=dtype)
    decoder = pairs.make_decoder(decoder, dtype=dtype)
    return pairs.build(Twice(inner, dtype=dtype), decoder)


# Attention that counts positions, with a state; and heads.
PAIRS = [
    (("unfed", "unfed"), "predictive"),
    (("unfed", "cho"), "default"),
    (("transformer", "llama"), "transformer"),
]


@pytest.mark.parametrize("names", PAIRS, ids=str)
def test_padding_changes_nothing(names):
    laws.check_padding_changes_nothing(functools.partial(pair, *names))


def test_steps_equal_whole():
    laws.check_steps_equal_whole(functools.partial(pair, *PAIRS[0]))


def test_it_joins_what_its_encoders_make():
    encoder = make_encoder("dot", "unfed")
    memory = numerics.numpy(encoder(SOURCES))
    alone = [
        numerics.numpy(part(SOURCES[name]))
        for name, part in encoder.encoders.items()
    ]
    assert memory["outputs"].shape[1] == 9 == memory["mask"].shape[1]
    assert encoder.memory_length({"en": 5, "cs": 4}) == 9
    for row in range(3):
        expected = [part["outputs"][row][part["mask"][row]] for part in alone]
        expected = np.concatenate(expected)
        count = len(expected)
        assert memory["mask"][row].tolist() == [True] * count + [False] * (
            9 - count
        )
        np.testing.assert_array_equal(memory["outputs"][row, :count], expected)
    states = [*alone[0]["state"], *alone[1]["state"]]
    numerics.assert_close(memory["state"], states, 0)


def test_outputs_of_other_sizes_are_projected():
    encoders = {
        "en": pairs.make_encoder("transformer"),
        "cs": pairs.make_encoder("unfed"),
    }
    encoder = ParallelEncoder(encoders, units=3)
    memory = numerics.numpy(encoder(SOURCES))
    for name, row, places in (("en", 1, [0]), ("cs", 1, [1, 2, 3, 4])):
        outputs = numerics.numpy(encoders[name](SOURCES[name])["outputs"])
        kernel, bias = map(
            numerics.numpy, encoder.projections[name].get_weights()
        )
        expected = outputs[row, : len(places)] @ kernel + bias
        numerics.assert_close(memory["outputs"][row, places], expected, 1e-6)
    rule = r"`units` must be a number where .*\{'en': 8, 'cs': 5\}.*=None"
    with pytest.raises(ValueError, match=rule):
        ParallelEncoder(encoders)(SOURCES)


def test_it_keeps_what_every_layer_keeps():
    def make(dtype):
        return make_encoder("transformer", "unfed", dtype=dtype, units=4)

    def make_encoder(first, second, dtype, units):
        encoders = {
            "en": pairs.make_encoder(first, dtype=dtype),
            "cs": pairs.make_encoder(second, dtype=dtype),
        }
        return ParallelEncoder(encoders, units, dtype=dtype)

    layer_checks.check_layer(make, SOURCES)


def test_compiling_is_for_all_of_it():
    encoder = make_encoder()
    assert not encoder.supports_jit
    encoder.supports_jit = True
    assert all(part.supports_jit for part in encoder.encoders.values())


@functools.cache
def model_of_two():
    encoder = make_encoder()
    decoder = pairs.make_decoder("transformer")
    target_ids = pairs.sentences()[1]
    decoder(target_ids, encoder(SOURCES))
    random = np.random.default_rng(0)
    for variable in pairs.weights_of(encoder, decoder):
        variable.assign(random.normal(size=variable.shape, scale=0.7))
    # It never writes padding.
    decoder.output_layer.bias.assign([-30.0] + [0.0] * (pairs.TARGET_SIZE - 1))
    return Seq2Seq(encoder, decoder)


def test_a_search_reads_all_sources_each_by_itself(eagerly):
    model = model_of_two()
    inference = InferenceModel(model, s2s.decoding.GreedySearch(), 5)
    found = inference.predict(SOURCES, verbose=0)
    for row in range(3):
        alone = {
            name: [[int(n) for n in ids[row] if n]]
            for name, ids in SOURCES.items()
        }
        result = inference.predict(alone, verbose=0)
        np.testing.assert_array_equal(result["ids"][0], found["ids"][row])
        numerics.assert_close(result["scores"][0], found["scores"][row], 1e-4)
    ids, lengths = found["ids"][:, 0], found["lengths"][:, 0]
    target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=2)
    logits = model({"source_ids": SOURCES, "target_ids": target_ids})
    scores = numerics.log_softmax(numerics.numpy(logits))
    scores = np.take_along_axis(scores, ids[:, :, None], axis=2)[..., 0]
    inside = np.arange(5) < lengths[:, None]
    expected = np.sum(scores * inside, axis=1)
    numerics.assert_close(found["scores"][:, 0], expected, 1e-5)
    empty = inference.predict({"en": [], "cs": []}, verbose=0)
    assert empty["ids"].shape == (0, 1, 5)


def test_a_model_of_two_sources_trains():
    model = Seq2Seq(make_encoder(), pairs.make_decoder("transformer"))
    optimizer = keras.optimizers.SGD(0.1)
    loss = s2s.losses.SequenceLoss()
    model.compile(optimizer, loss=loss, run_eagerly=True)
    ids = {"en": [[5, 3], [6, 7, 3]], "cs": [[4, 4, 3], [5, 3]]}
    data = s2s.data.SequencePairs(ids, [[8], [9, 9]])
    history = model.fit(data, epochs=3, verbose=0).history["loss"]
    assert history[2] < history[0]


def test_sources_of_several_kinds_are_called_sources():
    encoders = {
        "text": pairs.make_encoder("transformer"),
        "series": pairs.make_encoder("T to T"),
    }
    model = Seq2Seq(
        ParallelEncoder(encoders), pairs.make_decoder("transformer")
    )
    assert set(model.input) == {"sources", "target_ids"}
    inference = InferenceModel(model, max_length=3)
    vectors = pairs.as_vectors(SOURCES["en"], seed=0)
    sources = {"text": SOURCES["en"], "series": vectors}
    expected = numerics.numpy(inference(sources))
    found = inference.predict_on_batch(sources)
    numerics.assert_close(found, expected, 1e-5)
    rule = r"`sources\['series'\]` must be an array of numbers \(B, S, 3\)"
    with pytest.raises(ValueError, match=rule):
        inference.predict({**sources, "series": SOURCES["en"]})


def test_sources_of_other_names_are_refused():
    model = model_of_two()
    inference = InferenceModel(model, max_length=3)
    names = r"must be a dict of the names of the model, \['en', 'cs'\]"
    with pytest.raises(ValueError, match=rf"`sources` {names}.*=\['en'\]"):
        inference.predict({"en": SOURCES["en"]})
    wrong = {**SOURCES, "cs": SOURCES["cs"] + 9}
    with pytest.raises(ValueError, match=r"`sources\['cs'\]` must hold ids"):
        inference.predict(wrong)
    data = s2s.data.SequencePairs({"en": [[5]], "fr": [[5]]}, [[5]])
    with pytest.raises(ValueError, match=rf"`source_ids` {names}.*'fr'"):
        model.fit(data)


def test_its_parts_are_checked():
    encoder = pairs.make_encoder("unfed")
    with pytest.raises(TypeError, match="`encoders` must be a dict of keras_s"):
        ParallelEncoder([encoder])
    with pytest.raises(ValueError, match="`encoders` must be a different lay"):
        ParallelEncoder({"en": encoder, "cs": encoder})
    with pytest.raises(ValueError, match="`units` must be an integer >= 1"):
        ParallelEncoder({"en": encoder}, units=0)
