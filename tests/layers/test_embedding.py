"""Token embeddings: their start, their scale and their gradient."""

import numpy as np
import pytest
from keras import ops

from keras_s2s.layers.embedding import TokenEmbedding
from tests import layer_checks
from tests import numerics

IDS = np.array([[5, 3, 5], [5, 0, 8]], "int32")


@pytest.mark.parametrize("scale", [False, True])
def test_entries_start_with_variance_one(scale):
    layer = TokenEmbedding(500, 16, scale=scale)
    found = numerics.numpy(layer(np.arange(500)))
    assert abs(np.std(found) - 1) < 0.05
    factor = 4.0 if scale else 1.0
    np.testing.assert_allclose(found, factor * numerics.numpy(layer.embeddings))


@pytest.mark.parametrize("scale", [False, True])
def test_its_gradient_is_that_of_a_product_with_one_hot_rows(scale):
    layer = TokenEmbedding(9, 4, scale=scale, dtype="float64")
    layer.build()
    weighing = np.random.default_rng(0).normal(size=(2, 3, 4))

    def total(rows):
        return ops.sum(ops.tanh(rows) * weighing)

    def dense():
        rows = ops.matmul(
            ops.one_hot(IDS, 9, dtype="float64"), layer.embeddings
        )
        return total(rows * (2.0 if scale else 1.0))

    expected = numerics.value_and_gradients(dense, [layer.embeddings])
    found = numerics.value_and_gradients(
        lambda: total(layer(IDS)), [layer.embeddings]
    )
    numerics.assert_close(found, expected, 1e-12)


def test_it_keeps_what_a_layer_keeps():
    layer_checks.check_layer(
        lambda **o: TokenEmbedding(9, 4, scale=True, **o), IDS, free_axes=2
    )


def test_one_vector_has_rank_one():
    assert TokenEmbedding(9, 4)(ops.array(3)).shape == (4,)
