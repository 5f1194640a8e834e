"""Text in, text out."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.data import pad_rows
from keras_s2s.models.hypothesis import Hypothesis
from keras_s2s.models.hypothesis import read_hypotheses
from keras_s2s.models.hypothesis import spell
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.minimum_bayes_risk import Utility
from keras_s2s.models.phrases import Phrases
from keras_s2s.models.phrases import Prefixes
from keras_s2s.models.sorted_search import share_out
from keras_s2s.models.to_text import ToText
from keras_s2s.models.unknown_words import TextWriter
from keras_s2s.tokenizers import Tokenizer
from keras_s2s.word_tokenizer import find_extensions

# Source lengths are padded up to a multiple of this, so that a graph which
# is compiled for a length is compiled for few.
LENGTH_MULTIPLE = 8


@keras.saving.register_keras_serializable(package="keras_s2s")
class TextToText(ToText):
    """An inference model with its tokenizers, in one `.keras` file.

    Args:
        inference: `InferenceModel`.
        source_tokenizer: a tokenizer of `tokenizers`. Where the decoder copies
            words outside the vocabulary, a `WordTokenizer`.
        target_tokenizer: likewise; of the same words, where it copies.

    Call arguments:
        source_ids: int32 `(B, S)`, as for `inference`.

    Returns:
        As `inference`.

    Raises:
        ValueError: a tokenizer has more ids than the model, or others where
            words are copied; the encoder reads several sources.

    Example:
        ```python
        text = TextToText(inference, source_tokenizer, target_tokenizer)
        text.generate(["A dog runs."])
        text.save("translator.keras")
        ```
    """

    tokenizer_names = ("source_tokenizer", "target_tokenizer")

    def __init__(
        self,
        inference: InferenceModel,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        **kwargs: Any,
    ) -> None:
        tokenizers = {
            "source_tokenizer": source_tokenizer,
            "target_tokenizer": target_tokenizer,
        }
        super().__init__(inference, tokenizers, **kwargs)
        if hasattr(inference.encoder, "encoders"):
            cure = "Encode the texts, and `predict` with the inference model."
            names = list(inference.encoder.encoders)
            checks.fail("inference", "a model of one source", names, cure)

    def generate(
        self,
        texts: Sequence[str],
        batch_size: int = 64,
        verbose: int = 0,
        utility: str | Utility | None = None,
        prefixes: Prefixes = None,
        required: Phrases = None,
        forbidden: Phrases = None,
        replace_unknowns: bool | Mapping[str, str] = False,
    ) -> list[str]:
        """Returns the best target text of each source text, in their order.

        Sources are batched by length. An empty text gives an empty text. A
        prompt, of a `LanguageModel`, is not in what follows it.

        Phrases are the tokens that the target tokenizer makes of them, alone
        and from the beginning of a word: what it would write in other tokens
        is neither required nor forbidden, and a last word may go on, "dog"
        as "dogs", where there are tokens for its end. The search needs no
        constraints for them: those that it lacks are added, in a model of the
        same weights that is kept for the next call. Where its own leave no
        way to say what is asked, the text is empty.

        Args:
            texts: list of str.
            batch_size: int > 0. Sentences at a time, at most; as in
                `InferenceModel.predict`, two batches may be searched side by
                side. Default: 64.
            verbose: int. 1 shows a progress bar. Default: 0.
            utility: str or function. Chooses among the N hypotheses of the
                search by `minimum_bayes_risk`: samples count alike, those of
                other searches as likely as they are. Default: None, the
                first is taken.
            prefixes: list of str or None, one a text, or one str for all.
                What a target begins with; it is in the result. Default: None.
            required: list of lists of str, one a text, or one list of str
                for all. What a target must hold. Default: None.
            forbidden: likewise, what it must not hold. What has tokens that
                the tokenizer does not know never comes. Default: None.
            replace_unknowns: bool or dict. Whether the word of the source
                that an unknown one was read from, by the largest attention
                weight, stands in its place; or, if a dict has this word, its
                translation there (`replace_unk` and `phrase_table` of
                OpenNMT). With SentencePiece that is a word, letters and
                digits in a row, for the whole word that has an unknown
                piece. Default: False.

        Returns:
            List of str.

        Raises:
            TypeError: `texts` is a str, or holds something else than str;
                prefixes or phrases are no such lists.
            ValueError: there is a `utility`, and one hypothesis; prefixes or
                phrases are not as many as texts; a phrase is empty; a prefix
                or what is required is longer than `max_length`, not known to
                the tokenizer, or holds what is forbidden; unknown words are
                to be replaced, and the inference model is without
                `return_alignments`.
        """
        checks.check_positive("batch_size", batch_size)
        rows, writer = self._encode(texts, replace_unknowns)
        asked = prefixes, required, forbidden
        told = self.encode_phrases(len(rows), writer.options, *asked)

        read = self.make_reader(utility, writer.write)
        batches = self._make_batches(rows, batch_size)
        return self.write(len(rows), batches, verbose, read, told=told)

    def n_best(
        self,
        texts: Sequence[str],
        batch_size: int = 64,
        verbose: int = 0,
        prefixes: Prefixes = None,
        required: Phrases = None,
        forbidden: Phrases = None,
        replace_unknowns: bool | Mapping[str, str] = False,
    ) -> list[list[Hypothesis]]:
        """Returns the hypotheses of each source text, in their order.

        As many as the search's `num_hypotheses`, best first, or as there
        are. An empty text has none.

        Args:
            texts, batch_size, verbose, prefixes, required, forbidden: as for
                `generate`.
            replace_unknowns: as for `generate`, in the `text` alone.

        Returns:
            List of lists of `Hypothesis`; a prefix is in its text, tokens
            and score.

        Raises:
            TypeError, ValueError: as of `generate`.
        """
        checks.check_positive("batch_size", batch_size)
        rows, writer = self._encode(texts, replace_unknowns)
        asked = prefixes, required, forbidden
        told = self.encode_phrases(len(rows), writer.options, *asked)
        source_tokenizer = self.source_tokenizer

        def read(result: dict, places: Sequence[int]) -> list[list]:
            found = []
            count = result["ids"].shape[1]
            texts = [writer.write(result, n, places) for n in range(count)]
            for number, place in enumerate(places):
                own = writer.options_of([place])
                ids = [*rows[place], *self._end()]
                source_tokens = spell(source_tokenizer, ids, own)
                hypotheses = read_hypotheses(
                    result,
                    number,
                    source_tokens,
                    [column[number] for column in texts],
                    self.target_tokenizer,
                    own,
                )
                found.append(list(hypotheses))
            return found

        batches = self._make_batches(rows, batch_size)
        return self.write(len(rows), batches, verbose, read, [], told)

    def _encode(
        self,
        texts: Sequence[str],
        replace_unknowns: bool | Mapping[str, str],
    ) -> tuple[list[list[int]], TextWriter]:
        """Returns the ids of texts, and what writes what is found for them."""
        options = find_extensions(
            self.source_tokenizer,
            self.target_tokenizer,
            texts,
            getattr(self.inference.decoder, "max_copied", 0),
        )
        rows = self.source_tokenizer.encode(texts, **options)
        self._check_vocabularies()
        writer = TextWriter(
            self.source_tokenizer,
            self.target_tokenizer,
            texts,
            options,
            self.inference,
            replace_unknowns,
        )
        return rows, writer

    def _make_batches(
        self, rows: list[list[int]], batch_size: int
    ) -> Iterable[tuple[list[int], np.ndarray]]:
        """Yields rows by length, and where they are, padded and with eos."""
        tokenizer = self.source_tokenizer
        order = [n for n in range(len(rows)) if rows[n]]
        order.sort(key=lambda n: -len(rows[n]))
        batch_size = share_out(self.inference, len(order), batch_size)
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            sources = [[*rows[n], *self._end()] for n in places]
            yield places, pad_rows(sources, tokenizer.pad_id, LENGTH_MULTIPLE)

    def _end(self) -> list[int]:
        """Returns what goes behind the ids of a source: none of a prompt."""
        if getattr(self.inference.encoder, "is_prompt", False):
            return []
        return [self.source_tokenizer.eos_id]

    def _check_vocabularies(self) -> None:
        encoder, decoder = self.inference.encoder, self.inference.decoder
        if getattr(decoder, "max_copied", 0):
            size = encoder.vocabulary_size
            found = self.source_tokenizer.vocabulary_size
            if found != size:
                rule = f"a tokenizer of {size} ids, after which those of words "
                checks.fail("source_tokenizer", f"{rule}to copy begin", found)
        self.check_vocabulary("source_tokenizer", encoder)
        self.check_vocabulary("target_tokenizer", decoder)
