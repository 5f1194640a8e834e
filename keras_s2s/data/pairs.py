"""Sentence pairs to batches: read, bucket by length, shuffle, pad."""

import warnings
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from keras_s2s import batching
from keras_s2s import checks
from keras_s2s.tokenizers import Tokenizer
from keras_s2s.word_tokenizer import find_extensions

Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


class SequencePairs(keras.utils.PyDataset):
    """Batches of pairs of id sequences, bucketed by length, for `fit`.

    A batch is `(inputs, labels, sample_weight)`: inputs is a dict of
    "source_ids" int32 `(B, S)` and "target_ids" int32 `(B, T)`, which starts
    with bos; labels int32 `(B, T)` end with eos; sample_weight float32
    `(B, T)` is 1 on each label and 0 on padding. Padding is right-hand.

    Lengths are padded up to `bucket_lengths`; pairs are sorted by their
    padded lengths and cut into batches. Which shapes there are never
    changes; which pairs meet in a batch, and the order of the batches,
    depend on `seed` and `epoch` alone, and every pair comes once an epoch.
    `Model.fit` shuffles the batches once more, with the global generator of
    `random`, unless it is called with `shuffle=False`. It calls
    `on_epoch_end` once before its first epoch, too: to resume, set `epoch`
    to fit's `initial_epoch`.

    Args:
        source_ids: list of lists of int, or of int arrays. Each at least 1
            id, none of them pad_id. Taken as they are: an end token, where
            the model wants one, is in them already.
        target_ids: as many lists, without bos, eos and pad ids.
        batch_size: int > 0. Pairs in a batch. Default: 64.
        batch_tokens: int > 0 or None. Bounds B x S and B x T, padding
            included, instead of `batch_size`. Default: None.
        shuffle: bool. False: the same batches in each epoch, short first.
            Default: True.
        seed: int >= 0. Default: 0.
        max_source_length: int > 0 or None. Bounds S: pairs over it are
            dropped, with one warning. Default: None.
        max_target_length: int > 0 or None. Bounds T, which counts the end
            token. Default: None.
        bucket_lengths: iterable of int > 0, or None. The values that S and
            T may have: `range(8, 129, 8)` pads to multiples of 8, `[64]`
            gives a single shape. Default: None, 1 to 8 and then four to
            each doubling (10, 12, 14, 16, 20, ...), cut off at
            `max_source_length` and `max_target_length`.
        num_shards: int > 0. Workers that share the pairs. Default: 1.
        shard_index: int in [0, num_shards). The share of this worker: the
            shares are disjoint, together complete, of equally many batches,
            and close in shape at each step. Default: 0.
        pad_id: int >= 0. Default: 0.
        bos_id: int >= 0. Default: 2.
        eos_id: int >= 0. Default: 3.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of
            `keras.utils.PyDataset`. Keep to one worker: it makes thousands
            of batches a second, while with more Keras hands batches of one
            epoch over to the next under JAX and torch.
    Raises:
        TypeError: Ids are not integers.
        ValueError: A side is empty, or longer than the other; an id or an
            option is out of range. Lines are counted from 1.
    Example:
        ```python
        data = SequencePairs([[5, 3], [6, 7, 3]], [[8], [9, 9]])
        inputs, labels, sample_weight = data[0]
        assert inputs["target_ids"].tolist() == [[2, 8, 0], [2, 9, 9]]
        assert labels.tolist() == [[8, 3, 0], [9, 9, 3]]
        ```
    """

    def __init__(
        self,
        source_ids: Sequence[Sequence[int]],
        target_ids: Sequence[Sequence[int]],
        batch_size: int = 64,
        batch_tokens: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        bucket_lengths: Iterable[int] | None = None,
        num_shards: int = 1,
        shard_index: int = 0,
        pad_id: int = 0,
        bos_id: int = 2,
        eos_id: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.shuffle = shuffle
        self.seed = seed
        self.max_source_length = max_source_length
        self.max_target_length = max_target_length
        self.num_shards = num_shards
        self.shard_index = shard_index
        self.pad_id = pad_id
        self.bos_id = bos_id
        self.eos_id = eos_id
        self._check_options()
        self._epoch = 0
        self._order = None
        batching.check_counts(
            "source_ids", source_ids, "target_ids", target_ids
        )
        self._source = batching.make_corpus("source_ids", source_ids, [pad_id])
        specials = [pad_id, bos_id, eos_id]
        self._target = batching.make_corpus("target_ids", target_ids, specials)
        self._rows, lengths = self._drop_long()
        self.dropped = len(source_ids) - len(self._rows)
        self.bucket_lengths = batching.make_buckets(
            bucket_lengths, int(lengths.max())
        )
        self._plan(lengths)

    def __len__(self) -> int:
        return len(self._shapes) // self.num_shards

    def __getitem__(self, index: int) -> Batch:
        rows, (_, source_length, target_length) = self._find(index)
        pad_id = self.pad_id
        source_ids, _ = self._source.gather(rows, source_length, pad_id)
        labels, ends = self._target.gather(rows, target_length, pad_id)
        labels[np.arange(len(rows)), ends] = self.eos_id
        inside = np.arange(target_length) <= ends[:, None]
        target_ids = np.full_like(labels, self.bos_id)
        target_ids[:, 1:] = np.where(inside[:, 1:], labels[:, :-1], pad_id)
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        return inputs, labels, inside.astype("float32")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.num_pairs} pairs, "
            f"{self.dropped} dropped, {len(self)} batches, "
            f"{len(self.shapes)} shapes, padding: "
            f"{self.source_padding:.1%} of the source, "
            f"{self.target_padding:.1%} of the target)"
        )

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch; Keras calls it."""
        self.epoch += 1

    @property
    def epoch(self) -> int:
        """The epoch whose batches are served; set it to resume there."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        checks.check_integer("epoch", value, 0)
        self._epoch = int(value)

    @property
    def num_pairs(self) -> int:
        """Pairs in an epoch, over all shards, without the dropped ones."""
        return len(self._rows)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """The different (B, S, T) of this shard: each may be a compilation."""
        own = self._shapes[self.shard_index :: self.num_shards]
        return [tuple(shape) for shape in np.unique(own, axis=0).tolist()]

    @property
    def max_source_id(self) -> int:
        """The largest id in a source."""
        return int(self._source.ids.max())

    @property
    def max_target_id(self) -> int:
        """The largest id in a target, bos and eos included."""
        return max(int(self._target.ids.max()), self.bos_id, self.eos_id)

    @property
    def source_padding(self) -> float:
        """Share of padding in the source positions of all shards, in [0, 1)."""
        return self._padding(1)

    @property
    def target_padding(self) -> float:
        """Share of padding in the target positions of all shards, in [0, 1)."""
        return self._padding(2)

    def pair_indices(self, index: int) -> np.ndarray:
        """Returns int64 `(B,)`: where the pairs of a batch were, from 0."""
        return self._find(index)[0]

    def _check_options(self) -> None:
        required = ["batch_size", "num_shards"]
        optional = ["batch_tokens", "max_source_length", "max_target_length"]
        for name in required + optional:
            value = getattr(self, name)
            if name in required or value is not None:
                checks.check_positive(name, value)
        for name in ("seed", "shard_index", "pad_id", "bos_id", "eos_id"):
            checks.check_integer(name, getattr(self, name), 0)
        if self.shard_index >= self.num_shards:
            rule = f"less than num_shards={self.num_shards}"
            checks.fail("shard_index", rule, self.shard_index)
        if self.pad_id in (self.bos_id, self.eos_id):
            checks.fail("pad_id", "neither bos_id nor eos_id", self.pad_id)

    def _padding(self, axis: int) -> float:
        places = np.sum(self._shapes[:, 0] * self._shapes[:, axis])
        return float(1.0 - self._num_tokens[axis - 1] / places)

    def _drop_long(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows that are kept, and their (S, T), in tokens."""
        lengths = np.stack(
            [self._source.lengths(), self._target.lengths() + 1], axis=1
        )
        limits = [self.max_source_length, self.max_target_length]
        limits = [np.inf if limit is None else limit for limit in limits]
        rows = np.flatnonzero(np.all(lengths <= limits, axis=1))
        if len(rows) < len(lengths):
            over = (
                f"{len(lengths) - len(rows)} of {len(lengths)} pairs are over "
                f"max_source_length={self.max_source_length} or "
                f"max_target_length={self.max_target_length}"
            )
            if not len(rows):
                name = "max_source_length, max_target_length"
                rule = "long enough for one pair"
                checks.fail(name, rule, limits, f"{over}.")
            warnings.warn(f"{over} and were dropped.", stacklevel=3)
        return rows, lengths[rows]

    def _plan(self, lengths: np.ndarray) -> None:
        """Sorts by padded length and cuts into batches, once for all."""
        buckets = self.bucket_lengths
        padded = buckets[np.searchsorted(buckets, lengths)]
        for axis, name in enumerate(["max_source_length", "max_target_length"]):
            limit = getattr(self, name) or padded[:, axis].max()
            padded[:, axis] = np.minimum(padded[:, axis], limit)
        cells, self._ranks, counts = batching.rank_cells(padded)
        if self.batch_tokens is None:
            sizes = batching.cut_by_pairs(len(padded), self.batch_size)
        else:
            sizes = batching.cut_by_tokens(
                cells.max(axis=1), counts, self.batch_tokens
            )
        sizes = batching.split_for_shards(sizes, self.num_shards)
        self._ends = np.cumsum([0, *sizes])
        longest = np.maximum.reduceat(
            np.repeat(cells, counts, axis=0), self._ends[:-1], axis=0
        )
        self._shapes = np.column_stack([sizes, longest])
        self._num_tokens = lengths.sum(axis=0)

    def _find(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows of a batch of this epoch, and its (B, S, T)."""
        if not 0 <= index < len(self):
            checks.fail("index", f"in [0, {len(self)})", index, "", IndexError)
        # Read once: another thread may be at work for the same epoch.
        order = self._order
        if order is None or order[0] != self._epoch:
            order = self._order = (self._epoch, *self._make_order(self._epoch))
        _, rows, batches = order
        batch = batches[index]
        chosen = rows[self._ends[batch] : self._ends[batch + 1]]
        return chosen, self._shapes[batch]

    def _make_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns all rows, sorted, and the batches of this shard."""
        places = np.arange(len(self._rows))
        groups = np.arange(len(self))
        if self.shuffle:
            generator = np.random.default_rng([self.seed, epoch])
            places = generator.permutation(places)
            groups = generator.permutation(groups)
        places = places[np.argsort(self._ranks[places], kind="stable")]
        batches = groups * self.num_shards + self.shard_index
        return self._rows[places], batching.vary_first(
            batches, self._shapes[batches, 1:]
        )


class TextPairs(SequencePairs):
    """Batches of pairs of texts: `SequencePairs` of what tokenizers make.

    Sources are encoded with an end token, so a model that is trained on
    them wants `encode(texts, add_eos=True)` ever after. A subclass of a
    final class, as it differs in its constructor only.

    Args:
        source_texts: list of str. None empty.
        target_texts: list of str. As many, none empty.
        source_tokenizer: a tokenizer of `tokenizers`. For the sources.
        target_tokenizer: likewise, for the targets; it gives `pad_id`,
            `bos_id` and `eos_id`. It may be the same.
        max_copied: int >= 0. How many words outside the vocabulary a source
            may have that get extended ids, in it and in its target, for
            `PointerGenerator`; the rest are unknown. Default: 0.
        **kwargs: The other options of `SequencePairs`.
    Raises:
        TypeError: A text is no str.
        ValueError: A text is empty, a side is longer than the other, the
            tokenizers pad differently, or are not one `WordTokenizer` where
            words are copied, or what `SequencePairs` refuses.
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
        source_texts: Sequence[str],
        target_texts: Sequence[str],
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        max_copied: int = 0,
        **kwargs: Any,
    ) -> None:
        if source_tokenizer.pad_id != target_tokenizer.pad_id:
            rule = f"that of target_tokenizer, {target_tokenizer.pad_id}"
            checks.fail(
                "source_tokenizer.pad_id", rule, source_tokenizer.pad_id
            )
        ids = special_ids(target_tokenizer, kwargs)
        batching.check_counts(
            "source_texts", source_texts, "target_texts", target_texts
        )
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
    target_tokenizer: Tokenizer, options: dict[str, Any]
) -> dict[str, int]:
    """Returns a tokenizer's ids, and refuses them among the options."""
    ids = {}
    for name in ("pad_id", "bos_id", "eos_id"):
        if name in options:
            cure = "It is the one of target_tokenizer."
            checks.fail(name, "left out", options[name], cure)
        ids[name] = getattr(target_tokenizer, name)
    return ids


def encode_texts(
    name: str,
    texts: Sequence[str],
    tokenizer: Tokenizer,
    add_eos: bool,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> list[list[int]]:
    """Encodes texts and refuses those without a token of their own."""
    for row, text in enumerate(texts):
        checks.check_instance(f"{name}[{row}]", text, str, "a str")
    ids = tokenizer.encode(texts, add_eos=add_eos, **options)
    for row, sequence in enumerate(ids):
        if len(sequence) <= add_eos:
            cure = f"This is line {row + 1}."
            checks.fail(f"{name}[{row}]", "a text, not empty", texts[row], cure)
    return ids
