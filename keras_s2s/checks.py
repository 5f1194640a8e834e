"""Argument checks: the one place that words errors."""

import numbers
from collections.abc import Collection
from typing import Any
from typing import NoReturn

import numpy as np


def fail(
    name: str,
    rule: str,
    value: Any,
    cure: str = "",
    error: type[Exception] = ValueError,
) -> NoReturn:
    """Raises "`name` must be <rule>. Received: name=<value>. <cure>"."""
    message = f"`{name}` must be {rule}. Received: {name}={value!r}."
    raise error(f"{message} {cure}".strip())


def check_integer(name: str, value: Any, minimum: int) -> None:
    """Refuses what is not an integer of at least `minimum`."""
    rule = f"an integer >= {minimum}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        fail(name, rule, value, error=TypeError)
    if value < minimum:
        fail(name, rule, value)


def check_positive(name: str, value: Any) -> None:
    """Refuses what is not an integer > 0."""
    check_integer(name, value, 1)


def check_number(
    name: str,
    value: Any,
    minimum: float = -np.inf,
    maximum: float = np.inf,
    open_minimum: bool = False,
    open_maximum: bool = False,
) -> None:
    """Refuses what is not a number between `minimum` and `maximum`."""
    left = "(" if open_minimum or minimum == -np.inf else "["
    right = ")" if open_maximum or maximum == np.inf else "]"
    rule = f"a number in {left}{minimum}, {maximum}{right}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        fail(name, rule, value, error=TypeError)
    above = value > minimum if open_minimum else value >= minimum
    below = value < maximum if open_maximum else value <= maximum
    if not (above and below):
        fail(name, rule, value)


def check_rate(name: str, value: Any) -> None:
    """Refuses what is not a number in [0, 1), as dropout takes it."""
    check_number(name, value, 0.0, 1.0, open_maximum=True)


def check_option(name: str, value: Any, options: Collection[Any]) -> None:
    """Refuses what is not among `options`."""
    if value not in options:
        fail(name, f"one of {list(options)}", value)


def check_instance(name: str, value: Any, kind: type, rule: str) -> None:
    """Refuses what is not of type `kind`."""
    if not isinstance(value, kind):
        fail(name, rule, value, error=TypeError)


def check_ids(name: str, ids: Any, vocabulary_size: int) -> None:
    """Refuses an array with ids outside [0, vocabulary_size)."""
    ids = np.asarray(ids)
    if ids.size == 0:
        return
    for extreme in (int(ids.min()), int(ids.max())):
        if not 0 <= extreme < vocabulary_size:
            raise ValueError(
                f"`{name}` must hold ids in [0, {vocabulary_size}), the "
                f"vocabulary. Received: an id of {extreme}."
            )


def check_length(name: str, length: int, longest: int) -> None:
    """Refuses more tokens than a layer has positions."""
    if length > longest:
        fail(name, f"at most {longest} tokens, the learned positions", length)


def check_texts(name: str, texts: Any) -> list[str]:
    """Returns the texts as a list; refuses one str, and what is none."""
    if isinstance(texts, str | bytes):
        cure = "Pass [text] for a single text."
        fail(name, "a list of str", texts, cure, TypeError)
    texts = list(texts)
    for index, text in enumerate(texts):
        check_instance(f"{name}[{index}]", text, str, "a str")
    return texts


def check_rows(ids: Any, vocabulary_size: int) -> list[list[int]]:
    """Returns rows of ids as lists; refuses ids outside the vocabulary."""
    if not isinstance(ids, list | tuple):
        ids = np.asarray(ids)
        if ids.ndim != 2:
            rule = "a list of id lists or an array (B, T)"
            fail("ids", rule, ids, error=TypeError)
    rows = []
    for index, row in enumerate(ids):
        name = f"ids[{index}]"
        array = np.asarray(row)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            fail(name, "a list of integer ids", row, error=TypeError)
        check_ids(name, array, vocabulary_size)
        rows.append(array.astype(int).tolist())
    return rows
