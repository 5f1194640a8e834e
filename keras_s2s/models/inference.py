"""Search over a trained encoder and decoder, as a model of its own."""

import functools
import threading
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding.constraint import Limits
from keras_s2s.decoding.search import Search
from keras_s2s.models.compiled import LoopModel
from keras_s2s.models.door import check_source_ids
from keras_s2s.models.door import check_sources
from keras_s2s.models.ensemble import Ensemble
from keras_s2s.models.generator import Generator
from keras_s2s.models.language_model import LanguageModel
from keras_s2s.models.parts import find_parts
from keras_s2s.models.scoring import make_scorer
from keras_s2s.models.scoring import score_targets
from keras_s2s.models.search_inputs import SearchInputs
from keras_s2s.models.search_inputs import pad_to_multiple
from keras_s2s.models.sorted_search import predict_sorted
from keras_s2s.recurrence import trace_any_length

Tensor: TypeAlias = Any

# Where a search is compiled, sources are padded to a multiple of this many
# tokens: each length is compiled anew.
COMPILED_MULTIPLE = 64

# Held while a model is traced, which is once, whatever threads search with it.
READYING = threading.Lock()


@keras.saving.register_keras_serializable(package="keras_s2s")
class InferenceModel(LoopModel):
    """Translates: source ids in, the best target ids out.

    The whole search runs in the graph. Weights are shared with `model`:
    training goes on there, and shows here.

    Masking: padding of the source changes no result, and neither does any
    other sentence of the batch.

    Args:
        model: `Seq2Seq`, `Ensemble`, or a functional model that holds one
            `Encoder` and one `Decoder`. A list is what `Ensemble` takes. Or a
            `LanguageModel`, whose sources are prompts, without bos: ids are
            what follows. Or another `InferenceModel`, for its layers.
        search: a search of `keras_s2s.decoding`. Default: `BeamSearch()`.
        max_length: int > 0. The most tokens to generate, end token included.
            Default: 64.
        bos_id, eos_id, pad_id: int >= 0. Default: 2, 3, 0.
        return_alignments: bool. Returns attention weights as well.
            Default: False.

    Call arguments:
        source_ids: int `(B, S)`. `predict` also takes a list of id lists.
            Of a `ParallelEncoder`, a dict of those by name; of a
            `StatefulEncoder`, of the next piece of each row and `resets`.
            Where constraints have to be told something of each sentence, a
            dict of the source, `source_ids`, and of that, by the names of
            their `inputs`; `predict` also takes lists, and a source alone.

    Returns:
        Dict, N best hypotheses first: `ids`, int32 `(B, N, T)`, without bos,
        with eos where a hypothesis ended, `pad_id` behind it; `lengths`,
        int32 `(B, N)`, tokens, eos included; `scores`, float32 `(B, N)`,
        nats, what ranks; `token_scores`, float32 `(B, N, T)`, nats; and with
        `return_alignments`, `alignments`, float32 `(B, N, T, S)`, S being the
        positions of the memory. More, where the search says so.

    Raises:
        ValueError: `model` does not hold one encoder and one decoder; an id
            is outside the vocabulary; a source is only padding.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNDecoder(30, embedding_dim=8, units=16)
    >>> model = s2s.models.Seq2Seq(encoder, decoder)
    >>> inference = s2s.models.InferenceModel(model, max_length=5)
    >>> result = inference.predict([[5, 6, 3], [7, 3]], verbose=0)
    >>> result["ids"].shape
    (2, 1, 5)
    """

    def __init__(
        self,
        model: keras.Model | list[Any],
        search: Search | None = None,
        max_length: int = 64,
        bos_id: int = 2,
        eos_id: int = 3,
        pad_id: int = 0,
        return_alignments: bool = False,
        **kwargs: Any,
    ) -> None:
        checks.check_positive("max_length", max_length)
        search = BeamSearch() if search is None else search
        checks.check_instance(
            "search", search, Search, "a search of keras_s2s.decoding"
        )
        if isinstance(model, (list, tuple)):
            model = Ensemble(model)
        if isinstance(model, LanguageModel):
            model = model.prompted(bos_id, max_length)
        encoder, decoder = find_parts(model)
        if hasattr(decoder, "vector_dim"):
            cure = "For vectors take `Forecaster`."
            checks.fail("model", "one that writes ids", model.name, cure)
        longest = getattr(decoder, "longest", None)
        if longest is not None:
            checks.check_length("max_length", max_length, longest)
        generator = Generator(
            encoder,
            decoder,
            search,
            max_length,
            bos_id,
            eos_id,
            pad_id,
            return_alignments,
        )
        size = getattr(decoder, "vocabulary_size", None)
        asked = SearchInputs(
            encoder, search, Limits(size, eos_id, pad_id, max_length)
        )
        found = generator(asked.source, asked.extra or None)
        super().__init__(inputs=asked.joined, outputs=found, **kwargs)
        self.generator = generator
        self.encoder = encoder
        self.decoder = decoder
        self.search = search
        self.max_length = max_length
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.pad_id = pad_id
        self.return_alignments = return_alignments
        # Functions, as Keras would save a model that it finds here.
        self.make_scorer = functools.cache(
            lambda: make_scorer(encoder, decoder, search.reads_alignments)
        )
        self.split_inputs, self.join_inputs = asked.split, asked.join

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.compile`.

        `jit_compile=True` compiles the whole search with XLA, faster for a
        sentence at a time on TensorFlow. `predict` and `predict_on_batch`
        then pad sources to few lengths; each batch size is compiled anew.
        """
        super().compile(*args, **kwargs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> dict[str, np.ndarray]:
        """As `keras.Model.predict`; takes lists of ids, and checks ids.

        Sources of like lengths are searched together; results come in the
        order of the sources. On TensorFlow without a GPU two batches are
        searched side by side, of at most `batch_size` each.
        """
        if not isinstance(x, (dict, list, tuple)) and not hasattr(x, "shape"):
            # Batches, as they are.
            return super().predict(x, batch_size, verbose, steps, callbacks)
        source, told = self.split_inputs(x)
        is_ids = self._takes_ids and isinstance(
            source, (np.ndarray, list, tuple)
        )
        if is_ids:
            source = check_source_ids(source, self.encoder, self.decoder)
        elif isinstance(source, dict) and hasattr(self.encoder, "encoders"):
            source = check_sources(source, self.encoder, self.decoder)
        x = self.join_inputs(source, told)
        if all(
            isinstance(one, np.ndarray) and len(one) == 0
            for one in keras.tree.flatten(x)
        ):
            # Convolutions on TensorFlow take no empty batch.
            found = self(keras.tree.map_structure(_make_one_row, x))
            return {
                key: ops.convert_to_numpy(value)[:0]
                for key, value in found.items()
            }
        if not is_ids:
            return super().predict(x, batch_size, verbose, steps, callbacks)
        if steps is not None or callbacks is not None:
            x = self._pad(source, told)
            return super().predict(x, batch_size, verbose, steps, callbacks)
        return predict_sorted(self, source, told, batch_size or 32, verbose)

    def with_search(self, search: Search) -> "InferenceModel":
        """Returns a model of the same layers that searches otherwise.

        No weight is copied: what trains one changes both. All else is as
        here, also what it is compiled for.

        Args:
            search: a search of `keras_s2s.decoding`. To add constraints to
                this one, take `search.with_constraints([...])`.
        """
        made = InferenceModel(
            self,
            search,
            self.max_length,
            self.bos_id,
            self.eos_id,
            self.pad_id,
            self.return_alignments,
        )
        if self.compiled:
            made.compile_from_config(self.get_compile_config())
        return made

    def score(
        self,
        source: Any,
        target_ids: Any,
        batch_size: int = 32,
        verbose: Any = "auto",
    ) -> dict[str, np.ndarray]:
        """Scores given targets, teacher forced, as the search would.

        Pairs of like lengths are computed together; results come in their
        order. Constraints of the search have no say.

        Args:
            source: as for `predict`; ids as a list of id lists, too.
            target_ids: int array `(B, T)` with padding behind, or a list of
                id lists. Without bos; with eos where a target ends, as
                `predict` returns them.
            batch_size: int > 0. Default: 32.
            verbose: "auto", 0 or 1. 1 shows a progress bar. Default: "auto".

        Returns:
            Dict: `token_scores`, float32 `(B, T)`, log-probabilities in nats,
            0 on padding; `scores`, float32 `(B,)`, what ranks: their sum,
            with the penalties of the search; `lengths`, int32 `(B,)`.

        Raises:
            ValueError: sources or targets are not as stated above, hold ids
                outside the vocabulary or are empty; the encoder carries a
                state; the search has a `coverage_penalty`, and the decoder
                no `attended_features`.
        """
        return score_targets(self, source, target_ids, batch_size, verbose)

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:
        """As `keras.Model.predict_on_batch`."""
        self._make_ready()
        source, told = self.split_inputs(x)
        padded = self._pad(source, told)
        padded = keras.tree.map_structure(
            lambda one, like: ops.convert_to_numpy(one).astype(like.dtype),
            padded,
            self.input,
        )
        found = super().predict_on_batch(padded)
        if self._takes_ids and "alignments" in found:
            length = self.encoder.memory_length(np.shape(source)[1])
            found["alignments"] = found["alignments"][..., :length]
        return found

    def _make_ready(self) -> None:
        with READYING:
            if self.predict_function is None and not self.jit_compile:
                self.make_predict_function()
                trace_any_length(self.predict_function, self.input)

    @property
    def _takes_ids(self) -> bool:
        return hasattr(self.encoder, "vocabulary_size")

    def _pad(self, source: Any, told: dict[str, np.ndarray]) -> Any:
        """Returns what the model takes, padded where each length would be
        compiled anew."""
        if self.jit_compile:
            told = {
                name: pad_to_multiple(values, self.pad_id)
                for name, values in told.items()
            }
        if self.jit_compile and self._takes_ids:
            source = ops.convert_to_numpy(source)
            more = -source.shape[1] % COMPILED_MULTIPLE
            longest = getattr(self.encoder, "longest", None)
            if longest is not None:
                more = min(more, max(longest - source.shape[1], 0))
            pad_id = getattr(self.encoder, "pad_id", 0)
            source = np.pad(source, [(0, 0), (0, more)], constant_values=pad_id)
        return self.join_inputs(source, told)

    def get_config(self) -> dict[str, Any]:
        config = {
            "search": keras.saving.serialize_keras_object(self.search),
            "max_length": self.max_length,
            "bos_id": self.bos_id,
            "eos_id": self.eos_id,
            "pad_id": self.pad_id,
            "return_alignments": self.return_alignments,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "InferenceModel":
        search = keras.saving.deserialize_keras_object(config["search"])
        return super().from_config({**config, "search": search})


def _make_one_row(empty: np.ndarray) -> np.ndarray:
    return np.ones((1, *empty.shape[1:]), empty.dtype)
