"""Words to ids and back, those of a source that have none included."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import Self

import keras

from keras_s2s import checks

UNKNOWN = "<unk>"
# Ids below are pad, unk, bos and eos.
FIRST_ID = 4


@keras.saving.register_keras_serializable(package="keras_s2s")
class WordTokenizer:
    """Turns texts into lists of ids, one for each word, and back.

    Words stand between spaces: what is to be a word of its own, a comma say,
    must do so. A word outside the vocabulary has `unk_id`, unless it is in
    the `extensions` of its text: the words with the ids V, V + 1, ..., which
    `unknown_words` finds in a source, for a model that copies them.

    Args:
        words: list of str. The vocabulary, without the four special ids.

    Raises:
        TypeError: `words` is no list of str.
        ValueError: a word is empty, has a space, or comes twice.

    Example:

    >>> tokenizer = WordTokenizer(["sees", "the", "."])
    >>> sources = ["Ada sees the Arno ."]
    >>> extensions = tokenizer.unknown_words(sources, max_copied=5)
    >>> extensions
    [['Ada', 'Arno']]
    >>> tokenizer.encode(sources, extensions=extensions)
    [[7, 4, 5, 8, 6]]
    >>> tokenizer.decode([[8, 6, 3]], extensions=extensions)
    ['Arno .']
    """

    pad_id = 0
    unk_id = 1
    bos_id = 2
    eos_id = 3

    def __init__(self, words: Sequence[str]) -> None:
        self.words = checks.check_texts("words", words)
        self._ids = {}
        for index, word in enumerate(self.words):
            if word.split() != [word] or word in self._ids:
                rule = "a word without spaces that comes once"
                checks.fail(f"words[{index}]", rule, word)
            self._ids[word] = FIRST_ID + index

    @classmethod
    def train(
        cls,
        texts: Sequence[str],
        vocabulary_size: int = 50000,
        min_count: int = 1,
    ) -> Self:
        """Takes the words that come most often, of equals the first.

        Args:
            texts: list of str.
            vocabulary_size: int >= 5. The most ids, the four special ones
                included. Default: 50000.
            min_count: int >= 1. Words that come less often are left out.
                Default: 1.
        Returns:
            A tokenizer with pad_id 0, unk_id 1, bos_id 2 and eos_id 3.
        Raises:
            TypeError: `texts` is no list of str.
            ValueError: `vocabulary_size` is below 5, or `min_count` below 1.
        """
        checks.check_integer("vocabulary_size", vocabulary_size, 5)
        checks.check_positive("min_count", min_count)
        counts = Counter()
        for text in checks.check_texts("texts", texts):
            counts.update(text.split())
        best = counts.most_common(vocabulary_size - FIRST_ID)
        return cls([word for word, count in best if count >= min_count])

    @property
    def model(self) -> bytes:
        """What tells it from others: its words, a line each."""
        return "\n".join(self.words).encode()

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, V, the special ones included, extended ones not."""
        return FIRST_ID + len(self.words)

    def unknown_words(
        self, texts: Sequence[str], max_copied: int
    ) -> list[list[str]]:
        """Returns the first words of each text that have no id.

        Args:
            texts: list of str.
            max_copied: int >= 0. The most words of a text.
        Returns:
            List of lists of str, each word once, in their order.
        Raises:
            TypeError: `texts` is no list of str.
        """
        checks.check_integer("max_copied", max_copied, 0)
        rows = []
        for text in checks.check_texts("texts", texts):
            unknown = [word for word in text.split() if word not in self._ids]
            rows.append(list(dict.fromkeys(unknown))[:max_copied])
        return rows

    def encode(
        self,
        texts: Sequence[str],
        add_bos: bool = False,
        add_eos: bool = False,
        extensions: Sequence[Sequence[str]] | None = None,
    ) -> list[list[int]]:
        """Turns each text into a list of ids.

        Args:
            texts: list of str.
            add_bos: bool. Puts `bos_id` in front. Default: False.
            add_eos: bool. Puts `eos_id` behind. Default: False.
            extensions: list of lists of str, one a text, or None. Words with
                the ids V, V + 1, ... Default: None.
        Returns:
            List of lists of int, in the order of `texts`.
        Raises:
            TypeError: `texts` is no list of str.
            ValueError: there are more or fewer `extensions` than texts.
        """
        texts = checks.check_texts("texts", texts)
        rows = []
        for text, extension in zip(texts, _extend(texts, extensions)):
            own = {
                word: self.vocabulary_size + index
                for index, word in enumerate(extension)
            }
            ids = [
                self._ids.get(word) or own.get(word, self.unk_id)
                for word in text.split()
            ]
            rows.append([self.bos_id] * add_bos + ids + [self.eos_id] * add_eos)
        return rows

    def decode(
        self, ids: Any, extensions: Sequence[Sequence[str]] | None = None
    ) -> list[str]:
        """Turns each row of ids into a text, without pad, bos and eos ids.

        Args:
            ids: list of lists of int, or int array `(B, T)`. Each id in
                [0, V); with `extensions` also beyond, where an id that no
                word has is written as unknown.
            extensions: list of lists of str, one a row, or None.
                Default: None.
        Returns:
            List of str, one a row.
        Raises:
            TypeError: `ids` holds something else than rows of integers.
            ValueError: an id is outside the vocabulary; there are more or
                fewer `extensions` than rows.
        """
        limit = self.vocabulary_size if extensions is None else 2**31
        if not isinstance(ids, list | tuple):
            ids = keras.ops.convert_to_numpy(ids)
        rows = checks.check_rows(ids, limit)
        return [
            " ".join(self._spell(row, extension))
            for row, extension in zip(rows, _extend(rows, extensions))
        ]

    def _spell(self, ids: list[int], extension: Sequence[str]) -> Iterator[str]:
        for one_id in ids:
            place = one_id - FIRST_ID
            if 0 <= place < len(self.words):
                yield self.words[place]
            elif 0 <= place - len(self.words) < len(extension):
                yield extension[place - len(self.words)]
            elif place >= 0 or one_id == self.unk_id:
                yield UNKNOWN

    def get_config(self) -> dict[str, Any]:
        """The words, which the `.keras` file of a model then holds."""
        return {"words": self.words}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns a tokenizer from what `get_config` returned."""
        return cls(**config)


def _extend(rows: list, extensions: Any) -> Sequence[Sequence[str]]:
    if extensions is None:
        return [()] * len(rows)
    if len(extensions) != len(rows):
        rule = f"the number of texts, {len(rows)}"
        checks.fail("len(extensions)", rule, len(extensions))
    return extensions


def find_extensions(
    source_tokenizer: Any,
    target_tokenizer: Any,
    source_texts: Sequence[str],
    max_copied: int,
) -> dict[str, Any]:
    """Returns the option of `encode` and `decode` for words to copy, if any.

    Raises:
        TypeError: words are copied, and a tokenizer is no `WordTokenizer`.
        ValueError: they are, and the two have different words.
    """
    checks.check_integer("max_copied", max_copied, 0)
    if not max_copied:
        return {}
    rule = "a WordTokenizer where words outside the vocabulary are copied"
    for name, tokenizer in (
        ("source_tokenizer", source_tokenizer),
        ("target_tokenizer", target_tokenizer),
    ):
        checks.check_instance(name, tokenizer, WordTokenizer, rule)
    if source_tokenizer.words != target_tokenizer.words:
        rule = "of the words of source_tokenizer where words are copied"
        checks.fail("target_tokenizer", rule, target_tokenizer)
    return {
        "extensions": source_tokenizer.unknown_words(source_texts, max_copied)
    }
