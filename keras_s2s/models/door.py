"""Checks of what comes into a model as arrays, before any graph runs."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.data import SequencePairs
from keras_s2s.data import Stream
from keras_s2s.data import StreamPairs
from keras_s2s.data import pad_rows

# What sources and targets are called in the data.
SOURCES = ("source_ids", "source_vectors", "images", "sources")
TARGETS = ("target_ids", "target_vectors", "targets")


def check_pairs(data: Any, labels: Any, encoder: Any, decoder: Any) -> None:
    """Refuses training data that its layers cannot read.

    Data that cannot be looked at beforehand, a generator say, passes.

    Args:
        data: dict of arrays, a `SequencePairs` or a `Stream`.
        labels: array `(B, T)`, or `(B, T, C)` of vectors, or None; of several
            decoders, a dict of those.
        encoder: layer. Its `vocabulary_size` or `vector_dim` counts, if it
            has one, and its `longest`; of one with `encoders`, theirs.
        decoder: layer, likewise, and its `max_copied`; or a dict of those.

    Raises:
        ValueError: an id is negative or not in the vocabulary; vectors of
            another size, or not finite; more tokens, padding included, than
            learned positions; other names than those of the layers.
    """
    if isinstance(data, SequencePairs):
        lengths = np.max(data.shapes, axis=0)[1:]
        sides = [
            ("source_ids", data.max_source_id, lengths[0]),
            ("target_ids", data.max_target_id, lengths[1]),
        ]
    elif isinstance(data, Stream):
        sides = [("target_ids", data.max_target_id, data.steps)]
        if isinstance(data, StreamPairs):
            sources = {"source_ids": data.max_source_id, "resets": True}
            sides.append(("sources", sources, data.steps))
    elif isinstance(data, dict):
        given = {**data, "labels": labels}
        sides = [
            (name, given[name], None)
            for name in (*SOURCES, *TARGETS, "labels")
            if given.get(name) is not None
        ]
    else:
        return
    copied = [getattr(layer, "max_copied", 0) for layer in find_layers(decoder)]
    for side, values, length in sides:
        layers, extra = (
            (source_layers(encoder), max(copied))
            if side in SOURCES
            else (decoder, 0)
        )
        for name, found, layer in match_names(side, values, layers):
            _check_side(name, found, layer, length, extra)


def find_layers(layers: Any) -> list[Any]:
    """Returns a list of one layer, or of all of a dict."""
    return list(layers.values()) if isinstance(layers, dict) else [layers]


def source_layers(encoder: Any) -> Any:
    """Returns what reads sources: an encoder, or a dict of several."""
    return getattr(encoder, "encoders", encoder)


def match_names(side: str, values: Any, layers: Any) -> Iterator[tuple]:
    """Yields the name, the values and the layer of each input.

    Raises:
        ValueError: the names of a dict are not those of the layers, or there
            is a dict where there is one layer, or none where there are more.
    """
    if not isinstance(layers, dict):
        if isinstance(values, dict):
            rule = "one array, as the model has no names"
            checks.fail(side, rule, list(values))
        yield side, values, layers
        return
    if not isinstance(values, dict) or set(values) != set(layers):
        rule = f"a dict of the names of the model, {list(layers)}"
        kind = type(values).__name__
        found = list(values) if isinstance(values, dict) else kind
        checks.fail(side, rule, found)
    for name, layer in layers.items():
        yield f"{side}[{name!r}]", values[name], layer


def _check_side(
    name: str, values: Any, layer: Any, length: int | None, extra: int
) -> None:
    """Checks an array, or the largest id of many, of a length."""
    longest = getattr(layer, "longest", None)
    if longest is not None:
        length = np.shape(values)[1] if length is None else int(length)
        checks.check_length(name, length, longest)
    size = getattr(layer, "vocabulary_size", None)
    if size is not None and _is_integer(values):
        checks.check_ids(name, values, size + extra)
    size = getattr(layer, "vector_dim", None)
    if size is not None and np.ndim(values):
        check_vectors(name, values, size)


def check_copying(encoder: Any, decoder: Any) -> None:
    """Refuses a decoder that copies what its encoder cannot read.

    Raises:
        ValueError: the encoder has no `unk_id`, or another vocabulary.
    """
    if not hasattr(decoder, "max_copied"):
        return
    size = decoder.vocabulary_size - decoder.max_copied
    found = {
        name: getattr(encoder, name, None)
        for name in ("unk_id", "vocabulary_size")
    }
    if found != {"unk_id": decoder.unk_id, "vocabulary_size": size}:
        rule = (
            f"one of unk_id={decoder.unk_id} and vocabulary_size={size}, as "
            "the decoder that copies from it"
        )
        checks.fail("encoder", rule, found)


def source_vocabulary(encoder: Any, decoder: Any) -> int | None:
    """Returns the number of ids that a source may have, None if any.

    Those outside of the vocabulary of the encoder are for a decoder to copy.
    """
    size = getattr(encoder, "vocabulary_size", None)
    if size is None:
        return None
    return size + getattr(decoder, "max_copied", 0)


def check_sources(sources: Any, encoder: Any, decoder: Any) -> dict[str, Any]:
    """Returns the sources of several encoders as arrays, or refuses them.

    Args:
        sources: dict by name of what `check_source_ids` takes, or
            `check_source_vectors`, or of images.
        encoder: layer with `encoders`, by name.
        decoder: layer.
    """
    checked = []
    for name, values, layer in match_names(
        "sources", sources, encoder.encoders
    ):
        if hasattr(layer, "vocabulary_size"):
            values = check_source_ids(values, layer, decoder, name)
        elif hasattr(layer, "vector_dim"):
            values = check_source_vectors(values, layer, name)
        checked.append(values)
    return dict(zip(encoder.encoders, checked))


def check_source_ids(
    source_ids: Any, encoder: Any, decoder: Any, name: str = "source_ids"
) -> np.ndarray:
    """Returns sources as an int32 array, or refuses them.

    Args:
        source_ids: int array `(B, S)`, or a list of lists of ids, which is
            padded.
        encoder: layer. Its `vocabulary_size`, `pad_id` and `longest` count.
        decoder: layer. Its `max_copied` counts, if it has one.
        name: str. What errors call them.

    Returns:
        Int32 `(B, S)`.

    Raises:
        ValueError: an id outside the vocabulary, a row of only padding, or
            more tokens than learned positions.
    """
    pad_id = getattr(encoder, "pad_id", 0)
    if isinstance(source_ids, (list, tuple)):
        source_ids = pad_rows(source_ids, pad_id)
    source_ids = keras.ops.convert_to_numpy(source_ids)
    if source_ids.ndim != 2 or not _is_integer(source_ids):
        found = (source_ids.shape, str(source_ids.dtype))
        checks.fail(name, "an integer array (B, S)", found)
    size = source_vocabulary(encoder, decoder)
    checks.check_ids(name, source_ids, size)
    empty = np.flatnonzero(np.all(source_ids == pad_id, axis=1))
    if len(empty) and not getattr(encoder, "is_prompt", False):
        rule = "rows with at least one token that is not padding"
        found = f"only padding in row {empty[0]}"
        checks.fail(name, rule, found)
    longest = getattr(encoder, "longest", None)
    if longest is not None:
        is_real = np.any(source_ids != pad_id, axis=0)
        length = int(np.max(np.flatnonzero(is_real), initial=-1)) + 1
        checks.check_length(name, length, longest)
        source_ids = source_ids[:, :longest]
    return source_ids.astype("int32")


def check_source_vectors(
    source_vectors: Any, encoder: Any, name: str = "source_vectors"
) -> np.ndarray:
    """Returns sources as a float array, or refuses them.

    Args:
        source_vectors: numbers `(B, S, C)`, or a list of arrays `(S, C)`,
            which is padded. NaN is padding, or a missing value.
        encoder: layer. Its `vector_dim` and `longest` count.
        name: str. What errors call them.

    Returns:
        Float `(B, S, C)`.

    Raises:
        ValueError: another shape; an infinite value; a row without any
            value; more vectors than learned positions.
    """
    size = encoder.vector_dim
    if isinstance(source_vectors, (list, tuple)):
        source_vectors = pad_rows(source_vectors, np.nan)
    source_vectors = check_vectors(name, source_vectors, size)
    empty = np.flatnonzero(np.all(np.isnan(source_vectors), axis=(1, 2)))
    if len(empty):
        rule = "rows with at least one value that is not NaN"
        checks.fail(name, rule, f"only NaN in row {empty[0]}")
    longest = getattr(encoder, "longest", None)
    if longest is not None:
        checks.check_length(name, source_vectors.shape[1], longest)
    return source_vectors


def check_vectors(name: str, vectors: Any, size: int) -> np.ndarray:
    """Returns an array `(B, S, size)`, refused if of another shape or with
    an infinite value."""
    vectors = keras.ops.convert_to_numpy(vectors)
    is_number = np.issubdtype(vectors.dtype, np.number)
    if vectors.ndim != 3 or vectors.shape[-1] != size or not is_number:
        found = (vectors.shape, str(vectors.dtype))
        checks.fail(name, f"an array of numbers (B, S, {size})", found)
    infinite = np.flatnonzero(np.any(np.isinf(vectors), axis=(1, 2)))
    if len(infinite):
        found = f"an infinite value in row {infinite[0]}"
        checks.fail(name, "finite, or NaN where a value is missing", found)
    return vectors


def _is_integer(ids: Any) -> bool:
    kind = np.asarray(keras.ops.convert_to_numpy(ids)).dtype.kind
    return kind in "iu"
