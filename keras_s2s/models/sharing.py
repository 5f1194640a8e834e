"""Layers that encoder and decoder have in common."""

from typing import Any

import keras

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder


def share_embedding(encoder: Encoder, decoder: Decoder) -> None:
    """Gives an encoder the embedding of a decoder.

    Raises:
        ValueError: one of them has none, or they are not alike.
    """
    if shares_embedding(encoder, decoder):
        return
    found = []
    for layer in (encoder, decoder):
        embedding = getattr(layer, "embedding", None)
        found.append(embedding and (embedding.input_dim, embedding.output_dim))
    if None in found or found[0] != found[1]:
        rule = "False where the embeddings of encoder and decoder differ"
        checks.fail("share_embeddings", f"{rule}, {found}", True)
    _replace(encoder, "embedding", decoder.embedding)


def shares_embedding(encoder: Encoder, decoder: Decoder) -> bool:
    """Whether an encoder has the embedding of a decoder."""
    embedding = getattr(encoder, "embedding", None)
    return embedding is not None and embedding is getattr(
        decoder, "embedding", None
    )


def tie_cells(encoder: Encoder, decoder: Decoder) -> None:
    """Gives a built encoder the recurrent cells of a built decoder.

    Raises:
        ValueError: one of them has none, or they are not alike.
    """
    if shares_cells(encoder, decoder):
        return
    found = [
        [_describe(cells) for cells in _cells_of(layer)]
        for layer in (encoder, decoder)
    ]
    if [] in found or found[0] != found[1]:
        rule = "False where the cells of encoder and decoder differ"
        checks.fail("share_cells", f"{rule}, {found}", True)
    _replace(encoder, "cells", _cells_of(decoder))


def shares_cells(encoder: Encoder, decoder: Decoder) -> bool:
    """Whether an encoder has the recurrent cells of a decoder."""
    cells = keras.tree.flatten(_cells_of(encoder))
    others = keras.tree.flatten(_cells_of(decoder))
    return bool(cells) and cells == others


def _cells_of(layer: Any) -> list[list[Any]]:
    """The cells of each layer of an encoder, or of a decoder's stack."""
    stack = getattr(layer, "stack", None)
    if stack is not None:
        return [[cell] for cell in getattr(stack, "cells", [])]
    return getattr(layer, "cells", [])


def _describe(cells: Any) -> list[tuple]:
    return [
        (type(cell), *[tuple(weight.shape) for weight in cell.weights])
        for cell in keras.tree.flatten(cells)
    ]


def _replace(encoder: Encoder, name: str, value: Any) -> None:
    """Sets an attribute in place of the layers that it held."""
    # Keras would go on to track these as well, and what is built is locked.
    tracker = encoder._tracker
    locked = tracker.locked
    tracker.unlock()
    for layer in keras.tree.flatten(getattr(encoder, name)):
        tracker.untrack(layer)
    setattr(encoder, name, value)
    if locked:
        tracker.lock()
