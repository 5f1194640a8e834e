"""The bridge from encoder to decoder, by hand."""

import numpy as np
import pytest

from keras_s2s.layers import Bridge
from tests import layer_checks
from tests import numerics


def memory(with_state=True):
    random = np.random.default_rng(0)
    result = {
        "outputs": random.normal(size=(2, 3, 4)).astype("float32"),
        "mask": np.array([[True, True, True], [True, False, False]]),
    }
    if with_state:
        sizes = (4, 2)
        result["state"] = [
            random.normal(size=(2, size)).astype("float32") for size in sizes
        ]
    return result


def expected_dense(bridge, source):
    return [
        np.tanh(
            source @ numerics.numpy(d.kernel.value)
            + numerics.numpy(d.bias.value)
        )
        for d in bridge.dense
    ]


def test_dense_sees_all_states_side_by_side():
    bridge, source = Bridge("dense", [5, 3]), memory()
    found = bridge(source)
    joined = np.concatenate(source["state"], axis=1)
    numerics.assert_close(found, expected_dense(bridge, joined), 1e-6)


def test_dense_takes_the_mean_of_an_encoder_without_state():
    bridge, source = Bridge("dense", [5, 3]), memory(with_state=False)
    found = bridge(source)
    outputs = source["outputs"]
    mean = np.stack([outputs[0].mean(0), outputs[1, 0]])
    numerics.assert_close(found, expected_dense(bridge, mean), 1e-6)


def test_pass_hands_the_states_over():
    source = memory()
    numerics.assert_close(Bridge("pass", [4, 2])(source), source["state"], 0)


def test_zero_is_zero():
    found = Bridge("zero", [5, 3])(memory())
    numerics.assert_close(found, [np.zeros((2, 5)), np.zeros((2, 3))], 0)


@pytest.mark.parametrize(
    "kind, sizes", [("dense", [5, 3]), ("pass", [4, 2]), ("zero", [5])]
)
def test_it_keeps_what_a_layer_keeps(kind, sizes):
    layer_checks.check_layer(lambda **o: Bridge(kind, sizes, **o), memory())


@pytest.mark.parametrize("with_state", [True, False])
def test_pass_refuses_other_states(with_state):
    found = r"\[4, 2\]" if with_state else r"\[\]"
    with pytest.raises(
        ValueError,
        match=rf"`bridge` must be 'dense' or 'zero' where the encoder's states "
        rf"\(sizes {found}\) are not the decoder's \(sizes \[4, 4\]\)",
    ):
        Bridge("pass", [4, 4])(memory(with_state))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"`bridge` must be one of \['dense'"):
        Bridge("copy", [4])
