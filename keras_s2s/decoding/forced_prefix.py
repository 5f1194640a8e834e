"""Tokens that every hypothesis begins with."""

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
from keras_s2s.decoding.legality import allow_only
from keras_s2s.decoding.phrases import check_list
from keras_s2s.decoding.phrases import check_told
from keras_s2s.decoding.phrases import check_words

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class ForcedPrefix(Constraint):
    """Tokens that every hypothesis begins with.

    They are part of what comes back, and count as any other: with the
    log-probability that the model gives them, in scores and lengths. One of
    `max_length` tokens leaves no room for more, not even for an end token.

    Args:
        ids: list of int >= 0, or None. The prefix of every sentence. None:
            that of each sentence is told as the input `prefix_ids`, int
            `(B, P)`, padding behind. Default: None.

    Raises:
        ValueError: a prefix has more than `max_length` tokens, or holds eos
            or padding inside.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.ForcedPrefix([7, 12])]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)
    """

    def __init__(self, ids: Sequence[int] | None = None):
        self.ids = None if ids is None else check_list("ids", ids)
        self.inputs = {"prefix_ids": 2} if ids is None else {}

    def check(self, limits: Limits) -> None:
        """Refuses a prefix that no hypothesis can have."""
        if self.ids is not None:
            check_words("ids", self.ids, limits)
            self._check_length("ids", len(self.ids), limits)

    def check_inputs(self, inputs: dict[str, Any], limits: Limits) -> None:
        """Refuses prefixes that no hypothesis can have."""
        if self.ids is not None:
            return
        prefixes = inputs["prefix_ids"]
        check_told("prefix_ids", prefixes, limits)
        for row in prefixes[np.any(prefixes == limits.eos_id, axis=1)]:
            rule = f"without eos_id, {limits.eos_id}"
            checks.fail("prefix_ids", rule, row.tolist())
        lengths = np.sum(prefixes != limits.pad_id, axis=1)
        self._check_length("prefix_ids", lengths.max(initial=0), limits)

    def _check_length(self, name: str, length: int, limits: Limits) -> None:
        if length > limits.max_length:
            rule = f"of at most max_length, {limits.max_length}, tokens"
            checks.fail(name, rule, int(length))

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for all but the next of the prefix."""
        if self.ids is not None:
            prefixes = ops.convert_to_tensor([self.ids], "int32")
        else:
            told = hypotheses.inputs["prefix_ids"]
            prefixes = ops.where(ops.equal(told, hypotheses.pad_id), -1, told)
        width, position = ops.shape(prefixes)[1], hypotheses.position

        def force() -> Tensor:
            place = ops.minimum(position, width - 1)
            tokens = ops.expand_dims(ops.take(prefixes, place, axis=1), -1)
            is_behind = ops.less(tokens, 0)
            return allow_only(log_probs, ops.expand_dims(tokens, -1), is_behind)

        # Behind the longest prefix there is nothing to do.
        return ops.cond(ops.less(position, width), force, lambda: log_probs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"ids": self.ids}
