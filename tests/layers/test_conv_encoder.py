"""The convolutional encoder against a slow one in NumPy."""

import numpy as np
import pytest

from keras_s2s.layers import ConvEncoder
from tests import encoders
from tests import numerics
from tests.layers.recurrences import sigmoid
from tests.layers.transformers import dense
from tests.layers.transformers import weights_of


def slow(encoder, ids):
    """Gehring et al., 2017, 3.2, one position after the other."""
    embedded = encoders.embed(encoder, ids)
    x = dense(encoder.input_dense, embedded)
    for convolution in encoder.convolutions:
        kernel, bias = weights_of(convolution)
        reach, rows = len(kernel) // 2, []
        for place in range(len(ids)):
            total = bias
            for n in range(len(kernel)):
                neighbour = place + n - reach
                if 0 <= neighbour < len(ids):
                    total = total + x[neighbour] @ kernel[n]
            value, gate = np.split(total, 2)
            rows.append((x[place] + value * sigmoid(gate)) / np.sqrt(2))
        x = np.stack(rows)
    return (dense(encoder.output_dense, x) + embedded) / np.sqrt(2)


@pytest.mark.parametrize("name", ["convolutional", "wide"])
def test_it_equals_a_slow_one(name):
    encoders.check_equals_slow(encoders.drawn(name), slow)


def test_values_keep_their_variance_at_the_start():
    """About: gates that vary let more than half through, a fifth a block."""
    encoder = ConvEncoder(1000, 64, 96, kernel_size=5, positions=None)
    ids = np.random.default_rng(0).integers(1, 1000, (8, 50))
    outputs = numerics.numpy(encoder(ids)["outputs"])[:, 10:-10]
    assert 1.0 < np.var(outputs) < 2.0


def test_its_weights_are_counted_by_hand():
    encoder = encoders.drawn("convolutional")
    dense_in, dense_out = (4 + 1) * 5, (5 + 1) * 4
    convolution = (3 * 5 + 1) * 2 * 5
    expected = 13 * 4 + 12 * 4 + dense_in + 2 * convolution + dense_out
    assert encoder.count_params() == expected


@pytest.mark.parametrize(
    "options, message",
    [
        ({"units": 0}, "`units` must be an integer >= 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer >= 1"),
        ({"kernel_size": -1}, "`kernel_size` must be an integer >= 1"),
        (
            {"kernel_size": 4},
            "`kernel_size` must be an odd integer. Received: kernel_size=4.",
        ),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        encoders.make_encoder("convolutional", **options)
