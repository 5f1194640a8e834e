"""A part of the vocabulary to choose from."""

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

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class Shortlist(Constraint):
    """No hypothesis holds tokens but those of a list.

    Log-probabilities stay those of the whole vocabulary.

    Args:
        ids: list of int >= 0, or None. The tokens, eos among them. None:
            those of each sentence are told as the input `shortlist_ids`, int
            `(B, C)`, padding behind; for a shortlist of a whole batch, the
            same row for all. Default: None.

    Raises:
        ValueError: a shortlist is without eos.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.Shortlist([3, 7, 12, 15])]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)
    """

    def __init__(self, ids: Sequence[int] | None = None):
        self.ids = None if ids is None else check_list("ids", ids)
        self.inputs = {"shortlist_ids": 2} if ids is None else {}

    def check(self, limits: Limits) -> None:
        """Refuses ids of no token, and a list without eos."""
        if self.ids is None:
            return
        if limits.vocabulary_size is not None:
            checks.check_ids("ids", self.ids, limits.vocabulary_size)
        if limits.eos_id not in self.ids:
            rule = f"ids with eos_id, {limits.eos_id}, among them"
            checks.fail("ids", rule, self.ids)

    def check_inputs(self, inputs: dict[str, Any], limits: Limits) -> None:
        """Refuses a list without eos."""
        if self.ids is not None:
            return
        lists = inputs["shortlist_ids"]
        check_told("shortlist_ids", lists, limits)
        is_list = np.any(lists != limits.pad_id, axis=1)
        ends = np.any(lists == limits.eos_id, axis=1)
        for row in lists[is_list & ~ends]:
            rule = f"rows with eos_id, {limits.eos_id}, in each"
            checks.fail("shortlist_ids", rule, row.tolist())

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for all tokens but those of the list."""
        if self.ids is not None:
            lists = ops.convert_to_tensor([self.ids], "int32")
        else:
            told = hypotheses.inputs["shortlist_ids"]
            lists = ops.where(ops.equal(told, hypotheses.pad_id), -1, told)
        is_none = ops.all(ops.less(lists, 0), axis=1, keepdims=True)
        return allow_only(log_probs, ops.expand_dims(lists, 1), is_none)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"ids": self.ids}
