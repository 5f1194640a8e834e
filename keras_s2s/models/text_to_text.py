"""Text in, text out."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s import checks
from keras_s2s.data import pad_rows
from keras_s2s.models.inference import InferenceModel
from keras_s2s.tokenizers import Tokenizer
from keras_s2s.word_tokenizer import find_extensions

# Source lengths are padded up to a multiple of this, so that a graph which
# is compiled for a length is compiled for few.
LENGTH_MULTIPLE = 8


@keras.saving.register_keras_serializable(package="keras_s2s")
class TextToText(keras.Model):
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
            words are copied.

    Example:
        ```python
        text = TextToText(inference, source_tokenizer, target_tokenizer)
        text.generate(["A dog runs."])
        text.save("translator.keras")
        ```
    """

    def __init__(
        self,
        inference: InferenceModel,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        **kwargs: Any,
    ) -> None:
        checks.check_instance(
            "inference", inference, InferenceModel, "an InferenceModel"
        )
        for name, tokenizer in (
            ("source_tokenizer", source_tokenizer),
            ("target_tokenizer", target_tokenizer),
        ):
            checks.check_instance(name, tokenizer, Tokenizer, "a tokenizer")
        super().__init__(**kwargs)
        self.inference = inference
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.built = True

    def call(self, source_ids: Any) -> dict[str, Any]:
        return self.inference(source_ids)

    def generate(
        self, texts: Sequence[str], batch_size: int = 64, verbose: int = 0
    ) -> list[str]:
        """Returns the best target text of each source text, in their order.

        Sources are batched by length. An empty text gives an empty text.

        Args:
            texts: list of str.
            batch_size: int > 0. Sentences at a time. Default: 64.
            verbose: int. 1 shows a progress bar. Default: 0.

        Returns:
            List of str.

        Raises:
            TypeError: `texts` is a str, or holds something else than str.
        """
        checks.check_positive("batch_size", batch_size)
        options = find_extensions(
            self.source_tokenizer,
            self.target_tokenizer,
            texts,
            getattr(self.inference.decoder, "max_copied", 0),
        )
        rows = self.source_tokenizer.encode(texts, **options)
        self._check_vocabularies()
        order = [n for n in range(len(rows)) if rows[n]]
        order.sort(key=lambda n: -len(rows[n]))
        results = [""] * len(rows)
        progress = keras.utils.Progbar(len(order), verbose=verbose)
        eos_id = self.source_tokenizer.eos_id
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            source_ids = pad_rows(
                [[*rows[n], eos_id] for n in chosen],
                self.source_tokenizer.pad_id,
                LENGTH_MULTIPLE,
            )
            result = self.inference.predict_on_batch(source_ids)
            own = {
                name: [values[n] for n in chosen]
                for name, values in options.items()
            }
            decoded = self.target_tokenizer.decode(result["ids"][:, 0], **own)
            for n, text in zip(chosen, decoded):
                results[n] = text
            progress.add(len(chosen))
        return results

    def _check_vocabularies(self) -> None:
        if getattr(self.inference.decoder, "max_copied", 0):
            size = self.inference.encoder.vocabulary_size
            found = self.source_tokenizer.vocabulary_size
            if found != size:
                rule = f"a tokenizer of {size} ids, after which those of words "
                checks.fail("source_tokenizer", f"{rule}to copy begin", found)
        for name, tokenizer, layer in (
            ("source_tokenizer", self.source_tokenizer, self.inference.encoder),
            ("target_tokenizer", self.target_tokenizer, self.inference.decoder),
        ):
            size = getattr(layer, "vocabulary_size", None)
            if size is not None and tokenizer.vocabulary_size > size:
                rule = f"a tokenizer of at most {size} ids, those of the model"
                checks.fail(name, rule, tokenizer.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "inference": serialize(self.inference),
            "source_tokenizer": serialize(self.source_tokenizer),
            "target_tokenizer": serialize(self.target_tokenizer),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TextToText":
        config = dict(config)
        names = ("inference", "source_tokenizer", "target_tokenizer")
        for name in names:
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
