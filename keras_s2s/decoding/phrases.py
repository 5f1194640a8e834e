"""Phrases that constraints speak of: of all sentences, or told of each."""

import dataclasses
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.constraint import Limits

Tensor: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Phrases:
    """Phrases of each sentence, or of all.

    Attributes:
        ids: int32 `(B, C, L)`, or with 1 for B. -1 behind each phrase.
    """

    ids: Tensor

    @property
    def lengths(self) -> Tensor:
        """Int32 `(B, C)`: 0 where there is no phrase."""
        return ops.sum(ops.cast(ops.greater_equal(self.ids, 0), "int32"), -1)

    def align_right(self) -> Tensor:
        """Returns int32 `(B, C, L)`: `ids` with -1 before each phrase."""
        size = ops.shape(self.ids)[2]
        missing = ops.expand_dims(size - self.lengths, -1)
        places = ops.arange(size, dtype="int32") - missing
        moved = ops.take_along_axis(self.ids, ops.maximum(places, 0), axis=2)
        return ops.where(ops.less(places, 0), -1, moved)


def find_phrases(
    phrases: list[list[int]] | None, name: str, hypotheses: Hypotheses
) -> Phrases:
    """Returns `phrases`, or without any those in the input `name`."""
    if phrases is not None:
        return Phrases(ops.convert_to_tensor(pad_phrases(phrases)))
    ids = hypotheses.inputs[name]
    return Phrases(ops.where(ops.equal(ids, hypotheses.pad_id), -1, ids))


def pad_phrases(phrases: list[list[int]]) -> np.ndarray:
    """Returns int32 `(1, C, L)`, -1 behind each phrase."""
    width = max(len(phrase) for phrase in phrases)
    rows = [phrase + [-1] * (width - len(phrase)) for phrase in phrases]
    return np.array([rows], "int32")


def check_phrases(phrases: Any) -> list[list[int]]:
    """Returns phrases as lists of int.

    Raises:
        TypeError, ValueError: they are no list of lists of ids, not empty.
    """
    checks.check_instance("phrases", phrases, Sequence, "a list of lists")
    if not phrases:
        checks.fail("phrases", "a list of lists, not empty", phrases)
    return [
        check_list(f"phrases[{index}]", phrase)
        for index, phrase in enumerate(phrases)
    ]


def check_list(name: str, ids: Any) -> list[int]:
    """Returns ids as a list of int.

    Raises:
        TypeError, ValueError: they are no list of ids, not empty.
    """
    checks.check_instance(name, ids, Sequence, "a list of ids")
    if not ids:
        checks.fail(name, "a list of ids, not empty", ids)
    for token in ids:
        checks.check_integer(name, token, 0)
    return [int(token) for token in ids]


def check_told(name: str, ids: np.ndarray, limits: Limits) -> None:
    """Refuses padding that is not behind."""
    is_real = ids != limits.pad_id
    if np.any(is_real[..., 1:] & ~is_real[..., :-1]):
        rule = f"without pad_id, {limits.pad_id}, inside"
        checks.fail(name, rule, ids.tolist())


def check_words(name: str, ids: Any, limits: Limits) -> None:
    """Refuses an end token and padding among ids, and ids of no token."""
    if limits.vocabulary_size is not None:
        checks.check_ids(name, ids, limits.vocabulary_size)
    for kind, token in (("eos_id", limits.eos_id), ("pad_id", limits.pad_id)):
        if token in ids:
            checks.fail(name, f"without {kind}, {token}", ids)


def find_parts(phrases: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Returns bool `(B, C, F)`: whether a phrase holds a part.

    Args:
        phrases: int `(B, C, L)`, -1 behind each.
        parts: int `(B, F, M)`, -1 behind each. One that is empty is in none.

    Either may have 1 for B.
    """
    length, size = phrases.shape[2], parts.shape[2]
    padded = np.pad(phrases, [(0, 0), (0, 0), (0, size)], constant_values=-1)
    is_free = (parts < 0)[:, None]
    found = False
    for start in range(length):
        window = padded[:, :, None, start : start + size]
        same = (window == parts[:, None]) | is_free
        found = found | same.all(axis=-1)
    return found & ~is_free.all(axis=-1)
