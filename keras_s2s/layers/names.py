"""Layers by name: several encoders, or several decoders."""

from typing import Any

import keras

from keras_s2s import checks


def read_layers(layers: Any) -> Any:
    """Returns layers that may come from a config."""
    if not isinstance(layers, dict):
        return layers
    return {
        name: keras.saving.deserialize_keras_object(layer)
        if isinstance(layer, dict)
        else layer
        for name, layer in layers.items()
    }


def check_layers(name: str, layers: Any, kind: type) -> None:
    """Refuses what is no dict of different layers of a kind, by name."""
    rule = f"a dict of keras_s2s.layers.{kind.__name__} by name"
    checks.check_instance(name, layers, dict, rule)
    if not layers:
        checks.fail(name, "of at least one name", layers)
    for key, layer in layers.items():
        # Keras' own names have no "/".
        if not isinstance(key, str) or not key or "/" in key:
            checks.fail(name, 'a dict by str, not empty and without "/"', key)
        rule = f"a keras_s2s.layers.{kind.__name__}"
        checks.check_instance(f"{name}[{key!r}]", layer, kind, rule)
    if len({id(layer) for layer in layers.values()}) < len(layers):
        rule = "a different layer for each name"
        checks.fail(name, rule, [layer.name for layer in layers.values()])


def make_named_inputs(
    layers: dict[str, Any], side: str
) -> tuple[str, dict[str, keras.KerasTensor]]:
    """Returns what the inputs of layers are called together, and each.

    Args:
        layers: dict of encoders, or of decoders, by name.
        side: str. "source" or "target".

    Returns:
        The name that all inputs have, `source_ids` say, or `sources` if they
        have several; and an input of each name.
    """
    made = {name: layer.make_input() for name, layer in layers.items()}
    kinds = {one.name for one in made.values()}
    kind = kinds.pop() if len(kinds) == 1 else f"{side}s"
    # Sources are the inputs of an inference model, under these names.
    prefix = "" if side == "source" else f"{kind}_"
    return kind, {
        name: keras.Input(one.shape[1:], dtype=one.dtype, name=prefix + name)
        for name, one in made.items()
    }
