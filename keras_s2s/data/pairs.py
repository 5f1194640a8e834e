"""Sentence pairs to batches: read, bucket by length, shuffle, pad."""

import warnings
from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_s2s import batching
from keras_s2s import checks
from keras_s2s.data.plan import Plan
from keras_s2s.data.plan import make_plan
from keras_s2s.data.sides import Sequences
from keras_s2s.data.sides import Side
from keras_s2s.data.sides import check_sides

# Inputs, labels and sample weights, each an array or several by name.
Batch = tuple[dict[str, Any], Any, Any]


class EpochPairs(NamedTuple):
    """What an epoch reads: both sides of all pairs, and their batches."""

    source: Side
    target: Side
    plan: Plan


class SequencePairs(keras.utils.PyDataset):
    """Batches of pairs of id sequences, bucketed by length, for `fit`.

    A batch is `(inputs, labels, sample_weight)`: inputs is a dict of
    "source_ids" int32 `(B, S)` and "target_ids" int32 `(B, T)`, which starts
    with bos; labels int32 `(B, T)` end with eos; sample_weight float32
    `(B, T)` is 1 on each label and 0 on padding. Padding is right-hand.

    Lengths are padded up to `bucket_lengths`; pairs are sorted by their padded
    lengths and cut into batches. Which shapes there are never changes, unless
    texts are cut anew in each epoch; which pairs meet in a batch, and the
    order of the batches, depend on `seed` and `epoch` alone, and every pair
    comes once an epoch. `Model.fit` shuffles the batches once more, with the
    global generator of `random`, unless it is called with `shuffle=False`. It
    calls `on_epoch_end` once before its first epoch, too: to resume, set
    `epoch` to fit's `initial_epoch`.

    A dict of lists by name, in the place of one list, gives a dict of arrays
    by the same names: several targets of a source, for `OneToMany`, or
    several sources of a target, for `ParallelEncoder`. All of a side are
    padded to one length, and what is said of lengths is said of the longest.

    Args:
        source_ids: list of lists of int, or of int arrays, a `TokenizedText`
            on disk, or a dict of such by name. Each at least 1 id, none of
            them pad_id. Taken as they are: an end token, where the model
            wants one, is in them already.
        target_ids: as many, without bos, eos and pad ids, or a dict of
            those. In a dict, None is a target that is missing, but not all
            of a source: its sample weights are 0.
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
        ValueError: A side is empty, or longer than the other; a source has
            no target at all; an id or an option is out of range. Lines are
            counted from 1.
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
        source_ids: Sequences,
        target_ids: Sequences,
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
        count = check_sides("source_ids", source_ids, "target_ids", target_ids)
        self._source = Side("source_ids", source_ids, [pad_id])
        specials = [pad_id, bos_id, eos_id]
        self._target = Side("target_ids", target_ids, specials, may_lack=True)
        self._rows, lengths = self._drop_long()
        self.dropped = count - len(self._rows)
        self.bucket_lengths = batching.make_buckets(
            bucket_lengths, int(lengths.max())
        )
        self._plan = self._make_plan(lengths, self.bucket_lengths)

    def __len__(self) -> int:
        return len(self._plan.shapes) // self.num_shards

    def __getitem__(self, index: int) -> Batch:
        rows, (_, source_length, target_length), pairs = self._find(index)
        source_ids = pairs.source.map(
            lambda corpus: corpus.gather(rows, source_length, self.pad_id)[0]
        )
        target_ids, labels, sample_weight = pairs.target.map_to_many(
            lambda corpus: self._shift(corpus, rows, target_length)
        )
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        return inputs, labels, sample_weight

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
        own = self._plan.shapes[self.shard_index :: self.num_shards]
        return [tuple(shape) for shape in np.unique(own, axis=0).tolist()]

    @property
    def max_source_id(self) -> int | dict[str, int]:
        """The largest id in a source; of several, of each by name."""
        return self._source.map(batching.Corpus.max_id)

    @property
    def max_target_id(self) -> int | dict[str, int]:
        """The same of targets, bos and eos included."""
        return self._target.map(
            lambda corpus: max(corpus.max_id(), self.bos_id, self.eos_id)
        )

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

    def _shift(
        self, corpus: batching.Corpus, rows: np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns inputs, labels and weights `(B, length)` of a decoder."""
        labels, ends = corpus.gather(rows, length, self.pad_id)
        # None is empty, but where it is missing.
        (there,) = np.nonzero(ends)
        labels[there, ends[there]] = self.eos_id
        inside = np.arange(length) <= np.where(ends, ends, -1)[:, None]
        target_ids = np.full_like(labels, self.bos_id)
        target_ids[:, 1:] = np.where(inside[:, 1:], labels[:, :-1], self.pad_id)
        return target_ids, labels, inside.astype("float32")

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
        shapes = self._plan.shapes
        places = np.sum(shapes[:, 0] * shapes[:, axis])
        return float(1.0 - self._plan.num_tokens[axis - 1] / places)

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

    def _make_plan(
        self,
        lengths: np.ndarray,
        buckets: np.ndarray,
        num_batches: int | None = None,
    ) -> Plan:
        return make_plan(
            lengths,
            (self.max_source_length, self.max_target_length),
            buckets,
            self.batch_size,
            self.batch_tokens,
            self.num_shards,
            num_batches,
        )

    def _pairs_of(self, epoch: int) -> EpochPairs:
        """Returns what an epoch reads; a subclass may have it change."""
        return EpochPairs(self._source, self._target, self._plan)

    def _find(self, index: int) -> tuple[np.ndarray, np.ndarray, EpochPairs]:
        """Returns the rows of a batch of this epoch, its (B, S, T), and
        where they stand."""
        if not 0 <= index < len(self):
            checks.fail("index", f"in [0, {len(self)})", index, "", IndexError)
        # Read once: another thread may be at work for the same epoch.
        order = self._order
        if order is None or order[0] != self._epoch:
            order = self._order = (self._epoch, *self._make_order(self._epoch))
        _, rows, batches, pairs = order
        batch, ends = batches[index], pairs.plan.ends
        chosen = rows[ends[batch] : ends[batch + 1]]
        return chosen, pairs.plan.shapes[batch], pairs

    def _make_order(
        self, epoch: int
    ) -> tuple[np.ndarray, np.ndarray, EpochPairs]:
        """Returns all rows, sorted, and the batches of this shard."""
        pairs = self._pairs_of(epoch)
        places = np.arange(len(self._rows))
        groups = np.arange(len(self))
        if self.shuffle:
            generator = np.random.default_rng([self.seed, epoch])
            places = generator.permutation(places)
            groups = generator.permutation(groups)
        ranks = pairs.plan.ranks[places]
        places = places[np.argsort(ranks, kind="stable")]
        batches = groups * self.num_shards + self.shard_index
        batches = batching.vary_first(batches, pairs.plan.shapes[batches, 1:])
        return self._rows[places], batches, pairs
