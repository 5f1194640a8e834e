"""Decoders that copy, and their mixture in slow NumPy.

Ids of `pairs.sentences` are below 13: 9 words are known, 4 are extended.
"""

import functools
import math

import numpy as np

from keras_s2s import layers
from keras_s2s.layers.pointer_generator import sum_by_id
from tests import numerics
from tests import pairs

SIZE, MAX_COPIED, UNK = 9, 4, 1
coverage = functools.partial(layers.CoverageAttention, 4)
PAIRS = {
    "fed": ({}, {}),
    "unfed": (
        {"cell": "gru"},
        {"attention": "scaled", "input_feeding": False, "readout": "deep"},
    ),
    "coverage": (
        {"cell": "gru"},
        {"cell": "gru", "attention": coverage},
    ),
    "transformer": ({}, {"num_layers": 2, "tie_embeddings": True}),
}


def make_layers(name, dtype="float32"):
    """Returns an encoder and a decoder that copies, not built."""
    encoder_options, decoder_options = PAIRS[name]
    encoder = layers.RNNEncoder
    decoder, sizes = layers.RNNDecoder, pairs.SIZES
    if name == "transformer":
        encoder = layers.TransformerEncoder
        decoder, sizes = layers.TransformerDecoder, pairs.TRANSFORMER_SIZES
    if callable(decoder_options.get("attention")):
        attention = decoder_options["attention"](dtype=dtype)
        decoder_options = {**decoder_options, "attention": attention}
    sizes = {**sizes, "dtype": dtype}
    return encoder(SIZE, unk_id=UNK, **{**sizes, **encoder_options}), (
        layers.PointerGenerator(
            decoder(SIZE, **{**sizes, **decoder_options}), MAX_COPIED
        )
    )


@functools.cache
def pair(name, dtype="float32"):
    return pairs.build(*make_layers(name, dtype))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mixture(decoder, target_ids, memory):
    """See et al., 2017, eq. 8 and 9: probabilities `(B, T, V + M)`."""
    inner = decoder.decoder
    known = np.where(target_ids < SIZE, target_ids, UNK).astype("int32")
    scores = numerics.log_softmax(numerics.numpy(inner(known, memory)))
    features = numerics.numpy(inner.features(known, memory))
    weights = alignments(inner, known, memory)
    embeddings = numerics.numpy(inner.embedding(known))
    outputs, source_ids = numerics.numpy(
        [memory["outputs"], memory["source_ids"]]
    )
    kernel, bias = (numerics.numpy(w.value) for w in decoder.gate.weights)
    result = np.zeros((*known.shape, SIZE + MAX_COPIED))
    for b, t in np.ndindex(*known.shape):
        context = sum(a * row for a, row in zip(weights[b, t], outputs[b]))
        seen = np.concatenate([context, features[b, t], embeddings[b, t]])
        share = sigmoid(seen @ kernel[:, 0] + bias[0])
        for word in range(SIZE):
            result[b, t, word] = share * math.exp(scores[b, t, word])
        for a, word in zip(weights[b, t], source_ids[b]):
            word = word if word < SIZE + MAX_COPIED else UNK
            result[b, t, word] += (1 - share) * a
    return result


def alignments(decoder, target_ids, memory):
    """Where each step looks, one after the other: `(B, T, S)`."""
    total = target_ids.shape[1]
    state = decoder.initial_state(memory, 1, total)
    context, found = decoder.prepare(memory), []
    for time in range(total):
        ids = target_ids[:, time : time + 1]
        _, state = decoder.step(ids, state, context, np.int32(time))
        found.append(numerics.numpy(state["alignment"])[:, 0])
    return np.stack(found, axis=1)


def check_weights_add_up():
    """The weights of a word that comes twice are added up."""
    weights = np.array([[[0.5, 0.25, 0.125], [1, 2, 4]], [[8, 16, 32]] * 2])
    ids = np.array([[2, 0, 2], [1, 1, 1]], "int32")
    expected = [[[0.25, 0, 0.625, 0], [2, 0, 5, 0]], [[0, 56, 0, 0]] * 2]
    found = sum_by_id(weights.astype("float32"), ids, 4)
    np.testing.assert_array_equal(numerics.numpy(found), expected)
