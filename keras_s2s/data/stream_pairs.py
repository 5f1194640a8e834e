"""Long texts with a label for each token, to contiguous batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s2s import checks
from keras_s2s.data.stream import Stream


class StreamPairs(Stream):
    """Sources and targets, token by token, cut into the same pieces.

    A batch is `(inputs, labels, sample_weight)`: inputs is `{"sources":
    {"source_ids": (B, S), "resets": (B,)}, "target_ids": (B, S)}`, what a
    `Seq2Seq` of a `StatefulEncoder` reads; labels `(B, S)` are the targets;
    all else is as in `Stream`, which cuts them. What is fed is the target
    before each label, that of the piece before included, and bos where a
    document begins. Nothing is put behind a document.

    A subclass of a final class, as it differs in having sources only.

    Args:
        sources: list of lists of int, or of int arrays; or one list or array
            of int, one document. Each at least 1 id, none of them pad_id.
        targets: likewise, as many ids for each.
        batch_size, steps, pad_id, bos_id, **kwargs: as in `Stream`.

    Raises:
        TypeError: ids are not integers.
        ValueError: what `Stream` refuses; a source and its target differ in
            length.

    Example:

    >>> data = StreamPairs([5, 6, 7], [8, 9, 8], batch_size=1, steps=2)
    >>> inputs, labels, sample_weight = data[1]
    >>> inputs["sources"]["source_ids"].tolist(), labels.tolist()
    ([[7, 0]], [[8, 0]])
    >>> inputs["target_ids"].tolist()
    [[9, 0]]
    """

    def __init__(
        self,
        sources: Sequence[Any],
        targets: Sequence[Any],
        batch_size: int = 20,
        steps: int = 20,
        pad_id: int = 0,
        bos_id: int = 2,
        **kwargs: Any,
    ) -> None:
        options = (batch_size, steps, pad_id, bos_id, None)
        super().__init__(targets, *options, **kwargs)
        self.sources = Stream(sources, *options)
        # Where pieces end, and which of them begin a document.
        if not all(
            np.array_equal(getattr(self, name), getattr(self.sources, name))
            for name in ("_ends", "_is_first")
        ):
            rule = "as long as `targets`, document by document"
            found = [stream.num_tokens for stream in (self.sources, self)]
            checks.fail("sources", rule, f"{found[0]} and {found[1]} tokens")

    def __getitem__(
        self, index: int
    ) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        inputs, labels, sample_weight = super().__getitem__(index)
        # Of a stream, the labels are the ids in their own places.
        _, source_ids, _ = self.sources[index]
        # As in what is fed, a row has at least one token.
        source_ids[source_ids[:, 0] == self.pad_id, 0] = self.bos_id
        sources = {"source_ids": source_ids, "resets": inputs["resets"]}
        inputs = {"sources": sources, "target_ids": inputs["target_ids"]}
        return inputs, labels, sample_weight

    @property
    def max_source_id(self) -> int:
        """The largest id of a source, and bos."""
        return self.sources.max_target_id
