"""An encoder and a decoder that a user brings keep every law."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import Decoder
from keras_s2s.layers import Encoder
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from tests import laws
from tests import layer_checks
from tests import numerics
from tests import pairs


@keras.saving.register_keras_serializable(package="tests")
class WordsEncoder(Encoder):
    """A memory of embedded words, without a state."""

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding = keras.layers.Embedding(
            vocabulary_size, 6, dtype=self.dtype_policy
        )

    def call(self, source_ids, training=None):
        mask = ops.not_equal(source_ids, 0)
        return {"outputs": self.embedding(source_ids), "mask": mask}

    def get_config(self):
        config = {"vocabulary_size": self.vocabulary_size}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="tests")
class SumDecoder(Decoder):
    """Sees the sum of all words so far and the mean of the source."""

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        policy = self.dtype_policy
        self.embedding = keras.layers.Embedding(
            vocabulary_size, 6, dtype=policy
        )
        self.output_layer = keras.layers.Dense(vocabulary_size, dtype=policy)

    def build(self, target_ids_shape, memory_shape):
        self.embedding.build()
        self.output_layer.build((None, None, 6))

    def call(self, target_ids, memory, training=None):
        total = ops.cumsum(self.embedding(target_ids), axis=1)
        return self.output_layer(ops.tanh(total + self.prepare(memory)))

    def prepare(self, memory):
        weights = ops.cast(memory["mask"], memory["outputs"].dtype)
        total = ops.sum(memory["outputs"] * weights[..., None], axis=1)
        return (total / ops.sum(weights, axis=1, keepdims=True))[:, None]

    def initial_state(self, memory, beam_size, max_length):
        rows = ops.shape(memory["outputs"])[0]
        return {"total": ops.zeros((rows, beam_size, 6), self.compute_dtype)}

    def step(self, token_ids, state, context, position):
        total = state["total"] + self.embedding(token_ids)
        logits = self.output_layer(ops.tanh(total + context))
        return logits, {"total": total}

    def get_config(self):
        config = {"vocabulary_size": self.vocabulary_size}
        return {**super().get_config(), **config}


@functools.cache
def user_pair(dtype="float32"):
    return pairs.build(
        WordsEncoder(pairs.SOURCE_SIZE, dtype=dtype),
        SumDecoder(pairs.TARGET_SIZE, dtype=dtype),
    )


@functools.cache
def user_model():
    return Seq2Seq(*user_pair())


def test_padding_changes_nothing():
    laws.check_padding_changes_nothing(user_pair)


def test_steps_equal_whole():
    laws.check_steps_equal_whole(user_pair)


def test_gradients_are_slopes():
    laws.check_finite_differences(user_pair)


def test_beams_are_queries():
    laws.check_beams_are_queries(user_pair)


def test_a_beam_of_one_is_greedy():
    laws.check_beam_of_one_is_greedy(user_model())


@pytest.mark.parametrize("search", laws.SEARCHES)
def test_searches_keep_their_laws(search):
    laws.check_independent_of_batch(user_model(), laws.SEARCHES[search]())
    laws.check_scores_are_rescored(user_model(), laws.SEARCHES[search]())


def test_they_keep_what_layers_keep():
    source_ids, target_ids, _ = pairs.sentences()
    memory = user_pair()[0](source_ids)
    layer_checks.check_layer(
        lambda **o: WordsEncoder(13, **o), source_ids, free_axes=2
    )
    layer_checks.check_layer(
        lambda **o: SumDecoder(11, **o), target_ids, memory
    )


def test_they_are_saved_and_loaded(tmp_path):
    inference = InferenceModel(user_model(), max_length=4)
    inference.save(tmp_path / "x.keras")
    source_ids = pairs.sentences()[0]
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    numerics.assert_close(loaded(source_ids), inference(source_ids), 0)


@keras.saving.register_keras_serializable(package="tests")
class VectorEncoder(Encoder):
    """Reads numbers instead of ids."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(6)

    def make_input(self):
        return keras.Input((None, 2), name="vectors")

    def call(self, source, training=None):
        mask = ops.any(ops.not_equal(source, 0), axis=-1)
        return {"outputs": self.dense(source), "mask": mask}


def test_an_encoder_may_read_numbers():
    model = Seq2Seq(VectorEncoder(), SumDecoder(11))
    vectors = np.random.default_rng(0).normal(size=(3, 4, 2))
    vectors = vectors.astype("float32")
    logits = model({"vectors": vectors, "target_ids": pairs.sentences()[1]})
    assert logits.shape == (3, 4, 11)
    inference = InferenceModel(model, max_length=4)
    result = inference.predict(vectors, verbose=0)
    assert result["ids"].shape == (3, 1, 4)


def test_what_is_missing_is_named():
    with pytest.raises(NotImplementedError, match="Decoder must implement"):
        Decoder().step(None, None, None, None)
    for name, arguments in (
        ("call", (None, None)),
        ("prepare", (None,)),
        ("initial_state", (None, 1, 1)),
        ("step", (None, None, None, None)),
    ):
        with pytest.raises(NotImplementedError, match=f"implement `{name}`"):
            getattr(Decoder(), name)(*arguments)
    with pytest.raises(NotImplementedError, match="Encoder must implement"):
        Encoder().call(None)
