"""Pairs of texts to batches."""

from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from keras_s2s import checks
from keras_s2s.data.pairs import SequencePairs
from keras_s2s.data.sides import check_sides
from keras_s2s.data.sides import map_sides
from keras_s2s.tokenizers import Tokenizer
from keras_s2s.word_tokenizer import find_extensions

Texts = Sequence[str] | dict[str, Sequence[str | None]]
Tokenizers = Tokenizer | dict[str, Tokenizer]


class TextPairs(SequencePairs):
    """Batches of pairs of texts: `SequencePairs` of what tokenizers make.

    Sources are encoded with an end token, so a model that is trained on
    them wants `encode(texts, add_eos=True)` ever after. A subclass of a
    final class, as it differs in its constructor only.

    Args:
        source_texts: list of str, or a dict of such lists by name, as in
            `SequencePairs`. None empty.
        target_texts: list of str, or a dict of those. As many, none empty;
            in a dict, None is a text that is missing.
        source_tokenizer: a tokenizer of `tokenizers`, or for a dict of texts
            also a dict of them by the same names. For the sources.
        target_tokenizer: likewise, for the targets; it gives `pad_id`,
            `bos_id` and `eos_id`. It may be the same.
        max_copied: int >= 0. How many words outside the vocabulary a source
            may have that get extended ids, in it and in its target, for
            `PointerGenerator`; the rest are unknown. Not for dicts.
            Default: 0.
        **kwargs: The other options of `SequencePairs`.
    Raises:
        TypeError: A text is no str.
        ValueError: A text is empty, a side is longer than the other, texts
            and tokenizers have other names, the tokenizers other special
            ids, or are not one `WordTokenizer` where words are copied, or
            what `SequencePairs` refuses.
    Example:
        ```python
        texts = ["a dog runs .", "a cat runs ."]
        tokenizer = SentencePieceTokenizer.train(texts, vocabulary_size=17)
        data = TextPairs(texts, texts, tokenizer, tokenizer, batch_size=2)
        assert data.num_pairs == 2 and len(data) == 1
        ```
    """

    def __init__(
        self,
        source_texts: Texts,
        target_texts: Texts,
        source_tokenizer: Tokenizers,
        target_tokenizer: Tokenizers,
        max_copied: int = 0,
        **kwargs: Any,
    ) -> None:
        ids = special_ids(target_tokenizer, kwargs)
        _check_padding(source_tokenizer, ids["pad_id"])
        check_sides("source_texts", source_texts, "target_texts", target_texts)
        if max_copied and (
            isinstance(source_texts, dict) or isinstance(target_texts, dict)
        ):
            rule = "0 where there are several sources or targets"
            checks.fail("max_copied", rule, max_copied)
        options = find_extensions(
            source_tokenizer, target_tokenizer, source_texts, max_copied
        )
        source_ids = encode_texts(
            "source_texts", source_texts, source_tokenizer, True, options
        )
        target_ids = encode_texts(
            "target_texts", target_texts, target_tokenizer, False, options
        )
        super().__init__(source_ids, target_ids, **ids, **kwargs)


def special_ids(
    target_tokenizer: Tokenizers, options: dict[str, Any]
) -> dict[str, int]:
    """Returns the ids of tokenizers, and refuses them among the options."""
    ids = {}
    for name in ("pad_id", "bos_id", "eos_id"):
        if name in options:
            cure = "It is the one of target_tokenizer."
            checks.fail(name, "left out", options[name], cure)
        found = [getattr(one, name) for one in _as_list(target_tokenizer)]
        if len(set(found)) != 1:
            rule = "the same for all targets"
            checks.fail(f"target_tokenizer.{name}", rule, found)
        ids[name] = found[0]
    return ids


def _check_padding(source_tokenizer: Tokenizers, pad_id: int) -> None:
    for tokenizer in _as_list(source_tokenizer):
        if tokenizer.pad_id != pad_id:
            rule = f"that of target_tokenizer, {pad_id}"
            checks.fail("source_tokenizer.pad_id", rule, tokenizer.pad_id)


def _as_list(tokenizers: Tokenizers) -> list[Tokenizer]:
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
