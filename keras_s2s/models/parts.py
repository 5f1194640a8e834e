"""The encoder and the decoder of a model: found, saved and loaded."""

from typing import Any

import keras

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.models.quantization import find_quantized
from keras_s2s.models.quantization import quantize_again
from keras_s2s.models.seq2seq import Seq2Seq
from keras_s2s.models.sharing import shares_cells
from keras_s2s.models.sharing import shares_embedding


def find_parts(
    model: keras.Model, name: str = "model"
) -> tuple[Encoder, Decoder]:
    """Returns the one encoder and the one decoder of a model.

    Args:
        model: what holds them among its layers, or an inference model.
        name: str. What errors call it.

    Raises:
        ValueError: there is none, or more than one.
    """
    loop = getattr(model, "generator", None)
    if loop is not None:
        return loop.encoder, loop.decoder
    parts = []
    for kind in (Encoder, Decoder):
        found = [
            layer
            for layer in getattr(model, "layers", [])
            if isinstance(layer, kind)
        ]
        if len(found) != 1:
            checks.fail(
                name,
                "a model with one keras_s2s.layers."
                f"{kind.__name__} among its layers",
                [layer.name for layer in getattr(model, "layers", [])],
                "Of a `OneToMany`, take one `pair`." if found else "",
            )
        parts.append(found[0])
    return parts[0], parts[1]


def describe_pair(encoder: Encoder, decoder: Decoder) -> dict[str, Any]:
    """Returns the config from which `make_pair` makes both again."""
    serialize = keras.saving.serialize_keras_object
    return {
        "encoder": serialize(encoder),
        "decoder": serialize(decoder),
        "share_embeddings": shares_embedding(encoder, decoder),
        "share_cells": shares_cells(encoder, decoder),
        "quantized": find_quantized(encoder, decoder),
    }


def make_pair(config: dict[str, Any]) -> Seq2Seq:
    """Returns a model of what `describe_pair` described."""
    encoder, decoder = (
        keras.saving.deserialize_keras_object(config[name])
        for name in ("encoder", "decoder")
    )
    shares = {
        name: config.get(name, False)
        for name in ("share_embeddings", "share_cells")
    }
    model = Seq2Seq(encoder, decoder, **shares)
    quantize_again(config.get("quantized", {}), encoder, decoder)
    return model
