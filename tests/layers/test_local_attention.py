"""Local attention against loops in NumPy."""

import numpy as np
import pytest

from keras_s2s.layers import LocalAttention
from tests import layer_checks
from tests import numerics

# Left padding and a gap: positions count real tokens only.
MASK = np.array([[1] * 6, [1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0]], "bool")


def inputs(length=8):
    random = np.random.default_rng(0)
    return random.normal(size=(3, length, 3)), random.normal(size=(3, 6, 2))


def softmax(scores):
    return np.exp(scores) / np.sum(np.exp(scores))


def slow_weights(layer, query, value, time):
    """Luong et al., 2015, eq. 7 to 10, of one row without padding."""
    names = {w.name: numerics.numpy(w.value) for w in layer.weights}
    total = len(value)
    if layer.alignment == "monotonic":
        center = min(time, total - 1)
    else:
        hidden = np.tanh(query @ names["position_kernel"])
        share = 1 / (1 + np.exp(-hidden @ names["position_vector"][:, 0]))
        center = total * share
    near = [s for s in range(total) if abs(s - center) <= layer.window]
    scores = [query @ (value[s] @ names["value_kernel"]) for s in near]
    weights = np.zeros(total)
    for place, weight in zip(near, softmax(scores)):
        if layer.alignment == "predictive":
            weight *= np.exp(-((place - center) ** 2) / (layer.window**2 / 2))
        weights[place] = weight
    return weights


@pytest.mark.parametrize("alignment", ["monotonic", "predictive"])
def test_it_equals_a_slow_loop(alignment):
    query, value = inputs()
    layer = LocalAttention(2, alignment, dtype="float64")
    layer.build(query.shape, value.shape)
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    context, weights = numerics.numpy(layer(query, value, MASK))
    for row in range(3):
        real = MASK[row]
        for time in range(8):
            expected = slow_weights(
                layer, query[row, time], value[row, real], time
            )
            numerics.assert_close(weights[row, time, real], expected, 1e-12)
            numerics.assert_close(
                context[row, time], expected @ value[row, real], 1e-12
            )
        assert np.all(weights[row][:, ~real] == 0)


def test_the_window_stays_at_the_end_of_a_shorter_source():
    query, value = inputs()
    layer = LocalAttention(1, "monotonic")
    _, weights = numerics.numpy(layer(query, value, MASK))
    # Row 2 has three tokens, at 1, 3 and 4.
    found = [np.flatnonzero(step).tolist() for step in weights[2]]
    assert found == [[1, 3], [1, 3, 4], *[[3, 4]] * 6]
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("alignment", ["monotonic", "predictive"])
def test_it_keeps_what_a_layer_keeps(alignment):
    layer_checks.check_layer(
        lambda **o: LocalAttention(2, alignment, "additive", 4, **o),
        *inputs(2),
        MASK,
        free_axes=2,
    )


def test_a_memory_of_only_padding_gives_no_nan():
    query, value = layer_checks.cast_floats(list(inputs(2)), "float16")
    layer = LocalAttention(2, dtype="mixed_float16")
    for tensor in numerics.numpy(layer(query, value, np.zeros_like(MASK))):
        assert np.all(np.isfinite(tensor))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window": 0}, "`window` must be an integer >= 1"),
        ({"alignment": "local"}, r"`alignment` must be one of \['monotonic'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LocalAttention(**options)
