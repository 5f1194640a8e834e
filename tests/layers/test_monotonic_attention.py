"""Monotonic attention against the equations of its papers in slow NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_s2s as s2s
from keras_s2s.layers import MonotonicAttention
from keras_s2s.layers import MonotonicChunkwiseAttention
from keras_s2s.layers.monotonic_attention import stop
from tests import layer_checks
from tests import numerics
from tests import pairs

MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 1, 0]], "bool")


def inputs(length=3):
    random = np.random.default_rng(0)
    return random.normal(size=(3, length, 3)), random.normal(size=(3, 4, 2))


def draw(layer, query, value):
    layer.build(query.shape, value.shape)
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def recursive(scores, before):
    """Raffel et al., 2017, eq. 8 and 9: one position after the other."""
    result, q = np.zeros(len(scores)), 0.0
    for j in range(len(scores)):
        q = sigmoid(-scores[j - 1]) * q + before[j]  # 1 - p is sigmoid(-x)
        result[j] = sigmoid(scores[j]) * q
    return result


def parallel(scores, before):
    """`tfa.seq2seq.monotonic_attention`, mode "parallel"."""
    products = np.concatenate([[1.0], np.cumprod(sigmoid(-scores))[:-1]])
    return (
        sigmoid(scores)
        * products
        * np.cumsum(before / np.clip(products, 1e-10, 1.0))
    )


def hard(scores, before):
    """Algorithm 1: from where it was, it goes on to the first that it picks."""
    result = np.zeros(len(scores))
    for j in range(int(np.argmax(before)), len(scores)):
        if np.any(before) and scores[j] > 0:
            result[j] = 1.0
            break
    return result


SLOW = {"recursive": recursive, "parallel": parallel, "hard": hard}


@pytest.mark.parametrize("mode", SLOW)
def test_a_stop_equals_its_equation(mode):
    random = np.random.default_rng(0)
    for scale in (1.0, 10.0):
        scores = random.normal(size=(3, 2, 12), scale=scale)
        before = random.dirichlet(np.ones(12), size=(3, 2))
        if mode == "hard":
            before = np.eye(12)[random.integers(0, 12, (3, 2))]
        found = numerics.numpy(stop(ops.array(scores), ops.array(before), mode))
        for row in range(3):
            for beam in range(2):
                expected = SLOW[mode](scores[row, beam], before[row, beam])
                np.testing.assert_allclose(
                    found[row, beam], expected, rtol=1e-9, atol=1e-12
                )


def test_hard_and_soft_agree_where_all_is_certain():
    scores = np.array([[[-90.0, -90, 90, -90, 90]]])
    before = np.array([[[0.0, 1, 0, 0, 0]]])
    for mode in SLOW:
        found = numerics.numpy(stop(ops.array(scores), ops.array(before), mode))
        np.testing.assert_allclose(found, [[[0.0, 0, 1, 0, 0]]], atol=1e-12)


def test_a_long_source_loses_nothing_in_single_precision():
    # 1 - p is e^-1000 all along the first 200 positions together: its product
    # is 0 in single precision, and that of the 200 positions behind is not.
    scores = np.concatenate([np.full(200, 5.0), np.full(200, -5.0)])
    before = np.eye(400)[250]
    found = numerics.numpy(
        stop(
            ops.array(scores[None, None], "float32"),
            ops.array(before[None, None], "float32"),
            "recursive",
        )
    )
    expected = recursive(scores, before)
    assert np.sum(expected) > 0.6
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-3)


@pytest.mark.parametrize("mode", ["recursive", "parallel"])
def test_no_score_gives_a_nan_in_half_precision(mode):
    scores = ops.array([[[6e4, -6e4, 6e4, 0.0, -6e4, 20.0]]], "float32")
    before = ops.array([[[1e-30, 0.5, 0.0, 0.5, 1e-7, 0.0]]], "float32")
    variables = [keras.Variable(x) for x in (scores, before)]

    def total():
        return ops.sum(ops.square(stop(*[v.value for v in variables], mode)))

    for tensor in numerics.value_and_gradients(total, variables):
        for part in keras.tree.flatten(numerics.numpy(tensor)):
            assert np.all(np.isfinite(part))


def slow_attention(layer, query, value, mode):
    """All steps of one row without padding, from scores to weights."""
    scorers = [layer.scorer, getattr(layer, "chunk_scorer", None)]
    mask = np.ones((1, len(value)), "bool")
    scores = []
    for scorer in scorers:
        if scorer is not None:
            prepared = scorer.prepare(ops.array(value[None]), mask)
            found = scorer.scores(ops.array(query[None]), prepared)
            scores.append(numerics.numpy(found)[0])
    before, rows = np.eye(len(value))[0], []
    for time in range(len(query)):
        biased = scores[0][time] + numerics.numpy(layer.score_bias.value)
        before = SLOW[mode](biased, before)
        weights = before
        if len(scores) > 1:  # Chiu and Raffel, 2018, eq. 17
            weights = np.zeros(len(value))
            exp = np.exp(scores[1][time])
            for k, share in enumerate(before):
                chunk = range(max(k - layer.chunk_size + 1, 0), k + 1)
                for j in chunk:
                    weights[j] += share * exp[j] / np.sum(exp[list(chunk)])
        rows.append(weights)
    return np.stack(rows)


LAYERS = {
    "recursive": lambda **o: MonotonicAttention(**o),
    "parallel": lambda **o: MonotonicAttention(
        "dot", mode="parallel", score_bias_init=0.0, **o
    ),
    "hard": lambda **o: MonotonicAttention(
        "additive", 4, inference_mode="hard", **o
    ),
    "chunkwise": lambda **o: MonotonicChunkwiseAttention(2, **o),
}


@pytest.mark.parametrize("kind", ["recursive", "hard", "chunkwise"])
def test_it_equals_a_slow_loop(kind):
    query, value = inputs()
    layer = draw(LAYERS[kind](dtype="float64"), query, value)
    context, weights = numerics.numpy(layer(query, value, MASK))
    for row in range(3):
        real = MASK[row]
        mode = "hard" if kind == "hard" else "recursive"
        expected = slow_attention(layer, query[row], value[row, real], mode)
        numerics.assert_close(weights[row][:, real], expected, 1e-12)
        numerics.assert_close(context[row], expected @ value[row, real], 1e-12)
        assert np.all(weights[row][:, ~real] == 0)


@pytest.mark.parametrize("kind", LAYERS)
def test_it_keeps_what_a_layer_keeps(kind):
    query, value = inputs(2)
    value = np.pad(value, [(0, 0), (0, 0), (0, 1)])
    layer_checks.check_layer(LAYERS[kind], query, value, MASK, free_axes=2)


@pytest.mark.parametrize("mode", SLOW)
def test_weights_go_to_zero_where_a_target_is_longer_than_its_source(mode):
    query, value = np.zeros((1, 5, 2)), np.ones((1, 2, 2))
    layer = MonotonicAttention("dot", mode=mode, score_bias_init=0.0)
    layer.build(query.shape, value.shape)
    layer.score_bias.assign(1.0)
    stays = numerics.numpy(layer(query, value)[1])
    sums = stays.sum(-1)[0]
    if mode == "hard":  # which stays at the first
        np.testing.assert_array_equal(stays[0, :, 0], np.ones(5))
    else:
        assert np.all(np.diff(sums) < 0)
    layer.score_bias.assign(-60.0)
    for tensor in numerics.numpy(layer(query, value)):
        np.testing.assert_allclose(tensor, 0.0, atol=1e-20)


def test_noise_is_drawn_in_training_only():
    query, value = inputs()
    layer = draw(MonotonicAttention(inference_mode="hard"), query, value)
    first, second, trained, other = (
        numerics.numpy(layer(query, value, MASK, training=training)[1])
        for training in (False, None, True, True)
    )
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(first)) <= {0.0, 1.0}
    assert len(np.unique(trained)) > 9 and np.any(trained != other)
    quiet = MonotonicAttention(sigmoid_noise=0.0)
    draw(quiet, query, value)
    one, two = (
        numerics.numpy(quiet(query, value, MASK, training=training)[1])
        for training in (False, True)
    )
    np.testing.assert_array_equal(one, two)


def test_a_decoder_has_noise_and_gradients_in_half_precision():
    decoder = s2s.layers.RNNDecoder(
        pairs.TARGET_SIZE,
        4,
        5,
        attention=MonotonicAttention(dtype="mixed_float16"),
        dtype="mixed_float16",
    )
    memory = pairs.pair("chunkwise")[0](pairs.sentences()[0])
    memory = layer_checks.cast_floats(memory, "float16")
    target_ids = pairs.sentences()[1]
    decoder(target_ids, memory)

    def total():
        logits = decoder(target_ids, memory, training=True)
        return ops.sum(ops.cast(logits, "float32"))

    weights = decoder.trainable_weights
    one, gradients = numerics.value_and_gradients(total, weights)
    assert float(one) != float(total())
    by_name = {w.path: numerics.numpy(g) for w, g in zip(weights, gradients)}
    for name, gradient in by_name.items():
        assert np.all(np.isfinite(gradient))
        if "score_bias" in name:
            assert gradient != 0
    assert any("score_bias" in name for name in by_name)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "soft"}, r"`mode` must be one of \['recursive', 'parallel'"),
        ({"inference_mode": "soft"}, r"`inference_mode` must be one of \[None"),
        ({"sigmoid_noise": -1}, r"`sigmoid_noise` must be a number in \[0.0"),
        ({"score_bias_init": "low"}, "`score_bias_init` must be a number"),
        ({"chunk_size": 0}, "`chunk_size` must be an integer >= 1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    kind = MonotonicAttention
    if "chunk_size" in options:
        kind = MonotonicChunkwiseAttention
    with pytest.raises((ValueError, TypeError), match=message):
        kind(**options)
