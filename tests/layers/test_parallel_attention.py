"""Several attentions over one memory, against each of them alone."""

import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.layers import AdditiveAttention
from keras_s2s.layers import MultiHeadAttention
from keras_s2s.layers import MultiplicativeAttention
from keras_s2s.layers import ParallelAttention
from tests import layer_checks
from tests import numerics
from tests.layers.test_attention import MASK
from tests.layers.test_attention import inputs


def make_layer(**options):
    attentions = [
        AdditiveAttention(4, **options),
        MultiplicativeAttention("dot", **options),
        MultiHeadAttention(1, **options),
    ]
    return ParallelAttention(attentions, **options)


def test_contexts_stand_side_by_side_and_weights_are_a_mean():
    query, value = inputs()
    layer = make_layer(dtype="float64")
    context, weights = layer(query, value, MASK)
    alone = [part(query, value, MASK) for part in layer.attentions]
    contexts, parts = (numerics.numpy(list(found)) for found in zip(*alone))
    numerics.assert_close(context, np.concatenate(contexts, axis=-1), 1e-12)
    numerics.assert_close(weights, np.mean(parts, axis=0), 1e-12)
    assert len(layer.weights) == 3 + 0 + 6


def test_it_keeps_what_a_layer_keeps():
    layer_checks.check_layer(make_layer, *inputs(), MASK, free_axes=2)


@pytest.mark.parametrize(
    "attentions, error, message",
    [
        ([], ValueError, "`attentions` must be a list of at least one"),
        (["additive"], TypeError, "`attentions` must be a list of keras_s2s"),
        (
            [s2s.layers.MonotonicAttention(name="never_back")],
            ValueError,
            "`attentions` must be without a state from step to step. "
            "Received: attentions='never_back'",
        ),
    ],
)
def test_bad_arguments_are_named(attentions, error, message):
    with pytest.raises(error, match=message):
        ParallelAttention(attentions)


def test_a_recurrent_decoder_refuses_dropout_in_any_of_them():
    attention = ParallelAttention([MultiHeadAttention(1, dropout=0.1)])
    with pytest.raises(ValueError, match="`attention` must be without dropout"):
        s2s.layers.RNNDecoder(11, 4, 5, attention=attention)
