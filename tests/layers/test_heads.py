"""The pieces of attention with heads, by hand."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers import heads
from tests import numerics


def test_heads_are_neighbouring_columns():
    values = np.arange(12.0).reshape(1, 2, 6)
    found = numerics.numpy(heads.split_heads(ops.array(values), 3))
    assert found.shape == (1, 3, 2, 2)
    assert found[0, 1].tolist() == [[2, 3], [8, 9]]
    back = heads.merge_heads(ops.array(found))
    np.testing.assert_array_equal(numerics.numpy(back), values)


def test_a_position_sees_itself_and_what_came_before():
    bias = numerics.numpy(heads.causal_bias(3, "float32"))
    assert bias.shape == (1, 1, 3, 3)
    expected = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    np.testing.assert_array_equal(bias[0, 0] == 0, np.array(expected, bool))
    assert np.all(np.exp(bias[0, 0][np.triu_indices(3, 1)]) == 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_masks_are_float32_at_least(dtype):
    """-1e9 is beyond what float16 holds."""
    bias = heads.mask_bias(ops.array([True, False]), dtype)
    assert numerics.dtype_of(bias) == "float32"
    assert np.all(np.isfinite(numerics.numpy(bias)))


def test_weights_are_a_softmax_of_scaled_products():
    # One head of size 4: products 0 and 2 ln 3, halved by the root of 4.
    query = np.array([1.0, 0, 0, 0]).reshape(1, 1, 1, 4)
    key = np.zeros((1, 1, 4, 3))
    key[0, 0, 0] = [0.0, 2 * np.log(3), 50.0]
    value = np.array([4.0, 8.0, 99.0]).reshape(1, 1, 3, 1) * np.ones(4)
    bias = heads.mask_bias(ops.array([True, True, False]), "float64")
    context, weights = heads.attend_heads(
        *(ops.array(x) for x in (query, key, value)), bias
    )
    np.testing.assert_allclose(
        numerics.numpy(weights)[0, 0, 0], [0.25, 0.75, 0]
    )
    np.testing.assert_allclose(numerics.numpy(context)[0, 0, 0], 7 * np.ones(4))


def test_neighbouring_heads_share_a_group():
    random = np.random.default_rng(0)
    query = random.normal(size=(2, 6, 3, 4))
    key, value = random.normal(size=(2, 2, 3, 5, 4))[:, :, [0, 2]]
    key = np.swapaxes(key, 2, 3)
    bias = np.zeros((1, 1, 1, 5))
    grouped = heads.attend_heads(*map(ops.array, (query, key, value, bias)))
    key, value = (np.repeat(x, 3, axis=1) for x in (key, value))
    expected = heads.attend_heads(*map(ops.array, (query, key, value, bias)))
    numerics.assert_close(grouped, expected, 1e-12)


def test_two_parts_are_one_text():
    random = np.random.default_rng(0)
    query = random.normal(size=(2, 6, 3, 4))
    key, value = random.normal(size=(2, 2, 2, 7, 4))
    key = np.swapaxes(key, 2, 3)
    bias = random.normal(size=(2, 1, 3, 7))
    bias[..., :2] = bias[:, :, :1, :2]
    expected, _ = heads.attend_heads(*map(ops.array, (query, key, value, bias)))
    before = {
        "key": ops.array(key[..., :2]),
        "value": ops.array(value[:, :, :2]),
        "bias": ops.array(bias[:, :, :1, :2]),
    }
    rest = key[..., 2:], value[:, :, 2:], bias[..., 2:]
    found = heads.attend_after(ops.array(query), before, *map(ops.array, rest))
    numerics.assert_close(found, expected, 1e-12)


def test_half_precision_keeps_its_dtype():
    ones = ops.ones((1, 2, 3, 4), "float16")
    bias = heads.causal_bias(3, "float16")
    keys = heads.transpose_keys(ones)
    for tensor in heads.attend_heads(ones, keys, ones, bias):
        assert numerics.dtype_of(tensor) == "float16"


def check_a_fused_kernel(groups, dtype):
    """The same context, and no NaN where every position is masked."""
    random = np.random.default_rng(0)
    query = ops.cast(random.normal(size=(2, 6, 3, 4)), dtype)
    key, value = (
        ops.cast(random.normal(size=(2, groups, 5, 4)), dtype) for _ in "kv"
    )
    mask = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    bias = heads.mask_bias(ops.array(mask[:, None, None]), dtype)
    found = heads.attend_fused(query, key, value, bias)
    key = heads.transpose_keys(key)
    expected, _ = heads.attend_heads(query, key, value, bias)
    assert numerics.dtype_of(found) == dtype
    assert np.all(np.isfinite(numerics.numpy(found)))
    tolerance = 3e-3 if dtype == "float16" else 1e-5
    numerics.assert_close(found[0], expected[0], tolerance)


# Of one group for all heads TensorFlow's own has none; it is not used there.
@pytest.mark.parametrize("groups", [6, 2])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_fused_kernel_gives_the_same_context(groups, dtype):
    check_a_fused_kernel(groups, dtype)
