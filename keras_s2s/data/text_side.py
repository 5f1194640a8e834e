"""One side of pairs of texts: cut into ids, at best or at random."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from keras_s2s import checks
from keras_s2s.data.sides import map_sides
from keras_s2s.tokenizers import SentencePieceTokenizer
from keras_s2s.tokenizers import Tokenizer

Texts = Sequence[str] | dict[str, Sequence[str | None]]
Tokenizers = Tokenizer | dict[str, Tokenizer]


def as_list(tokenizers: Tokenizers) -> list[Tokenizer]:
    """Returns a list of one tokenizer, or of all of a dict."""
    if isinstance(tokenizers, dict):
        return list(tokenizers.values())
    return [tokenizers]


def encode_texts(
    name: str,
    texts: Texts,
    tokenizer: Tokenizers,
    add_eos: bool,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Encodes texts and refuses those without a token of their own.

    Returns:
        A list of lists of ids, or a dict of such lists, with None for None.
    """
    # Only a target may be missing, and targets get no end token here.
    may_lack = isinstance(texts, dict) and not add_eos

    def encode(name: str, texts: Any, tokenizer: Tokenizer) -> list:
        there = [
            row
            for row, text in enumerate(texts)
            if not (may_lack and text is None)
        ]
        for row in there:
            checks.check_instance(f"{name}[{row}]", texts[row], str, "a str")
        found = tokenizer.encode(
            [texts[row] for row in there], add_eos=add_eos, **options
        )
        ids = [None] * len(texts)
        for row, sequence in zip(there, found):
            if len(sequence) <= add_eos:
                rule, cure = "a text, not empty", f"This is line {row + 1}."
                checks.fail(f"{name}[{row}]", rule, texts[row], cure)
            ids[row] = sequence
        return ids

    return map_sides(encode, name, texts, tokenizer)


@dataclasses.dataclass(frozen=True)
class TextSide:
    """Texts that are cut anew in each epoch.

    Attributes:
        name: str. What errors call the texts.
        texts: list of str, or a dict of those by name.
        tokenizer: a tokenizer, or a dict of those.
        add_eos: bool. Whether ids end with an end token.
    """

    name: str
    texts: Texts
    tokenizer: Tokenizers
    add_eos: bool

    def check_sampling(self, max_copied: int) -> None:
        """Refuses what has one way to be cut only."""
        for tokenizer in as_list(self.tokenizer):
            if max_copied or not isinstance(tokenizer, SentencePieceTokenizer):
                rule = "None where words are not cut"
                kind = type(tokenizer).__name__
                checks.fail("sampling_alpha", rule, f"one for a {kind}")

    def largest_id(self) -> int | dict[str, int]:
        """Returns the largest id that a text may get."""
        return map_sides(
            lambda _, texts, tokenizer: tokenizer.vocabulary_size - 1,
            self.name,
            self.texts,
            self.tokenizer,
        )

    def sample(self, alpha: float, seed: int, longest: float) -> Any:
        """Returns ids, drawn, or the best where these are too many."""
        best, drawn = (
            encode_texts(
                self.name, self.texts, self.tokenizer, self.add_eos, options
            )
            for options in ({}, {"sampling_alpha": alpha, "seed": seed})
        )

        def choose(name: str, drawn: list, best: list) -> list:
            return [
                ids if ids is not None and len(ids) <= longest else other
                for ids, other in zip(drawn, best)
            ]

        return map_sides(choose, self.name, drawn, best)
