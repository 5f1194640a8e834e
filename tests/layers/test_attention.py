"""Attention against loops in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import AdditiveAttention
from keras_s2s.layers import Attention
from keras_s2s.layers import MultiplicativeAttention
from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from keras_s2s.layers.attention import make_attention
from tests import laws
from tests import layer_checks
from tests import numerics
from tests import pairs

KINDS = {
    "additive": lambda **o: AdditiveAttention(4, **o),
    "biased": lambda **o: AdditiveAttention(4, use_bias=True, **o),
    "normalized": lambda **o: AdditiveAttention(4, normalize=True, **o),
    "dot": lambda **o: MultiplicativeAttention("dot", **o),
    "general": lambda **o: MultiplicativeAttention("general", **o),
    "scaled": lambda **o: MultiplicativeAttention("scaled", **o),
}
MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], "bool")
every_kind = pytest.mark.parametrize("kind", KINDS)


def inputs(query_dim=3):
    random = np.random.default_rng(0)
    return random.normal(size=(3, 2, query_dim)), random.normal(size=(3, 4, 3))


def slow_score(layer, query, value):
    """The score of one query and one position, from the papers."""
    weights = {
        weight.name: numerics.numpy(weight.value) for weight in layer.weights
    }
    if isinstance(layer, MultiplicativeAttention):
        if layer.score == "dot":
            return query @ value
        score = query @ (value @ weights["value_kernel"])
        return score * weights.get("scale", 1.0)
    hidden = query @ weights["query_kernel"] + value @ weights["value_kernel"]
    hidden = hidden + weights.get("bias", 0.0)
    vector = weights["score_vector"]
    if layer.normalize:
        vector = weights["scale"] * vector / np.linalg.norm(vector)
    return vector @ np.tanh(hidden)


@every_kind
def test_it_equals_a_slow_loop(kind):
    query, value = inputs()
    layer = KINDS[kind](dtype="float64")
    context, weights = layer(query, value, MASK)
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    context, weights = numerics.numpy(layer(query, value, MASK))
    for row in range(3):
        real = np.flatnonzero(MASK[row])
        for time in range(2):
            scores = [
                slow_score(layer, query[row, time], value[row, place])
                for place in real
            ]
            expected = np.exp(scores) / np.sum(np.exp(scores))
            np.testing.assert_allclose(weights[row, time, real], expected)
            assert np.all(weights[row, time, ~MASK[row]] == 0)
            np.testing.assert_allclose(
                context[row, time], expected @ value[row, real]
            )


@every_kind
def test_it_keeps_what_a_layer_keeps(kind):
    layer_checks.check_layer(KINDS[kind], *inputs(), MASK, free_axes=2)


@every_kind
def test_no_mask_is_a_mask_of_true(kind):
    layer = KINDS[kind]()
    query, value = layer_checks.cast_floats(list(inputs()), "float32")
    numerics.assert_close(
        layer(query, value), layer(query, value, np.ones((3, 4), "bool")), 0
    )


@every_kind
def test_a_memory_of_only_padding_gives_no_nan(kind):
    query, value = layer_checks.cast_floats(list(inputs()), "float16")
    layer = KINDS[kind](dtype="mixed_float16")
    context, weights = numerics.numpy(layer(query, value, np.zeros_like(MASK)))
    assert np.all(np.isfinite(context))
    np.testing.assert_array_equal(weights, np.full((3, 2, 4), 0.25))


@pytest.mark.parametrize("kind", ["additive", "normalized"])
def test_halves_are_scored_in_single_precision(kind, monkeypatch):
    query, value = layer_checks.cast_floats(list(inputs()), "float32")
    layer, exact = KINDS[kind](dtype="mixed_bfloat16"), KINDS[kind]()
    exact(query, value, MASK)
    layer(query, value, MASK)
    layer.set_weights(exact.get_weights())
    found = []

    def score(*args):
        found.append(AdditiveAttention.scores(layer, *args))
        return found[0]

    monkeypatch.setattr(layer, "scores", score)
    context, weights = layer(query, value, MASK)
    dtypes = [numerics.dtype_of(x) for x in (found[0], weights, context)]
    assert dtypes == ["float32", "bfloat16", "bfloat16"]
    expected = exact.scores(query, exact.prepare(value, MASK))
    numerics.assert_close(found[0], expected, 0.05)


def test_scaled_scores_start_with_the_variance_of_the_paper():
    layer = MultiplicativeAttention("scaled")
    layer.build((None, 2, 16), (None, 4, 3))
    assert layer.scale.numpy() == 0.25  # 1 / sqrt(16)


def test_a_dot_product_needs_one_size():
    with pytest.raises(
        ValueError,
        match=r"`score` must be 'general' or 'scaled' where the query "
        r"\(size 5\) and the memory \(size 3\) differ. Received: score='dot'",
    ):
        MultiplicativeAttention("dot")(*inputs(5))


def test_names_make_layers():
    assert make_attention(None, 3) is None
    layer = AdditiveAttention(2)
    assert make_attention(layer, 3) is layer
    assert make_attention("additive", 3).units == 3
    assert make_attention("multiplicative", 3).score == "general"
    assert make_attention("dot", 3).score == "dot"


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`units` must be an integer >= 1"):
        AdditiveAttention(0)
    with pytest.raises(ValueError, match=r"`score` must be one of \['dot'"):
        MultiplicativeAttention("cosine")
    with pytest.raises(ValueError, match=r"`attention` must be one of \[None"):
        make_attention("cosine", 3)


def test_the_base_class_says_what_is_missing():
    layer = Attention()
    with pytest.raises(NotImplementedError):
        layer(*layer_checks.cast_floats(list(inputs()), "float32"))


@keras.saving.register_keras_serializable(package="tests")
class UserAttention(Attention):
    """Reads variables in ways that the scan is not told of.

    A dense layer, a table of positions, one kernel twice, and the memory
    both as a weight and as a plain tensor.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.dense = keras.layers.Dense(3, "tanh", dtype=policy)
        self.score = keras.layers.Dense(1, dtype=policy)
        self.position = keras.layers.Embedding(20, 3, dtype=policy)

    def build_weights(self, query_dim, value_dim):
        self.dense.build((None, query_dim))
        self.score.build((None, 3))
        self.position.build()
        self.kernel = self.add_weight(shape=(value_dim, 3), name="kernel")

    def prepare(self, value, mask):
        return {"value": value, "again": value, "mask": mask}

    def attend(self, query, prepared):
        value = prepared["value"]
        keys = ops.matmul(value, ops.cast(self.kernel, value.dtype))
        places = ops.cumsum(ops.cast(prepared["mask"], "int32"), axis=1)
        keys = ops.expand_dims(keys + self.position(places), 1)
        query = ops.expand_dims(self.dense(query), 2)
        scores = ops.squeeze(self.score(ops.tanh(query * keys)), -1)
        mask = ops.expand_dims(prepared["mask"], 1)
        weights = ops.softmax(ops.where(mask, scores, -1e9), axis=-1)
        return ops.matmul(weights, prepared["again"]) * 0.5, weights


def user_pair(dtype, **options):
    return pairs.build(
        RNNEncoder(pairs.SOURCE_SIZE, 4, 5, dtype=dtype),
        RNNDecoder(
            pairs.TARGET_SIZE,
            4,
            5,
            attention=UserAttention(dtype=dtype),
            dtype=dtype,
            **options,
        ),
    )


@pytest.mark.parametrize("readout", ["attentional", "state"])
def test_a_users_attention_has_its_gradients(readout):
    laws.check_steps_equal_whole(
        lambda dtype: user_pair(dtype, readout=readout)
    )


def test_a_users_attention_trains_in_a_graph():
    laws.check_padding_changes_nothing(user_pair)


def test_a_users_attention_keeps_what_a_layer_keeps():
    layer_checks.check_layer(UserAttention, *inputs(), MASK, free_axes=1)
    options = {"attention": UserAttention()}
    decoder = RNNDecoder(11, 4, 5, **options)
    copy = RNNDecoder.from_config(decoder.get_config())
    assert isinstance(copy.attention, UserAttention)
