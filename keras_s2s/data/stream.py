"""Long texts to contiguous batches, for a model that carries its state."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s import batching
from keras_s2s import checks


class Stream(keras.utils.PyDataset):
    """Documents cut into pieces, each batch going on where the last ended.

    A batch is `(inputs, labels, sample_weight)`: inputs is a dict of
    "target_ids" int32 `(B, T)` and "resets" bool `(B,)`; labels int32 `(B,
    T)` are the ids that follow; sample_weight float32 `(B, T)` is 1 on each
    label and 0 on padding, which is right-hand. Each id of each document, and
    its end token, is a label once an epoch; what is fed is the id before it,
    bos for the first.

    The pieces of all documents, T ids each, the last of a document what is
    left, stand in a line that is cut into B stretches of equal length, one a
    row: row b of batch i + 1 goes on where row b of batch i ended. `resets`
    is True where a document begins, always at the start of a piece, and in
    the whole first batch: there, as elsewhere in training on streams, a row
    may begin inside a document, without the state of what stands before it.
    So no epoch, and no evaluation, sees the state that another one left.
    Batches have to come in their order: `LanguageModel.fit` sees to it.

    Args:
        documents: list of lists of int, or of int arrays; or one list or
            array of int, one document. Each at least 1 id, none of them
            pad_id.
        batch_size: int > 0. B. Default: 20.
        steps: int > 0. T, over which gradients go back. Default: 20.
        pad_id: int >= 0. Default: 0.
        bos_id: int >= 0. What stands before a document; eos, if that is what
            tells sentences apart. Default: 2.
        eos_id: int >= 0 or None. What is put behind a document; None:
            nothing, it ends as it is. Default: 3.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of
            `keras.utils.PyDataset`.

    Raises:
        TypeError: ids are not integers.
        ValueError: there is no document, or an empty one; an id or an option
            is out of range.

    Example:

    >>> data = Stream([[5, 6, 7], [8]], batch_size=1, steps=3)
    >>> inputs, labels, sample_weight = data[0]
    >>> inputs["target_ids"].tolist(), labels.tolist()
    ([[2, 5, 6]], [[5, 6, 7]])
    >>> inputs, labels, sample_weight = data[1]
    >>> inputs["target_ids"].tolist(), labels.tolist()
    ([[7, 0, 0]], [[3, 0, 0]])
    >>> [data[index][0]["resets"].item() for index in range(len(data))]
    [True, False, True]

    Source: Williams and Peng, 1990, https://doi.org/10.1162/neco.1990.2.4.490
    """

    def __init__(
        self,
        documents: Sequence[Any],
        batch_size: int = 20,
        steps: int = 20,
        pad_id: int = 0,
        bos_id: int = 2,
        eos_id: int | None = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("batch_size", batch_size)
        checks.check_positive("steps", steps)
        named = {"pad_id": pad_id, "bos_id": bos_id, "eos_id": eos_id}
        for name, value in named.items():
            if name != "eos_id" or value is not None:
                checks.check_integer(name, value, 0)
        if pad_id in (bos_id, eos_id):
            checks.fail("pad_id", "neither bos_id nor eos_id", pad_id)
        self.batch_size = batch_size
        self.steps = steps
        self.pad_id = pad_id
        self.bos_id = bos_id
        self.eos_id = eos_id
        self._read(documents)
        # Where each row begins in the line of pieces, and where the last ends.
        rows = np.arange(batch_size + 1)
        self._bounds = rows * len(self._starts) // batch_size

    def _read(self, documents: Sequence[Any]) -> None:
        """Lays labels and what is fed out flat, and finds the pieces."""
        if not hasattr(documents, "__len__") or isinstance(documents, str):
            rule = "a list of documents"
            checks.fail("documents", rule, documents, error=TypeError)
        if not len(documents):
            checks.fail("documents", "at least one document", documents)
        if np.ndim(documents[0]) == 0:
            documents = [documents]
        corpus = batching.make_corpus("documents", documents, [self.pad_id])
        ids, begins, ends = corpus.ids, corpus.starts[:-1], corpus.starts[1:]
        if self.eos_id is not None:
            ids = np.insert(ids, ends, self.eos_id).astype("int32")
            count = np.arange(len(begins))
            begins, ends = begins + count, ends + count + 1
        self._labels = ids
        self._fed = np.roll(ids, 1)
        self._fed[begins] = self.bos_id
        counts = -(-(ends - begins) // self.steps)
        self._is_first = np.zeros(counts.sum(), bool)
        self._is_first[np.cumsum(counts) - counts] = True
        number = np.arange(len(self._is_first))
        number -= np.repeat(np.cumsum(counts) - counts, counts)
        self._starts = np.repeat(begins, counts) + number * self.steps
        ends = np.repeat(ends, counts)
        self._ends = np.minimum(self._starts + self.steps, ends)

    def __len__(self) -> int:
        return int(np.diff(self._bounds).max())

    def __getitem__(
        self, index: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            checks.fail("index", f"in [0, {len(self)})", index, "", IndexError)
        pieces = self._bounds[:-1] + index
        is_there = pieces < self._bounds[1:]
        pieces = np.minimum(pieces, len(self._starts) - 1)
        places = self._starts[pieces][:, None] + np.arange(self.steps)
        inside = (places < self._ends[pieces][:, None]) & is_there[:, None]
        places = np.where(inside, places, 0)
        fed = np.where(inside, self._fed[places], np.int32(self.pad_id))
        # A row has at least one token, though it count nothing.
        fed[~is_there, 0] = self.bos_id
        resets = self._is_first[pieces] | ~is_there | (index == 0)
        labels = np.where(inside, self._labels[places], np.int32(self.pad_id))
        inputs = {"target_ids": fed, "resets": resets}
        return inputs, labels, inside.astype("float32")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.num_tokens} tokens in "
            f"{self._is_first.sum()} documents, {len(self)} batches of "
            f"{self.batch_size} x {self.steps})"
        )

    @property
    def num_tokens(self) -> int:
        """How many labels an epoch has, end tokens included."""
        return len(self._labels)

    @property
    def max_target_id(self) -> int:
        """The largest id, bos and eos included."""
        return int(max(self._labels.max(), self.bos_id))
