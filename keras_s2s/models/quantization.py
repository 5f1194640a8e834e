"""Weights in few bits, by Keras' own `quantize`: kept, and kept quiet."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from keras_s2s import checks

# What Keras cannot train: these weights have no gradient.
FIXED_MODES = ("int8", "int4")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keras warns of each layer that stays as it is: norms, dropout, ..."""
    with warnings.catch_warnings():
        message = r"Layer \w+ does not have a `quantize` method"
        warnings.filterwarnings("ignore", message)
        yield


def find_quantized(*layers: keras.layers.Layer) -> dict[str, Any]:
    """Returns the path of each quantized layer inside, with its mode.

    Keras saves the mode of a layer with its dtype policy, but not of one
    inside of a layer that makes it.
    """
    return {
        part.path: {
            "mode": part.quantization_mode,
            "config": keras.saving.serialize_keras_object(
                getattr(part, "quantization_config", None)
            ),
        }
        for part in _parts(layers)
        if part.quantization_mode is not None
    }


def quantize_again(found: dict[str, Any], *layers: keras.layers.Layer) -> None:
    """Quantizes what `find_quantized` found in layers that were saved."""
    for part in _parts(layers):
        if part.path in found and part.quantization_mode is None:
            options = found[part.path]
            config = keras.saving.deserialize_keras_object(options["config"])
            part.quantize(options["mode"], config=config)


def check_trainable(*layers: keras.layers.Layer) -> None:
    """Refuses to train weights that are integers.

    Raises:
        ValueError: a layer inside is quantized.
    """
    for part in _parts(layers):
        if part.quantization_mode in FIXED_MODES:
            rule = "of float weights to be trained"
            cure = "Train first, then `quantize`."
            found = f"{part.quantization_mode} in {part.path}"
            checks.fail("model", rule, found, cure)


def _parts(layers: Any) -> list[keras.layers.Layer]:
    return [part for layer in layers for part in layer._flatten_layers()]
