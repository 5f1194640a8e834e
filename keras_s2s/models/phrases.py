"""Prefixes and phrases in words, as the ids that constraints are told."""

import itertools
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple
from typing import TypeAlias

from keras_s2s import checks
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.models.inference import InferenceModel
from keras_s2s.tokenizers import Tokenizer

Prefixes: TypeAlias = str | Sequence[str | None] | None
Phrases: TypeAlias = Sequence[str] | Sequence[Sequence[str] | None] | None

# By what each is told of a sentence.
CONSTRAINTS = {
    "forbidden_ids": ForbiddenPhrases,
    "required_ids": RequiredPhrases,
    "prefix_ids": ForcedPrefix,
}


class Phrase(NamedTuple):
    """What a target begins with, holds or does not hold."""

    text: str
    ids: list[int]


def encode_phrases(
    tokenizer: Tokenizer,
    count: int,
    max_length: int,
    options: dict[str, list],
    prefixes: Prefixes = None,
    required: Phrases = None,
    forbidden: Phrases = None,
) -> dict[str, list]:
    """Returns what constraints are told of each text, if there is anything.

    Args:
        tokenizer: a tokenizer of `tokenizers`, of targets.
        count: int. How many texts there are.
        max_length: int > 0. The most tokens of a target.
        options: dict of lists. What `encode` is told of each text.
        prefixes: list of str or None, one a text; or one str for all.
        required, forbidden: list of lists of str or None, one a text; or one
            list of str for all.

    Returns:
        Dict of lists, one entry a text, by the names of `CONSTRAINTS`: the
        ids of its prefix, or a list of the ids of each of its phrases.

    Raises:
        TypeError: these are no such lists.
        ValueError: they are not as many as the texts; a phrase has no
            tokens; a prefix or what is required has more than `max_length`,
            a token that is unknown, or holds what is forbidden.
    """
    texts = {
        "prefixes": _spread_prefixes(prefixes, count),
        "required": _spread_phrases("required", required, count),
        "forbidden": _spread_phrases("forbidden", forbidden, count),
    }
    phrases = {
        name: _encode(name, rows, tokenizer, options)
        for name, rows in texts.items()
    }
    # What has no id is never written: there is nothing to forbid.
    phrases["forbidden"] = [
        [phrase for phrase in row if tokenizer.unk_id not in phrase.ids]
        for row in phrases["forbidden"]
    ]
    for row in zip(*phrases.values()):
        _check_fit(*row, max_length)
    ids = {
        name: [[phrase.ids for phrase in row] for row in rows]
        for name, rows in phrases.items()
    }
    told = {
        "forbidden_ids": ids["forbidden"],
        "required_ids": ids["required"],
        "prefix_ids": [row[0] if row else [] for row in ids["prefixes"]],
    }
    return {name: rows for name, rows in told.items() if any(rows)}


def choose(values: dict[str, list], places: Sequence[int]) -> dict[str, list]:
    """Returns those values, in lists of one a text, that some texts have."""
    return {
        name: [rows[place] for place in places] for name, rows in values.items()
    }


def add_constraints(
    inference: InferenceModel, names: tuple[str, ...], *graph: Any
) -> InferenceModel:
    """Returns a model that is also told what `names` says, of `CONSTRAINTS`.

    Args:
        inference: `InferenceModel`.
        names: tuple of str.
        graph: what the graph of `inference` is compiled by: one that is
            kept for later is another where this has changed.
    """
    missing = [
        make()
        for name, make in CONSTRAINTS.items()
        if name in names and name not in inference.search.inputs
    ]
    if not missing:
        return inference
    return inference.with_search(inference.search.with_constraints(missing))


def _spread_prefixes(prefixes: Any, count: int) -> list[list[str]]:
    """Returns for each text a list of no prefix, or of one."""
    if prefixes is None or isinstance(prefixes, str):
        prefixes = [prefixes] * count
    rule = "a str, or a list of str or None"
    checks.check_instance("prefixes", prefixes, (list, tuple), rule)
    for prefix in prefixes:
        checks.check_instance("prefixes", prefix, str | None, rule)
    _check_count("prefixes", prefixes, count)
    return [[one] if one and not one.isspace() else [] for one in prefixes]


def _spread_phrases(name: str, phrases: Any, count: int) -> list[list[str]]:
    """Returns for each text the list of its phrases."""
    phrases = [] if phrases is None else phrases
    rule = "a list of str, or a list of lists of str"
    checks.check_instance(name, phrases, (list, tuple), rule)
    if all(isinstance(phrase, str) for phrase in phrases):
        return [list(phrases)] * count
    rows = [[] if row is None else row for row in phrases]
    for row in rows:
        checks.check_instance(name, row, (list, tuple), rule)
        for phrase in row:
            checks.check_instance(name, phrase, str, rule)
    _check_count(name, rows, count)
    return rows


def _check_count(name: str, rows: Sequence[Any], count: int) -> None:
    if len(rows) != count:
        rule = f"of {count} entries, one for each text"
        checks.fail(name, rule, rows)


def _encode(
    name: str,
    texts: list[list[str]],
    tokenizer: Tokenizer,
    options: dict[str, list],
) -> list[list[Phrase]]:
    flat = [text for row in texts for text in row]
    own = {
        option: [
            value for value, row in zip(values, texts) for _ in range(len(row))
        ]
        for option, values in options.items()
    }
    phrases = list(map(Phrase, flat, tokenizer.encode(flat, **own)))
    for place, (text, ids) in enumerate(phrases):
        if not ids:
            checks.fail(name, "of texts of at least one token", text)
        if name != "forbidden" and tokenizer.unk_id in ids:
            chosen = choose(own, [place])
            _refuse_unknown(name, text, tokenizer, chosen)
    rest = iter(phrases)
    return [[next(rest) for _ in row] for row in texts]


def _refuse_unknown(
    name: str, text: str, tokenizer: Tokenizer, options: dict[str, list]
) -> None:
    words = text.split()
    options = {option: value * len(words) for option, value in options.items()}
    found = zip(words, tokenizer.encode(words, **options))
    unknown = [word for word, ids in found if tokenizer.unk_id in ids]
    rule = f"of words that the target tokenizer knows, unlike {unknown}"
    checks.fail(name, rule, text)


def _check_fit(
    prefixes: list[Phrase],
    required: list[Phrase],
    forbidden: list[Phrase],
    max_length: int,
) -> None:
    """Refuses what no target of one text can do."""
    for name, row in (("prefixes", prefixes), ("required", required)):
        for phrase, other in itertools.product(row, forbidden):
            if _holds(phrase.ids, other.ids):
                rule = f"free of what is forbidden, {other.text!r}"
                checks.fail(name, rule, phrase.text)
    prefix = prefixes[0] if prefixes else Phrase("", [])
    size = len(prefix.ids)
    if size > max_length:
        rule = f"of at most max_length, {max_length}, tokens"
        checks.fail("prefixes", rule, prefix.text, f"It has {size}.")
    missing = [one for one in required if not _holds(prefix.ids, one.ids)]
    size += sum(len(one.ids) for one in missing) + 1
    if missing and size > max_length:
        rule = f"of at most max_length, {max_length}, tokens with the prefix"
        texts = [one.text for one in missing]
        cure = f"With {prefix.text!r} and an end token they have {size}."
        checks.fail("required", rule, texts, cure)


def _holds(ids: list[int], part: list[int]) -> bool:
    size = len(part)
    starts = range(len(ids) - size + 1)
    return any(ids[start : start + size] == part for start in starts)
