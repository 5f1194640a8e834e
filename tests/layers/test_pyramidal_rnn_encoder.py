"""The pyramidal encoder against a slow one in NumPy."""

import numpy as np
import pytest

from keras_s2s.layers.pyramidal_rnn_encoder import pair_steps
from tests import encoders
from tests import numerics
from tests import pairs
from tests.layers import recurrences


def slow(encoder, ids):
    """Chan et al., 2016, eq. 4, over one row without padding."""
    x, states = encoders.embed(encoder, ids), []
    for layer, cells in enumerate(encoder.cells):
        if layer > 0:
            x = np.concatenate([x, np.zeros((len(x) % 2, x.shape[1]))])
            x = np.stack(
                [np.concatenate(x[n : n + 2]) for n in range(0, len(x), 2)]
            )
        x, state = recurrences.run_both(cells, x)
        states += state
    return x, states


@pytest.mark.parametrize("name", ["pyramidal", "high pyramid"])
def test_it_equals_a_slow_one_however_far_padded(name):
    """Lengths of 5, 1 and 3: with 3 layers a last step is alone twice."""
    encoder = encoders.drawn(name)
    source_ids = pairs.sentences()[0]
    divisor = {"pyramidal": 2, "high pyramid": 4}[name]
    for more in (0, 1, 4):
        memory = numerics.numpy(encoder(pairs.pad(source_ids, more)))
        length = int(np.ceil((5 + more) / divisor))
        assert encoder.memory_length(5 + more) == length
        assert memory["mask"].shape == memory["outputs"].shape[:2]
        assert memory["mask"].shape == (3, length)
        for row, ids in enumerate(source_ids):
            outputs, states = slow(encoder, ids[ids != 0])
            found, size = memory["outputs"][row], len(outputs)
            numerics.assert_close(found[:size], outputs, 1e-12)
            assert not np.any(found[size:])
            assert memory["mask"][row].tolist() == [
                place < size for place in range(length)
            ]
            found = [state[row] for state in memory["state"]]
            numerics.assert_close(found, states, 1e-12)


def test_a_pair_is_real_where_one_of_it_is():
    x = np.arange(1.0, 6.0).reshape(1, 5, 1)
    mask = np.array([[False, True, False, False, True]])
    pairs, is_real = numerics.numpy(pair_steps(x, mask))
    assert pairs.tolist() == [[[1, 2], [3, 4], [5, 0]]]
    assert is_real.tolist() == [[True, False, True]]


def test_its_weights_are_counted_by_hand():
    encoder = encoders.drawn("pyramidal")
    # Two GRUs a layer; the second one sees twice 2 x 5.
    low, high = ((size + 5) * 15 + 15 + 5 for size in (4, 20))
    assert encoder.count_params() == 13 * 4 + 2 * low + 2 * high


@pytest.mark.parametrize(
    "options, message",
    [
        ({"units": 0}, "`units` must be an integer >= 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer >= 1"),
        ({"cell": "rnn"}, "`cell` must be one of"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        encoders.make_encoder("pyramidal", **options)
