"""Text in, text out."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.data import pad_rows
from keras_s2s.decoding import RandomSampling
from keras_s2s.models.hypothesis import Hypothesis
from keras_s2s.models.hypothesis import read_hypotheses
from keras_s2s.models.hypothesis import spell
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.minimum_bayes_risk import Utility
from keras_s2s.models.minimum_bayes_risk import choose_texts
from keras_s2s.models.minimum_bayes_risk import find_utility
from keras_s2s.models.unknown_words import TextWriter
from keras_s2s.tokenizers import Tokenizer
from keras_s2s.word_tokenizer import find_extensions

# Source lengths are padded up to a multiple of this, so that a graph which
# is compiled for a length is compiled for few.
LENGTH_MULTIPLE = 8


class ToText(keras.Model):
    """An inference model with its tokenizers, whatever its sources are.

    A subclass names its tokenizers in `tokenizer_names`, `target_tokenizer`
    among them, and writes `generate`.

    Args:
        inference: `InferenceModel`.
        tokenizers: dict of tokenizers of `tokenizers`.

    Call arguments:
        source: as for `inference`.

    Returns:
        As `inference`.
    """

    tokenizer_names: tuple[str, ...] = ()

    def __init__(
        self,
        inference: InferenceModel,
        tokenizers: dict[str, Tokenizer],
        **kwargs: Any,
    ) -> None:
        checks.check_instance(
            "inference", inference, InferenceModel, "an InferenceModel"
        )
        for name, tokenizer in tokenizers.items():
            checks.check_instance(name, tokenizer, Tokenizer, "a tokenizer")
        super().__init__(**kwargs)
        self.inference = inference
        for name, tokenizer in tokenizers.items():
            setattr(self, name, tokenizer)
        self.built = True

    def call(self, source: Any) -> dict[str, Any]:
        return self.inference(source)

    def write(
        self,
        count: int,
        batches: Iterable[tuple[Sequence[int], np.ndarray]],
        verbose: int,
        read: Callable[[dict, Sequence[int]], list],
        empty: Any = "",
    ) -> list[Any]:
        """Returns what `read` makes of the results of all batches, in order.

        Args:
            count: int. How many sources there are.
            batches: iterable of the places of sources, and the sources.
            verbose: int. 1 shows a progress bar.
            read: function of the result of a batch and of its places. Returns
                as many things.
            empty: anything. What stands for a source in no batch.
        """
        results, left = [empty] * count, count
        progress = keras.utils.Progbar(count, verbose=verbose)
        for places, source in batches:
            result = self.inference.predict_on_batch(source)
            for place, value in zip(places, read(result, places)):
                results[place] = value
            progress.add(len(places))
            left -= len(places)
        if left:  # skipped
            progress.add(left)
        return results

    def read_best(self, result: dict, places: Sequence[int]) -> list[str]:
        """Returns the first of the N texts of each source of a batch."""
        return self.target_tokenizer.decode(result["ids"][:, 0])

    def check_vocabulary(self, name: str, layer: Any) -> None:
        """Refuses a tokenizer with more ids than a layer of the model."""
        size = getattr(layer, "vocabulary_size", None)
        found = getattr(self, name).vocabulary_size
        if size is not None and found > size:
            rule = f"a tokenizer of at most {size} ids, those of the model"
            checks.fail(name, rule, found)

    def get_config(self) -> dict[str, Any]:
        return {
            **{
                name: keras.saving.serialize_keras_object(getattr(self, name))
                for name in ("inference", *self.tokenizer_names)
            },
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ToText":
        config = dict(config)
        for name in ("inference", *cls.tokenizer_names):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


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
        replace_unknowns: bool | Mapping[str, str] = False,
    ) -> list[str]:
        """Returns the best target text of each source text, in their order.

        Sources are batched by length. An empty text gives an empty text. A
        prompt, of a `LanguageModel`, is not in what follows it.

        Args:
            texts: list of str.
            batch_size: int > 0. Sentences at a time. Default: 64.
            verbose: int. 1 shows a progress bar. Default: 0.
            utility: str or function. Chooses among the N hypotheses of the
                search by `minimum_bayes_risk`: samples count alike, those of
                other searches as likely as they are. Default: None, the
                first is taken.
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
            TypeError: `texts` is a str, or holds something else than str.
            ValueError: there is a `utility`, and one hypothesis; unknown
                words are to be replaced, and the inference model is without
                `return_alignments`.
        """
        checks.check_positive("batch_size", batch_size)
        if utility is not None:
            if self.inference.search.num_hypotheses == 1:
                rule = "None where the search returns one hypothesis"
                checks.fail("utility", rule, utility)
            utility = find_utility(utility)
        rows, writer = self._encode(texts, replace_unknowns)

        def read(result: dict, places: Sequence[int]) -> list[str]:
            if utility is None:
                return writer.write(result, 0, places)
            count = result["ids"].shape[1]
            texts = [writer.write(result, n, places) for n in range(count)]
            are_drawn = isinstance(self.inference.search, RandomSampling)
            return choose_texts(texts, result, utility, are_drawn)

        batches = self._make_batches(rows, batch_size)
        return self.write(len(rows), batches, verbose, read)

    def n_best(
        self,
        texts: Sequence[str],
        batch_size: int = 64,
        verbose: int = 0,
        replace_unknowns: bool | Mapping[str, str] = False,
    ) -> list[list[Hypothesis]]:
        """Returns the hypotheses of each source text, in their order.

        As many as the search's `num_hypotheses`, best first, or as there
        are. An empty text has none.

        Args:
            texts, batch_size, verbose: as for `generate`.
            replace_unknowns: as for `generate`, in the `text` alone.

        Returns:
            List of lists of `Hypothesis`.

        Raises:
            TypeError, ValueError: as `generate`.
        """
        checks.check_positive("batch_size", batch_size)
        rows, writer = self._encode(texts, replace_unknowns)
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
        return self.write(len(rows), batches, verbose, read, [])

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
