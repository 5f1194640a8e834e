"""One side of the pairs: sequences, or several for each pair by name."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s2s import batching
from keras_s2s import checks
from keras_s2s.data.token_files import TokenizedText

Sequences = Sequence[Any] | dict[str, Sequence[Any]]


def map_sides(function: Callable, name: str, side: Any, *others: Any) -> Any:
    """Calls `function(name, side, *others)`, or for each side of a dict.

    Args:
        function: returns anything.
        name: str. What errors call `side`; one of a dict is `name['key']`.
        side: anything, or a dict.
        *others: anything. A dict, where `side` is one, is of the same keys.

    Returns:
        What `function` returns, or a dict of it.

    Raises:
        ValueError: dicts of other keys; an empty one; one where `side` is
            none.
    """
    for other in others:
        if isinstance(other, dict) and (
            not isinstance(side, dict) or set(other) != set(side)
        ):
            rule = f"a dict of the names that come with it, {list(other)}"
            kind = type(side).__name__
            found = list(side) if isinstance(side, dict) else kind
            checks.fail(name, rule, found)
    if not isinstance(side, dict):
        return function(name, side, *others)
    if not side:
        checks.fail(name, "of at least one name", side)
    return {
        key: function(
            f"{name}[{key!r}]",
            value,
            *(o[key] if isinstance(o, dict) else o for o in others),
        )
        for key, value in side.items()
    }


def check_sides(
    source_name: str, source: Any, target_name: str, target: Any
) -> int:
    """Returns how many pairs there are; refuses sides of unequal lengths."""
    sides = {}
    map_sides(sides.__setitem__, source_name, source)
    map_sides(sides.__setitem__, target_name, target)
    first, *rest = sides
    for name in rest:
        batching.check_counts(first, sides[first], name, sides[name])
    return len(sides[first])


class Side:
    """Sequences of ids, or several for each pair by name.

    Args:
        name: str. What errors call `sequences`.
        sequences: list of lists of int, a `TokenizedText`, or a dict of such.
        forbidden: list of int. Ids that may not occur.
        may_lack: bool. Whether, in a dict, None is a missing sequence.

    Raises:
        ValueError: a pair lacks all; or what `batching.make_corpus` refuses.
    """

    def __init__(
        self,
        name: str,
        sequences: Sequences,
        forbidden: Sequence[int],
        may_lack: bool = False,
    ) -> None:
        may_lack = may_lack and isinstance(sequences, dict)

        def read(name: str, sequences: Sequence[Any]) -> batching.Corpus:
            if isinstance(sequences, TokenizedText):
                return sequences.corpus(name, forbidden)
            return batching.make_corpus(name, sequences, forbidden, may_lack)

        self.corpora = map_sides(read, name, sequences)
        empty = np.flatnonzero(self.lengths() == 0)
        if len(empty):
            rule = "of at least one sequence that is not None for each pair"
            checks.fail(name, rule, f"None in line {empty[0] + 1}")

    def map(self, function: Callable[[batching.Corpus], Any]) -> Any:
        """Returns what `function` makes of the corpus, or of each by name."""
        return map_sides(lambda _, corpus: function(corpus), "", self.corpora)

    def map_to_many(self, function: Callable[[batching.Corpus], tuple]) -> Any:
        """As `map`, of a function that returns several things: a tuple."""
        made = self.map(function)
        if not isinstance(made, dict):
            return made
        parts = zip(*made.values())
        return tuple(dict(zip(made, part)) for part in parts)

    def lengths(self) -> np.ndarray:
        """Returns int64 `(N,)`: of the longest sequence of each pair."""
        lengths = self.map(batching.Corpus.lengths)
        if isinstance(lengths, dict):
            return np.max(list(lengths.values()), axis=0)
        return lengths
