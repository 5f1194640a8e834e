"""What a search found for one source, in words and numbers."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_s2s.tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One of the N best hypotheses of a source.

    Attributes:
        text: str.
        score: float. What ranks it, nats: a log-probability, divided by the
            length penalty of the search.
        token_ids: list of T ints. With the end token, if it has ended.
        tokens: list of T str. What each decodes to alone: "" for an end
            token.
        token_scores: list of T floats. Log-probabilities, nats.
        source_tokens: list of S str. With the end token, "".
        alignment: float `(T, S)` array: which source tokens each token was
            read from; or None, of a model without `return_alignments`, or
            whose encoder makes other positions than the tokens.
            `hard_alignment` has the largest of each.
    """

    text: str
    score: float
    token_ids: list[int]
    tokens: list[str]
    token_scores: list[float]
    source_tokens: list[str]
    alignment: np.ndarray | None = dataclasses.field(default=None, repr=False)

    @property
    def hard_alignment(self) -> list[int] | None:
        """List of T ints: the source token that each was read from most."""
        if self.alignment is None:
            return None
        return np.argmax(self.alignment, axis=1).tolist()


def spell(tokenizer: Tokenizer, ids: list[int], options: dict) -> list[str]:
    """Returns what each id decodes to alone.

    Args:
        tokenizer: a tokenizer of `tokenizers`.
        ids: list of int.
        options: dict of what `decode` is told of each row.
    """
    rows = [[one_id] for one_id in ids]
    options = {name: value * len(ids) for name, value in options.items()}
    return tokenizer.decode(rows, **options)


def read_hypotheses(
    result: dict[str, np.ndarray],
    row: int,
    source_tokens: list[str],
    texts: list[str],
    tokenizer: Tokenizer,
    options: dict,
) -> Iterator[Hypothesis]:
    """Yields the hypotheses of one row of a search's result, best first.

    Places that none has, of length 0, are left out. Each of the N places
    has one of `texts`.
    """
    for n, length in enumerate(result["lengths"][row].tolist()):
        if not length:
            continue
        ids = result["ids"][row, n, :length].tolist()
        alignment = None
        if "alignments" in result:
            alignment = result["alignments"][row, n, :length]
            if alignment.shape[1] < len(source_tokens):
                alignment = None
            else:
                alignment = alignment[:, : len(source_tokens)]
        yield Hypothesis(
            text=texts[n],
            score=float(result["scores"][row, n]),
            token_ids=ids,
            tokens=spell(tokenizer, ids, options),
            token_scores=result["token_scores"][row, n, :length].tolist(),
            source_tokens=source_tokens,
            alignment=alignment,
        )
