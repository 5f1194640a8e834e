"""Checks of what comes into a model as arrays, before any graph runs."""

from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.data import SequencePairs
from keras_s2s.data import pad_rows


def check_pairs(data: Any, labels: Any, encoder: Any, decoder: Any) -> None:
    """Refuses training data that its layers cannot read.

    Data that cannot be looked at beforehand, a generator say, passes.

    Args:
        data: dict of arrays, or a `SequencePairs`.
        labels: array `(B, T)`, or `(B, T, C)` of vectors, or None.
        encoder: layer. Its `vocabulary_size` or `vector_dim` counts, if it
            has one, and its `longest`.
        decoder: layer, likewise, and its `max_copied`.

    Raises:
        ValueError: an id is negative or not in the vocabulary; vectors of
            another size, or not finite; more tokens, padding included, than
            learned positions.
    """
    _check_lengths(data, encoder, decoder)
    source_size = source_vocabulary(encoder, decoder)
    target_size = getattr(decoder, "vocabulary_size", None)
    if isinstance(data, SequencePairs):
        pairs = [
            ("source_ids", data.max_source_id, source_size),
            ("target_ids", data.max_target_id, target_size),
        ]
    elif isinstance(data, dict):
        pairs = [
            ("source_ids", data.get("source_ids"), source_size),
            ("target_ids", data.get("target_ids"), target_size),
            ("labels", labels, target_size),
        ]
        _check_vector_pairs(data, labels, encoder, decoder)
    else:
        return
    for name, ids, size in pairs:
        if ids is not None and size is not None and _is_integer(ids):
            checks.check_ids(name, ids, size)


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


def check_source_ids(source_ids: Any, encoder: Any, decoder: Any) -> np.ndarray:
    """Returns sources as an int32 array, or refuses them.

    Args:
        source_ids: int array `(B, S)`, or a list of lists of ids, which is
            padded.
        encoder: layer. Its `vocabulary_size`, `pad_id` and `longest` count.
        decoder: layer. Its `max_copied` counts, if it has one.

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
        checks.fail("source_ids", "an integer array (B, S)", found)
    size = source_vocabulary(encoder, decoder)
    checks.check_ids("source_ids", source_ids, size)
    empty = np.flatnonzero(np.all(source_ids == pad_id, axis=1))
    if len(empty):
        rule = "rows with at least one token that is not padding"
        found = f"only padding in row {empty[0]}"
        checks.fail("source_ids", rule, found)
    longest = getattr(encoder, "longest", None)
    if longest is not None:
        is_real = np.any(source_ids != pad_id, axis=0)
        length = int(np.max(np.flatnonzero(is_real), initial=-1)) + 1
        checks.check_length("source_ids", length, longest)
        source_ids = source_ids[:, :longest]
    return source_ids.astype("int32")


def check_source_vectors(source_vectors: Any, encoder: Any) -> np.ndarray:
    """Returns sources as a float array, or refuses them.

    Args:
        source_vectors: numbers `(B, S, C)`, or a list of arrays `(S, C)`,
            which is padded. NaN is padding, or a missing value.
        encoder: layer. Its `vector_dim` and `longest` count.

    Returns:
        Float `(B, S, C)`.

    Raises:
        ValueError: another shape; an infinite value; a row without any
            value; more vectors than learned positions.
    """
    name, size = "source_vectors", encoder.vector_dim
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


def _check_vector_pairs(
    data: dict, labels: Any, encoder: Any, decoder: Any
) -> None:
    for name, vectors, layer in (
        ("source_vectors", data.get("source_vectors"), encoder),
        ("target_vectors", data.get("target_vectors"), decoder),
        ("labels", labels, decoder),
    ):
        size = getattr(layer, "vector_dim", None)
        if vectors is not None and size is not None:
            check_vectors(name, vectors, size)


def _check_lengths(data: Any, encoder: Any, decoder: Any) -> None:
    for axis, name, layer in (
        (1, "source_ids", encoder),
        (1, "source_vectors", encoder),
        (2, "target_ids", decoder),
        (2, "target_vectors", decoder),
    ):
        longest = getattr(layer, "longest", None)
        length = None
        if isinstance(data, SequencePairs) and name.endswith("_ids"):
            length = max(shape[axis] for shape in data.shapes)
        elif isinstance(data, dict) and name in data:
            length = np.shape(data[name])[1]
        if longest is not None and length is not None:
            checks.check_length(name, length, longest)


def _is_integer(ids: Any) -> bool:
    kind = np.asarray(keras.ops.convert_to_numpy(ids)).dtype.kind
    return kind in "iu"
