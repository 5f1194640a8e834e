"""What may follow each hypothesis, and what the choice of it scores."""

import dataclasses
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s.decoding.candidates import log_normalizer
from keras_s2s.decoding.progress import Progress
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The next token of R hypotheses.

    Attributes:
        logits: float32 `(R, V)`. What ranks; where something is constrained,
            log-probabilities, restricted.
        log_probs: float32 `(R, V)` or None. The model's own, where
            something is constrained; else the logits give them.
        progress: Progress or None. How far the hypotheses are, where they
            have to hold something.
    """

    logits: Tensor
    log_probs: Tensor | None = None
    progress: Progress | None = None

    def score(
        self, values: Tensor, ids: Tensor, best: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns what chosen tokens add to the rank, and their scores.

        Args:
            values: float32 `(R, C)`. Their `logits`.
            ids: int32 `(R, C)`.
            best: float32 `(R, *)`. Logits of each row, the largest among
                them. Default: `values`.

        Returns:
            Both float32 `(R, C)`, nats; the second are log-probabilities
            under the model.
        """
        if self.log_probs is None:
            best = values if best is None else best
            scores = values - log_normalizer(self.logits, best)
            return scores, scores
        return values, gather_beams(self.log_probs, ids)


def normalize(logits: Tensor) -> Tensor:
    """Logits `(R, V)` -> log-probabilities.

    All NaN in a row with a NaN, or in which nothing is legal.
    """
    return ops.log_softmax(logits, axis=-1)
