"""Phrases that must not be generated."""

from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.constraint import Limits
from keras_s2s.decoding.legality import forbid
from keras_s2s.decoding.phrases import check_phrases
from keras_s2s.decoding.phrases import check_told
from keras_s2s.decoding.phrases import find_phrases
from keras_s2s.decoding.phrases import pad_phrases

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class ForbiddenPhrases(Constraint):
    """Phrases, or single tokens, that no hypothesis may hold.

    Args:
        phrases: list of lists of int >= 0, or None. The ids of each phrase;
            one id forbids that token. None: those of each sentence are told
            as the input `forbidden_ids`, int `(B, C, L)`, padding behind
            each. Default: None.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.ForbiddenPhrases([[7], [12, 5]])]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)
    """

    def __init__(self, phrases: Sequence[Sequence[int]] | None = None):
        self.phrases = None if phrases is None else check_phrases(phrases)
        self.inputs = {"forbidden_ids": 3} if phrases is None else {}

    def check(self, limits: Limits) -> None:
        """Refuses ids outside the vocabulary."""
        if limits.vocabulary_size is not None:
            for index, phrase in enumerate(self.phrases or []):
                checks.check_ids(
                    f"phrases[{index}]", phrase, limits.vocabulary_size
                )

    def check_inputs(self, inputs: dict[str, Any], limits: Limits) -> None:
        """Refuses padding inside of a phrase."""
        if self.phrases is None:
            check_told("forbidden_ids", inputs["forbidden_ids"], limits)

    def array(self, inputs: dict[str, Any], pad_id: int) -> np.ndarray:
        """Returns int `(B, C, L)`, or with 1 for B, -1 behind each phrase."""
        if self.phrases is not None:
            return pad_phrases(self.phrases)
        told = inputs["forbidden_ids"]
        return np.where(told == pad_id, -1, told)

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for what would end a phrase."""
        phrases = find_phrases(self.phrases, "forbidden_ids", hypotheses)
        # Right-aligned: a short phrase does not ask what came long before.
        aligned = ops.expand_dims(phrases.align_right(), 1)
        before = ops.shape(aligned)[3] - 1
        asked, ends = aligned[:, :, :, :-1], aligned[:, :, :, -1]
        last = ops.expand_dims(hypotheses.last(before), 2)
        same = ops.logical_or(ops.equal(asked, last), ops.less(asked, 0))
        begun = ops.all(same, axis=-1)
        ends = ops.broadcast_to(ends, ops.shape(begun))
        is_there = ops.greater_equal(ends, 0)
        return forbid(log_probs, ends, ops.logical_and(begun, is_there))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"phrases": self.phrases}
