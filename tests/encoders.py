"""Encoders that are not those of `pairs.py`, each with a decoder."""

import functools

import numpy as np

import keras_s2s as s2s
from tests import numerics
from tests import pairs
from tests.layers import transformers

# The class and its options.
ENCODERS = {
    "convolutional": (
        s2s.layers.ConvEncoder,
        {"units": 5, "num_layers": 2, "max_positions": 12},
    ),
    "wide": (
        s2s.layers.ConvEncoder,
        {
            "units": 3,
            "num_layers": 1,
            "kernel_size": 7,
            "positions": "sinusoidal",
        },
    ),
    "pyramidal": (
        s2s.layers.PyramidalRNNEncoder,
        {"units": 5, "cell": "gru", "num_layers": 2},
    ),
    "high pyramid": (s2s.layers.PyramidalRNNEncoder, {"units": 3}),
    "pooling": (
        s2s.layers.PoolingEncoder,
        {"pool_size": 3, "max_positions": 12},
    ),
    "even pooling": (
        s2s.layers.PoolingEncoder,
        {"pool_size": 2, "positions": None},
    ),
    "gnmt": (
        s2s.layers.RNNEncoder,
        {
            "units": 5,
            "cell": "layer_norm_lstm",
            "num_layers": 2,
            "bidirectional_layers": 1,
        },
    ),
}
# One of each kind, the pair of `laws` whose decoder it gets, and what else
# this decoder is told.
PAIRS = {
    "convolutional": ("mean", {}),
    "pyramidal": ("default", {}),
    "pooling": ("mean", {}),
    "gnmt": ("default", {"cell": "layer_norm_gru"}),
}


def make_encoder(name, **options):
    kind, own = ENCODERS[name]
    sizes = {"vocabulary_size": pairs.SOURCE_SIZE, "embedding_dim": 4}
    return kind(**{**sizes, **own, **options})


def drawn(name, **options):
    """An encoder with random weights, of float64 unless told otherwise."""
    encoder = make_encoder(name, **{"dtype": "float64", **options})
    encoder.build((None, None))
    random = np.random.default_rng(0)
    for weight in encoder.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    return encoder


def make_layers(name, **options):
    decoder, own = PAIRS[name]
    decoder = pairs.make_decoder(decoder, **own, **options)
    return make_encoder(name, **options), decoder


@functools.cache
def pair(name, dtype="float32"):
    """Returns a built encoder and decoder with random weights."""
    return pairs.build(*make_layers(name, dtype=dtype))


@functools.cache
def model_of(name):
    return s2s.models.Seq2Seq(*pair(name))


def embed(encoder, ids):
    """Embeddings and positions of one row, slowly."""
    (table,) = transformers.weights_of(encoder.embedding)
    x = table[ids]
    if encoder.positions == "sinusoidal":
        rows = [transformers.sinusoid(n, x.shape[1]) for n in range(len(ids))]
        x = x + np.stack(rows)
    elif encoder.positions == "learned":
        x = x + transformers.weights_of(encoder.positions_layer)[0][: len(ids)]
    return x


def check_equals_slow(encoder, slow, tolerance=1e-12):
    """Compares outputs with `slow(encoder, ids)` of each row by itself."""
    source_ids = pairs.sentences()[0]
    memory = numerics.numpy(encoder(source_ids))
    np.testing.assert_array_equal(memory["mask"], source_ids != 0)
    assert set(memory) == {"outputs", "mask"}
    for row, ids in enumerate(source_ids):
        ids = ids[ids != 0]
        found = memory["outputs"][row]
        numerics.assert_close(found[: len(ids)], slow(encoder, ids), tolerance)
        assert not np.any(found[len(ids) :])
