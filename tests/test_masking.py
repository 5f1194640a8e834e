"""Masks and masked means, by hand."""

import numpy as np
import pytest
from keras import ops

from keras_s2s import masking


def numbers(values, dtype="float32"):
    return ops.convert_to_tensor(values, dtype)


def test_padding_is_not_counted():
    values = numbers([[2.0, 4.0, 99.0], [1.0, 99.0, 99.0]])
    mask = numbers([[1, 1, 0], [1, 0, 0]], "bool")
    assert float(masking.masked_mean(values, mask)) == np.float32(7 / 3)
    found = masking.masked_mean(values, mask, axis=1)
    assert ops.convert_to_numpy(found).tolist() == [3.0, 1.0]


def test_the_mean_of_nothing_is_zero():
    mask = numbers([[False, False]], "bool")
    assert float(masking.masked_mean(numbers([[5.0, 6.0]]), mask)) == 0.0


def test_a_mask_broadcasts_over_features():
    values = numbers([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]]])
    mask = numbers([[[True], [True], [False]]], "bool")
    found = masking.masked_mean(values, mask, axis=1)
    assert ops.convert_to_numpy(found).tolist() == [[2.0, 4.0]]


def test_padding_is_where_the_padding_id_is():
    ids = ops.convert_to_tensor([[5, 0], [7, 7]])
    found = ops.convert_to_numpy(masking.padding_mask(ids))
    assert found.tolist() == [[True, False], [True, True]]
    found = ops.convert_to_numpy(masking.padding_mask(ids, 7))
    assert found.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_softmax_gives_padding_exactly_nothing(dtype):
    scores = numbers([[0.0, np.log(3.0), 50.0], [9.0, 9.0, 9.0]], dtype)
    mask = numbers([[1, 1, 0], [0, 0, 0]], "bool")
    found = masking.masked_softmax(scores, mask)
    assert found.dtype == dtype
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    tolerance = 1e-6 if dtype in ("float32", "float64") else 1e-2
    np.testing.assert_allclose(found[0], [0.25, 0.75, 0.0], atol=tolerance)
    assert found[0, 2] == 0
    np.testing.assert_allclose(found[1], 1 / 3, atol=tolerance)


@pytest.mark.parametrize("is_real", [True, False])
def test_the_softmax_of_one_position_is_one_without_a_warning(is_real):
    found = masking.masked_softmax(
        numbers([[7.0]]), numbers([[is_real]], "bool")
    )
    assert ops.convert_to_numpy(found).tolist() == [[1.0]]


def test_labels_weigh_what_their_sample_weights_say():
    labels = ops.convert_to_tensor([[4, 5, 0], [6, 0, 0]])

    def weights(*arguments, **options):
        found = masking.token_weights(labels, *arguments, **options)
        return ops.convert_to_numpy(found).tolist()

    assert weights() == [[1, 1, 0], [1, 0, 0]]
    assert weights(ignore_id=None) == [[1, 1, 1], [1, 1, 1]]
    assert weights(ignore_id=5) == [[1, 0, 1], [1, 1, 1]]
    assert weights([2.0, 0.5]) == [[2, 2, 0], [0.5, 0, 0]]
    assert weights([[2.0], [0.5]]) == [[2, 2, 0], [0.5, 0, 0]]
    assert weights([[1, 2, 3], [4, 5, 6]]) == [[1, 2, 0], [4, 0, 0]]


def test_weights_of_another_rank_are_refused():
    with pytest.raises(
        ValueError,
        match=r"`sample_weight` must be of shape \(B,\), \(B, 1\) or \(B, T\). "
        r"Received: sample_weight=\(1, 2, 3\)",
    ):
        masking.token_weights(np.ones((1, 2)), np.ones((1, 2, 3)))


def test_the_last_values_are_those_that_are_there():
    nan = np.nan
    vectors = [
        [[1.0, 2.0], [3.0, nan], [nan, nan]],
        [[nan, 4.0], [nan, 5.0], [nan, 0.0]],
    ]
    found = masking.last_values(numbers(vectors))
    assert ops.convert_to_numpy(found).tolist() == [[[3, 2]], [[0, 0]]]
    found = ops.convert_to_numpy(masking.value_mask(numbers(vectors[0])))
    assert found.tolist() == [[True, True], [True, False], [False, False]]


def test_padding_is_what_stands_behind_the_last_real_token():
    mask = numbers([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], "bool")
    found = ops.convert_to_numpy(masking.before_padding(mask))
    # The first position is bos, whatever it looks like.
    assert found.astype(int).tolist() == [[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]]
