"""Texts of hypotheses, with words of the source for unknown ones."""

import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import sentencepiece

from keras_s2s import checks
from keras_s2s.models.phrases import choose
from keras_s2s.tokenizers import Tokenizer
from keras_s2s.tokenizers import WordTokenizer

# Stands for an unknown token in a text: of Unicode's private area, so that
# no text has it.
MARK = "\ue000"
# A word where tokens are pieces of words: letters and digits in a row, or
# any other character.
WORD = re.compile(r"\w+|[^\w\s]")
MARKED_WORD = re.compile(rf"\w*{MARK}[\w{MARK}]*")


class TextWriter:
    """Writes the texts of what a search found.

    Args:
        source_tokenizer, target_tokenizer: tokenizers of `tokenizers`.
        texts: list of str. The sources.
        options: dict of lists. What `decode` is told of each source.
        inference: `InferenceModel`.
        replace_unknowns: bool or dict, as for `TextToText.generate`.

    Raises:
        TypeError: `replace_unknowns` is neither.
        ValueError: it asks for alignments that there are not.
    """

    def __init__(
        self,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        texts: Sequence[str],
        options: dict[str, list],
        inference: Any,
        replace_unknowns: bool | Mapping[str, str],
    ) -> None:
        rule = "True, False or a dict of words"
        kinds = bool | Mapping
        checks.check_instance("replace_unknowns", replace_unknowns, kinds, rule)
        self.replaces = replace_unknowns is not False
        if self.replaces and not inference.return_alignments:
            rule = "False where the inference model returns no alignments"
            cure = "Make it with return_alignments=True."
            checks.fail("replace_unknowns", rule, replace_unknowns, cure)
        is_dict = isinstance(replace_unknowns, Mapping)
        self.translations = replace_unknowns if is_dict else {}
        if self.replaces:
            self.find_words = word_finder(source_tokenizer)
        self.target_tokenizer = target_tokenizer
        self.texts = texts
        self.options = options

    def options_of(self, places: Sequence[int]) -> dict[str, list]:
        """Returns what a tokenizer is told of some of the sources."""
        return choose(self.options, places)

    def write(
        self, result: dict[str, np.ndarray], n: int, places: Sequence[int]
    ) -> list[str]:
        """Returns the text of the n-th hypothesis of each of some sources.

        Args:
            result: dict. What the inference model found for them.
            n: int >= 0.
            places: which sources they are.
        """
        ids = result["ids"][:, n]
        texts = self.target_tokenizer.decode(ids, **self.options_of(places))
        if not self.replaces:
            return texts
        is_unknown = ids == self.target_tokenizer.unk_id
        for row in np.flatnonzero(is_unknown.any(axis=1)):
            texts[row] = self._replace(
                ids[row].tolist(), result["alignments"][row, n], places[row]
            )
        return texts

    def _replace(
        self, ids: list[int], alignment: np.ndarray, place: int
    ) -> str:
        """Returns a text with words of its source for unknown ones."""
        words = self.find_words(self.texts[place])
        if alignment.shape[1] < len(words):
            rule = "False where the encoder keeps no position for each token"
            checks.fail("replace_unknowns", rule, True)
        read = np.argmax(alignment[:, : len(words)], axis=1)
        unk_id = self.target_tokenizer.unk_id
        unknown = [n for n, token in enumerate(ids) if token == unk_id]
        found = [words[read[n]] for n in unknown]
        found = [self.translations.get(word, word) for word in found]
        options = self.options_of([place])
        if not isinstance(self.target_tokenizer, WordTokenizer):
            return fill_pieces(self.target_tokenizer, ids, found)
        decode = self.target_tokenizer.decode
        spelled = [decode([[token]], **options)[0] for token in ids]
        for n, word in zip(unknown, found):
            spelled[n] = word
        return " ".join(token for token in spelled if token)


def word_finder(tokenizer: Tokenizer) -> Callable[[str], list[str]]:
    """Returns a function: a text to the word that each id of it is a part of.

    With a `WordTokenizer` that is its own word. With SentencePiece it is the
    letters and digits around, of the text as SentencePiece normalizes it, or
    a character that is neither; of a space, what follows.
    """
    if isinstance(tokenizer, WordTokenizer):
        return str.split
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=tokenizer.model
    )

    def find_words(text: str) -> list[str]:
        # Of an unknown piece, this is what stands in the text.
        pieces = processor.encode(text, out_type=str)
        pieces = [piece.replace("▁", " ") for piece in pieces]
        matches = list(WORD.finditer("".join(pieces)))
        words, start = [], 0
        for piece in pieces:
            first = start + len(piece) - len(piece.lstrip())
            start += len(piece)
            around = (match[0] for match in matches if match.end() > first)
            words.append(next(around, ""))
        return words

    return find_words


def fill_pieces(
    tokenizer: Tokenizer, ids: list[int], words: Sequence[str]
) -> str:
    """Returns a text of pieces, each word with unknown pieces replaced.

    Args:
        tokenizer: `SentencePieceTokenizer`.
        ids: list of int.
        words: list of str, one for each unknown id. Of the unknown pieces of
            one word, that of the first takes its place.
    """

    def spell(count: int) -> str:
        return tokenizer.decode([ids[:count]])[0]

    marked, done = "", 0
    for n, token in enumerate(ids):
        if token == tokenizer.unk_id:
            marked += spell(n)[done:] + MARK
            done = len(spell(n + 1))
    marked += spell(len(ids))[done:]
    left = iter(words)

    def replace(match: re.Match) -> str:
        first, *_ = [next(left) for _ in range(match[0].count(MARK))]
        return first

    return MARKED_WORD.sub(replace, marked)
