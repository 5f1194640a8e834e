"""Pairs of texts to batches."""

import math
from typing import Any

import numpy as np

from keras_s2s import batching
from keras_s2s import checks
from keras_s2s.data.pairs import EpochPairs
from keras_s2s.data.pairs import SequencePairs
from keras_s2s.data.sides import Side
from keras_s2s.data.sides import check_sides
from keras_s2s.data.text_side import Texts
from keras_s2s.data.text_side import TextSide
from keras_s2s.data.text_side import Tokenizers
from keras_s2s.data.text_side import as_list
from keras_s2s.data.text_side import encode_texts
from keras_s2s.word_tokenizer import find_extensions


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
        sampling_alpha: float > 0 or None. Cuts each text anew in every epoch,
            at random, as `SentencePieceTokenizer.encode` does; the draws
            depend on `seed` and `epoch` alone, and there are as many batches
            in each epoch. Default: None, always the best cut.
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

    # Where texts are cut anew: the buckets, if given, and how many batches.
    _buckets: np.ndarray | None = None
    _num_batches: int | None = None

    def __init__(
        self,
        source_texts: Texts,
        target_texts: Texts,
        source_tokenizer: Tokenizers,
        target_tokenizer: Tokenizers,
        max_copied: int = 0,
        sampling_alpha: float | None = None,
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
        self.sampling_alpha = sampling_alpha
        if sampling_alpha is None:
            return
        self._sides = (
            TextSide("source_texts", source_texts, source_tokenizer, True),
            TextSide("target_texts", target_texts, target_tokenizer, False),
        )
        for side in self._sides:
            side.check_sampling(max_copied)
        if kwargs.get("bucket_lengths") is not None:
            self._buckets = self.bucket_lengths
        count = len(self._pairs_of(0).plan.shapes)
        # Room for epochs whose draws are longer.
        count = min(count + -(-count // 50), self.num_pairs)
        self._num_batches = -(-count // self.num_shards) * self.num_shards
        self._plan = self._pairs_of(0).plan

    @property
    def max_source_id(self) -> int | dict[str, int]:
        """The largest id in a source; of several, of each by name."""
        if self.sampling_alpha is None:
            return super().max_source_id
        return self._sides[0].largest_id()

    @property
    def max_target_id(self) -> int | dict[str, int]:
        """The same of targets, bos and eos included."""
        if self.sampling_alpha is None:
            return super().max_target_id
        return self._sides[1].largest_id()

    def _pairs_of(self, epoch: int) -> EpochPairs:
        if self.sampling_alpha is None:
            return super()._pairs_of(epoch)
        seeds = np.random.default_rng([self.seed, epoch]).integers(
            2**31, size=2
        )
        source, target = (
            side.sample(self.sampling_alpha, int(seed), self._longest(axis))
            for axis, (side, seed) in enumerate(zip(self._sides, seeds))
        )
        source = Side("source_texts", source, [])
        target = Side("target_texts", target, [], may_lack=True)
        lengths = np.stack([source.lengths(), target.lengths() + 1], axis=1)
        lengths = lengths[self._rows]
        buckets = self._buckets
        if buckets is None:
            buckets = batching.make_buckets(None, int(lengths.max()))
        plan = self._make_plan(lengths, buckets, self._num_batches)
        return EpochPairs(source, target, plan)

    def _longest(self, axis: int) -> float:
        """Returns how many ids a draw may have, its own end token included."""
        limits = [self.max_source_length, self.max_target_length]
        limit = math.inf if limits[axis] is None else limits[axis]
        if self._buckets is not None:
            limit = min(limit, self._buckets[-1])
        # The end token of a target is not there yet.
        return limit - axis


def special_ids(
    target_tokenizer: Tokenizers, options: dict[str, Any]
) -> dict[str, int]:
    """Returns the ids of tokenizers, and refuses them among the options."""
    ids = {}
    for name in ("pad_id", "bos_id", "eos_id"):
        if name in options:
            cure = "It is the one of target_tokenizer."
            checks.fail(name, "left out", options[name], cure)
        found = [getattr(one, name) for one in as_list(target_tokenizer)]
        if len(set(found)) != 1:
            rule = "the same for all targets"
            checks.fail(f"target_tokenizer.{name}", rule, found)
        ids[name] = found[0]
    return ids


def _check_padding(source_tokenizer: Tokenizers, pad_id: int) -> None:
    for tokenizer in as_list(source_tokenizer):
        if tokenizer.pad_id != pad_id:
            rule = f"that of target_tokenizer, {pad_id}"
            checks.fail("source_tokenizer.pad_id", rule, tokenizer.pad_id)
