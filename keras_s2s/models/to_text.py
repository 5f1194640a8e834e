"""What text models share, whatever they read."""

import functools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.decoding import RandomSampling
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.minimum_bayes_risk import Utility
from keras_s2s.models.minimum_bayes_risk import choose_texts
from keras_s2s.models.minimum_bayes_risk import find_utility
from keras_s2s.models.phrases import add_constraints
from keras_s2s.models.phrases import choose
from keras_s2s.models.phrases import encode_phrases
from keras_s2s.models.quantization import find_quantized
from keras_s2s.models.sorted_search import find_num_threads
from keras_s2s.models.sorted_search import map_by_threads
from keras_s2s.tokenizers import Tokenizer


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
        # A function, as Keras would save models that it finds here.
        self.add_constraints = functools.cache(add_constraints)
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
        told: dict[str, list] | None = None,
    ) -> list[Any]:
        """Returns what `read` makes of the results of all batches, in order.

        Batches are searched side by side where `InferenceModel.predict` does.

        Args:
            count: int. How many sources there are.
            batches: iterable of the places of sources, and the sources.
            verbose: int. 1 shows a progress bar.
            read: function of the result of a batch and of its places. Returns
                as many things.
            empty: anything. What stands for a source in no batch.
            told: dict of lists, one entry a source. What `encode_phrases`
                returned. Default: None, nothing.
        """
        told = told or {}
        inference = self.find_inference(tuple(told))
        results, left = [empty] * count, count
        progress = keras.utils.Progbar(count, verbose=verbose)

        def search(batch: tuple) -> tuple:
            places, source = batch
            joined = inference.join_inputs(source, choose(told, places))
            return places, inference.predict_on_batch(joined)

        num_threads = find_num_threads(inference)
        for places, result in map_by_threads(search, batches, num_threads):
            for place, value in zip(places, read(result, places)):
                results[place] = value
            progress.add(len(places))
            left -= len(places)
        if left:  # skipped
            progress.add(left)
        return results

    def make_reader(
        self, utility: str | Utility | None, decode: Callable
    ) -> Callable[[dict, Sequence[int]], list[str]]:
        """Returns what reads one text of each source from a result.

        Args:
            utility: str, function or None. As for `generate`.
            decode: function of a result, n and the places of its sources.
                Returns the n-th text of each of them.

        Raises:
            ValueError: there is a `utility`, and one hypothesis.
        """
        if utility is None:
            return lambda result, places: decode(result, 0, places)
        search = self.inference.search
        if search.num_hypotheses == 1:
            rule = "None where the search returns one hypothesis"
            checks.fail("utility", rule, utility)
        function = find_utility(utility)
        are_drawn = isinstance(search, RandomSampling)

        def read(result: dict, places: Sequence[int]) -> list[str]:
            count = result["ids"].shape[1]
            texts = [decode(result, n, places) for n in range(count)]
            return choose_texts(texts, result, function, are_drawn)

        return read

    def encode_phrases(
        self, count: int, options: dict[str, list], *phrases: Any
    ) -> dict[str, list]:
        """Returns what constraints are told of each of `count` sources.

        Args:
            phrases: `prefixes`, `required` and `forbidden`, as for
                `generate`.
        """
        if all(one is None for one in phrases):
            return {}
        tokenizer, longest = self.target_tokenizer, self.inference.max_length
        return encode_phrases(tokenizer, count, longest, options, *phrases)

    def find_inference(self, names: tuple[str, ...]) -> InferenceModel:
        """Returns the model, or one of its layers that is told `names`."""
        own = self.inference
        if not names:
            return own
        quantized = tuple(find_quantized(own.encoder, own.decoder))
        return self.add_constraints(
            own, names, own.jit_compile, own.run_eagerly, quantized
        )

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
