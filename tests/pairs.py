"""Encoders and decoders of every kind, and the sentences they read."""

import functools

import keras
import numpy as np

import keras_s2s as s2s
from keras_s2s.models.sharing import share_embedding
from tests.numerics import numpy

SOURCE_SIZE, TARGET_SIZE = 13, 11

BOS, EOS = 2, 3

# Encoder and decoder options: each value of each option is in one of them.
PAIRS = {
    "default": ({}, {}),
    "luong": (
        {"cell": "gru", "num_layers": 2},
        {"cell": "gru", "num_layers": 2, "attention": "general"},
    ),
    "unfed": (
        {"cell": "gru", "bidirectional": False},
        {
            "num_layers": 2,
            "attention": "scaled",
            "input_feeding": False,
            "readout": "deep",
            "residual": False,
        },
    ),
    "dot": (
        {"num_layers": 2, "bidirectional": False},
        {
            "num_layers": 2,
            "attention": "dot",
            "bridge": "pass",
            "tie_embeddings": True,
        },
    ),
    "bahdanau": (
        {"cell": "gru"},
        {"cell": "gru", "readout": "deep", "bridge": "zero"},
    ),
    "normalized": (
        {"num_layers": 2, "residual": False},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.AdditiveAttention(4, True, **o),
            "readout": "state",
        },
    ),
    "sutskever": (
        {"num_layers": 2, "bidirectional": False},
        {"num_layers": 2, "attention": None, "bridge": "pass"},
    ),
    "cho": (
        {"cell": "gru", "bidirectional": False},
        {"cell": "gru", "attention": None, "context": "state"},
    ),
    "mean": (
        {},
        {"attention": None, "context": "mean", "input_feeding": False},
    ),
}

# The same of attentions with a state, or of what they are made of.
ATTENTION_PAIRS = {
    "coverage": (
        {"bidirectional": False},
        {
            "attention": lambda **o: s2s.layers.CoverageAttention(4, **o),
            "readout": "state",
        },
    ),
    "predictive": (
        {"cell": "gru", "bidirectional": False},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.LocalAttention(2, **o),
            "input_feeding": False,
        },
    ),
    "conditional": (
        {"cell": "gru", "bidirectional": False},
        {
            "cell": "conditional_gru",
            "attention": lambda **o: s2s.layers.LocalAttention(
                1, "monotonic", "additive", **o
            ),
            "readout": "deep",
        },
    ),
    "chunkwise": (
        {"cell": "gru", "bidirectional": False},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.MonotonicChunkwiseAttention(
                score="dot", **o
            ),
            "input_feeding": False,
        },
    ),
    # The heads of legacy_seq2seq.
    "heads": (
        {"num_layers": 2, "bidirectional": False},
        {
            "num_layers": 2,
            "attention": lambda **o: s2s.layers.ParallelAttention(
                [s2s.layers.AdditiveAttention(4, **o) for _ in range(2)], **o
            ),
            "input_feeding": False,
            "readout": "linear",
            "query": "states",
        },
    ),
}

RNN_PAIRS = {**PAIRS, **ATTENTION_PAIRS}

GROUPED = {
    "num_heads": 4,
    "num_kv_heads": 2,
    "activation": "gelu",
    "positions": "learned",
    "max_positions": 12,
    "scale_embeddings": False,
}

LLAMA = {
    "num_kv_heads": 1,
    "activation": "swiglu",
    "normalization": "rms",
    "positions": "rotary",
}

# The same of Transformers.
TRANSFORMER_PAIRS = {
    "transformer": ({"num_layers": 2}, {"num_layers": 2}),
    "vaswani": (
        {"normalize_first": False},
        {"normalize_first": False, "tie_embeddings": True},
    ),
    "grouped": (GROUPED, {**GROUPED, "tie_embeddings": True}),
    "llama": (LLAMA, LLAMA),
    "unplaced": (
        {"positions": None},
        {
            "positions": None,
            "normalize_first": False,
            "normalization": "rms",
        },
    ),
}

# One of each kind.
MIXED_PAIRS = {
    "rnn over transformer": ({}, {"attention": "general"}),
    "heads over transformer": (
        {},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.MultiHeadAttention(5, **o),
        },
    ),
    "transformer over rnn": ({"cell": "gru"}, {}),
}

# The same of vectors, read or written or both, by R, an RNN, or T.
VECTOR_PAIRS = {
    "R to R": ({"cell": "gru", "bidirectional": False}, {}),
    "T to T": ({}, {"positions": "rotary"}),
    "words to R": ({}, {"cell": "gru", "attention": None, "context": "mean"}),
    "R to words": ({"cell": "gru"}, {"cell": "gru", "attention": "scaled"}),
}

EVERY_PAIR = {
    **RNN_PAIRS,
    **TRANSFORMER_PAIRS,
    **MIXED_PAIRS,
    **VECTOR_PAIRS,
}

# Encoder and decoder have one vocabulary and one embedding.
SHARED = ("grouped",)

VECTOR_DIM = 3

SIZES = {"embedding_dim": 4, "units": 5}

TRANSFORMER_SIZES = {
    "embedding_dim": 8,
    "hidden_dim": 6,
    "num_layers": 1,
    "num_heads": 2,
}


def make_layers(name, **options):
    """Returns the encoder and the decoder of a name, not built."""
    encoder, decoder = (
        make_encoder(name, **options),
        make_decoder(name, **options),
    )
    if name in SHARED:
        share_embedding(encoder, decoder)
    return encoder, decoder


def make_encoder(name, **options):
    options = {**EVERY_PAIR[name][0], **options}
    if name in VECTOR_PAIRS and not name.startswith("words"):
        return make_vector_layer(name[0], "Encoder", options)
    if name in RNN_PAIRS or name.endswith("over rnn") or name in VECTOR_PAIRS:
        return s2s.layers.RNNEncoder(SOURCE_SIZE, **{**SIZES, **options})
    options = {**TRANSFORMER_SIZES, **options}
    return s2s.layers.TransformerEncoder(SOURCE_SIZE, **options)


def make_decoder(name, **options):
    given = {**EVERY_PAIR[name][1], **options}
    if callable(given.get("attention")):
        given["attention"] = given["attention"](**options)
    if name in VECTOR_PAIRS and not name.endswith("words"):
        return make_vector_layer(name[-1], "Decoder", given)
    if (
        name in RNN_PAIRS
        or name.endswith("over transformer")
        or name in VECTOR_PAIRS
    ):
        return s2s.layers.RNNDecoder(TARGET_SIZE, **{**SIZES, **given})
    size = SOURCE_SIZE if name in SHARED else TARGET_SIZE
    return s2s.layers.TransformerDecoder(size, **{**TRANSFORMER_SIZES, **given})


def make_vector_layer(letter, side, options):
    if letter == "R":
        kind = getattr(s2s.layers, f"RNNVector{side}")
        return kind(VECTOR_DIM, **{**SIZES, **options})
    kind = getattr(s2s.layers, f"TransformerVector{side}")
    return kind(VECTOR_DIM, **{**TRANSFORMER_SIZES, **options})


@functools.cache
def pair(name, dtype="float32"):
    """Returns a built encoder and decoder with random weights."""
    return build(*make_layers(name, dtype=dtype))


def build(encoder, decoder, seed=0, source=None):
    """Builds both, and draws all weights: no bias is 0, no scale 1."""
    source, target, _ = examples(encoder, decoder, source)
    if keras.backend.backend() == "jax":  # which compiles each operation
        source, target = (
            keras.KerasTensor(one.shape, one.dtype) for one in (source, target)
        )
    decoder(target, encoder(source))
    random = np.random.default_rng(seed)
    for variable in weights_of(encoder, decoder):
        variable.assign(random.normal(size=variable.shape, scale=0.7))
    if hasattr(decoder, "vector_dim"):
        return encoder, decoder
    # A model that has learnt never writes padding.
    # One that copies has another decoder inside.
    bias = getattr(decoder, "decoder", decoder).output_layer.bias
    values = numpy(bias.value)
    bias.assign(np.where(np.arange(len(values)) == 0, -30.0, values))
    return encoder, decoder


@functools.cache
def model_of(name):
    return s2s.models.Seq2Seq(*pair(name))


def sentences(seed=1, source=None):
    """Returns three sources, targets and labels, int32, padded.

    `source` replaces the sources, three of them.
    """
    random = np.random.default_rng(seed)
    lengths = np.array([[5, 4], [1, 1], [3, 2]])
    source_ids = random.integers(4, SOURCE_SIZE, (3, 5))
    words = random.integers(4, TARGET_SIZE, (3, 4))
    target_ids = np.concatenate([np.full((3, 1), BOS), words[:, 1:]], axis=1)
    labels = np.concatenate([words[:, 1:], np.full((3, 1), EOS)], axis=1)
    source_ids[np.arange(5) >= lengths[:, :1]] = 0
    padding = np.arange(4) >= lengths[:, 1:]
    target_ids[padding] = labels[padding] = 0
    source_ids, target_ids, labels = (
        ids.astype("int32") for ids in (source_ids, target_ids, labels)
    )
    return source_ids if source is None else source, target_ids, labels


def examples(encoder, decoder, source=None):
    """Returns `sentences`, as vectors where a layer reads them."""
    found = list(sentences(source=source))
    for number, layer in enumerate((encoder, decoder, decoder)):
        if hasattr(layer, "vector_dim"):
            found[number] = as_vectors(found[number], seed=number)
    return found


def as_vectors(ids, seed):
    """Draws a vector for each id; one value is missing, padding is NaN."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(*ids.shape, VECTOR_DIM)).astype("float32")
    vectors[ids == 0] = vectors[0, 1, 2] = np.nan
    return vectors


def loss_of(decoder):
    if hasattr(decoder, "vector_dim"):
        return s2s.losses.SequenceRegressionLoss("huber", delta=0.5)
    return s2s.losses.SequenceLoss()


def is_real(inputs):
    """Bool `(B, S)`, of ids or of vectors."""
    if inputs.dtype.kind == "f":
        return ~np.all(np.isnan(inputs), axis=-1)
    return inputs != 0


def pad(inputs, count):
    """Pads ids with 0, vectors with NaN."""
    rest = [(0, 0)] * (inputs.ndim - 2)
    value = np.nan if inputs.dtype.kind == "f" else 0
    return np.pad(inputs, [(0, 0), (0, count), *rest], constant_values=value)


def weights_of(*layers):
    """Returns each weight once, though layers share it."""
    weights = [w for layer in layers for w in layer.trainable_weights]
    return list({id(weight): weight for weight in weights}.values())
