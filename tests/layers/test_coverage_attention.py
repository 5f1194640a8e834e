"""Coverage attention and its loss against loops in NumPy."""

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.layers import CoverageAttention
from keras_s2s.layers.coverage_attention import coverage_losses
from tests import layer_checks
from tests import numerics
from tests import pairs

MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], "bool")


def inputs():
    random = np.random.default_rng(0)
    return random.normal(size=(3, 5, 3)), random.normal(size=(3, 4, 2))


def slow_weights(weights, query, value):
    """See et al., 2017, eq. 1, 2, 10 and 11, of one row without padding."""
    coverage, rows = np.zeros(len(value)), []
    vector = weights["score_vector"]
    if "scale" in weights:
        vector = weights["scale"] * vector / np.linalg.norm(vector)
    for state in query:
        scores = [
            vector
            @ np.tanh(
                hidden @ weights["value_kernel"]
                + state @ weights["query_kernel"]
                + seen * weights["coverage_vector"]
                + weights["bias"]
            )
            for hidden, seen in zip(value, coverage)
        ]
        rows.append(np.exp(scores) / np.sum(np.exp(scores)))
        coverage = coverage + rows[-1]
    return np.stack(rows)


@pytest.mark.parametrize("normalize", [False, True])
def test_it_equals_a_slow_loop(normalize):
    query, value = inputs()
    layer = CoverageAttention(4, normalize, dtype="float64")
    layer.build(query.shape, value.shape)
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    by_name = {w.name: numerics.numpy(w.value) for w in layer.weights}
    context, weights = numerics.numpy(layer(query, value, MASK))
    for row in range(3):
        real = MASK[row]
        expected = slow_weights(by_name, query[row], value[row, real])
        numerics.assert_close(weights[row][:, real], expected, 1e-12)
        numerics.assert_close(context[row], expected @ value[row, real], 1e-12)
        assert np.all(weights[row][:, ~real] == 0)


def test_the_loss_of_each_step_by_hand():
    weights = np.array([[[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]]], "float16")
    # Coverage: (0, 0), (0.75, 0.25), (1.25, 0.75).
    losses = numerics.numpy(coverage_losses(weights))
    np.testing.assert_array_equal(losses, [[0.0, 0.75, 0.75]])
    layer = CoverageAttention(4, coverage_loss_weight=2.0)
    for mask, expected in (([1, 1, 1], 1.0), ([1, 1, 0], 0.75), ([0] * 3, 0)):
        loss = layer.weights_loss(weights, np.array([mask], "bool"))
        assert float(loss) == expected


def make_model(weight):
    decoder = s2s.layers.RNNDecoder(
        pairs.TARGET_SIZE, 4, 5, attention=CoverageAttention(4, False, weight)
    )
    encoder = s2s.layers.RNNEncoder(
        pairs.SOURCE_SIZE, 4, 5, bidirectional=False
    )
    return s2s.models.Seq2Seq(*pairs.build(encoder, decoder))


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_training_adds_the_loss_of_the_real_tokens(chunk_size):
    source_ids, target_ids, labels = pairs.sentences()
    model = make_model(0.5)
    memory = model.encoder(source_ids)
    found = numerics.numpy(model.decoder.attended_features(target_ids, memory))
    is_real = target_ids != 0
    total = 0.0
    for row in range(3):
        seen = np.zeros(5)
        for weights in found["weights"][row][is_real[row]]:
            total += np.sum(np.minimum(weights, seen))
            seen += weights
    expected = 0.5 * total / np.sum(is_real)
    assert expected > 0.1
    assert not model.decoder.losses

    loss = s2s.losses.SequenceLoss(chunk_size=chunk_size)
    # One of them in a graph.
    eager = chunk_size is not None
    model.compile(keras.optimizers.SGD(0.0), loss=loss, run_eagerly=eager)
    inputs = {
        "source_ids": pairs.pad(source_ids, 2),
        "target_ids": pairs.pad(target_ids, 2),
    }
    plain = float(
        s2s.losses.SequenceLoss()(labels, model.decoder(target_ids, memory))
    )
    trained = model.train_on_batch(inputs, pairs.pad(labels, 2))
    np.testing.assert_allclose(trained - plain, expected, rtol=1e-4)


def test_it_keeps_what_a_layer_keeps():
    layer_checks.check_layer(
        lambda **o: CoverageAttention(4, True, 1.0, **o),
        *inputs(),
        MASK,
        free_axes=2,
    )


def test_a_negative_weight_is_named():
    with pytest.raises(
        ValueError, match=r"`coverage_loss_weight` must be a number in \[0.0"
    ):
        CoverageAttention(4, coverage_loss_weight=-1.0)
