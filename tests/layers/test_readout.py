"""The readout and the output layer, by hand."""

import numpy as np
import pytest

from keras_s2s.layers.readout import OutputLayer
from keras_s2s.layers.readout import Readout
from tests import layer_checks
from tests import numerics

random = np.random.default_rng(0)
STATE, CONTEXT, TOKEN = (
    random.normal(size=(2, 1, size)).astype("float32") for size in (4, 3, 5)
)


@pytest.mark.parametrize("has_context", [True, False])
@pytest.mark.parametrize("kind", ["attentional", "deep", "linear"])
def test_a_readout_adds_what_there_is(kind, has_context):
    layer = Readout(6, kind, has_context)
    layer.build(4, 3 if has_context else None, 5)
    layer.bias.assign(random.normal(size=6))
    weights = {w.name: numerics.numpy(w.value) for w in layer.weights}
    total = STATE @ weights["state_kernel"] + weights["bias"]
    context = token = None
    if has_context:
        context = CONTEXT
        total = total + CONTEXT @ weights["context_kernel"]
    if kind == "deep":
        token = layer.project_token(TOKEN)
        total = total + TOKEN @ weights["token_kernel"]
    expected = total if kind == "linear" else np.tanh(total)
    numerics.assert_close(layer(STATE, context, token), expected, 1e-6)


def test_a_state_readout_is_the_state():
    layer = Readout(6, "state", True)
    layer.build(4, 3, 5)
    assert layer.dim == 4 and not layer.weights
    assert layer.project_token(TOKEN) is None
    assert layer.project_context(CONTEXT) is CONTEXT
    numerics.assert_close(layer(STATE, CONTEXT), STATE, 0)


def test_tied_logits_are_products_with_the_embedding():
    layer = OutputLayer(7, tied=True)
    embeddings = random.normal(size=(7, 4)).astype("float32")
    found = layer(STATE, embeddings)
    assert [w.name for w in layer.weights] == ["bias"]
    numerics.assert_close(found, STATE @ embeddings.T, 1e-6)


@pytest.mark.parametrize("kind", ["attentional", "state"])
def test_a_readout_keeps_what_a_layer_keeps(kind):
    layer_checks.check_layer(
        lambda **o: Readout(6, kind, True, **o),
        STATE,
        CONTEXT,
        build=(4, 3, 5),
    )


@pytest.mark.parametrize("tied", [True, False])
def test_an_output_layer_keeps_what_a_layer_keeps(tied):
    inputs = [STATE, np.ones((7, 4), "float32")] if tied else [STATE]
    layer_checks.check_layer(
        lambda **o: OutputLayer(7, tied, **o),
        *inputs,
        free_axes=0 if tied else 2,
    )


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`readout` must be one of \['atten"):
        Readout(6, "wide", True)
    with pytest.raises(ValueError, match=r"`readout_units` must be an integer"):
        Readout(0, "deep", True)
