"""Pairs of which somebody knows what was translated to what."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s2s import batching
from keras_s2s import checks
from keras_s2s.data.pairs import Batch
from keras_s2s.data.pairs import SequencePairs


class AlignedPairs(SequencePairs):
    """`SequencePairs` with alignments, for a guided attention.

    Inputs have one entry more, "alignments", float32 `(B, T, S)`: where each
    label comes from, evenly if from several words. A label of which nothing is
    known, as the end token, has only zeros, and so has padding.

    Args:
        source_ids, target_ids: lists, as in `SequencePairs`, no dicts.
        alignments: as many lists of pairs (source position, target
            position), counted from 0, or lines of such as fast_align and
            GIZA++ write them, "0-0 2-1". Positions are those of ids: where
            words are cut into pieces, they are the pieces'.
        **options: as in `SequencePairs`.

    Raises:
        TypeError, ValueError: as in `SequencePairs`; an alignment is no list
            of pairs, or not within its pair.

    Example:

    >>> data = AlignedPairs([[5, 6, 3]], [[8, 9]], ["0-1 1-1 2-0"])
    >>> inputs, labels, sample_weight = data[0]
    >>> labels.tolist()
    [[8, 9, 3]]
    >>> inputs["alignments"].tolist()
    [[[0.0, 0.0, 1.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]]

    Source: Dyer et al., 2013 (fast_align), https://aclanthology.org/N13-1073
    """

    def __init__(
        self,
        source_ids: Sequence[Any],
        target_ids: Sequence[Any],
        alignments: Sequence[Any],
        **options: Any,
    ) -> None:
        for name, side in (("source", source_ids), ("target", target_ids)):
            if isinstance(side, dict):
                rule = "one list where there are alignments"
                checks.fail(f"{name}_ids", rule, list(side))
        batching.check_counts(
            "source_ids", source_ids, "alignments", alignments
        )
        super().__init__(source_ids, target_ids, **options)
        self._links = [
            _read_links(f"alignments[{row}]", links, len(source), len(target))
            for row, (links, source, target) in enumerate(
                zip(alignments, source_ids, target_ids)
            )
        ]

    def __getitem__(self, index: int) -> Batch:
        rows, shape, _ = self._find(index)
        inputs, labels, sample_weight = super().__getitem__(index)
        _, source_length, target_length = shape
        found = np.zeros((len(rows), target_length, source_length), "float32")
        for place, row in enumerate(rows):
            source, target = self._links[row].T
            found[place, target, source] = 1.0
        found /= np.maximum(found.sum(axis=-1, keepdims=True), 1.0)
        return {**inputs, "alignments": found}, labels, sample_weight


def _read_links(
    name: str, links: Any, source_length: int, target_length: int
) -> np.ndarray:
    """Returns int `(K, 2)`, or refuses what is no alignment of a pair."""
    if isinstance(links, str):
        if re.fullmatch(r"\s*(\d+-\d+\s*)*", links) is None:
            checks.fail(name, "pairs such as '0-0 2-1'", links)
        links = [list(map(int, link.split("-"))) for link in links.split()]
    array = np.asarray(links)
    if array.shape == (0,):
        return np.zeros((0, 2), int)
    if array.shape[1:] != (2,) or array.dtype.kind not in "iu":
        checks.fail(name, "pairs (source position, target position)", links)
    sizes = (source_length, target_length)
    if np.any(array < 0) or np.any(array >= sizes):
        rule = f"pairs of positions in [0, {sizes[0]}) and [0, {sizes[1]})"
        checks.fail(name, rule, links)
    return array
