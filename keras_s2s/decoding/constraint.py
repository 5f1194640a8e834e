"""What users subclass to say what a search may generate."""

import dataclasses
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

from keras import ops

from keras_s2s import checks

Tensor: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Hypotheses:
    """The hypotheses of a search before their next token.

    Attributes:
        ids: int32 `(B, K, T)`. What was generated; behind it anything.
        position: int32 scalar tensor. How many tokens that is, the same for
            every hypothesis; what follows an end token has no meaning.
        eos_id: int. The end token.
        max_length: int > 0. T.
    """

    ids: Tensor
    position: Tensor
    eos_id: int
    max_length: int

    def last(self, count: int) -> Tensor:
        """Returns int32 `(B, K, count)`: the last tokens, -1 before them."""
        places = self.position - count + ops.arange(count, dtype="int32")
        taken = ops.take(self.ids, ops.maximum(places, 0), axis=2)
        return ops.where(ops.greater_equal(places, 0), taken, -1)

    def is_generated(self) -> Tensor:
        """Returns bool `(T,)`: at which places of `ids` there is a token."""
        places = ops.arange(self.max_length, dtype="int32")
        return ops.less(places, self.position)


class Constraint:
    """Base class of what restricts a search; a subclass writes `restrict`.

    Constraints are handed to a search as a list, and apply in its order.
    They run in the search's graph and are saved with it, so a subclass that
    is to be loaded needs `keras.saving.register_keras_serializable` and, with
    arguments, `get_config`.

    `restrict(log_probs, hypotheses)` takes the log-probabilities of the next
    token, float32 `(B, K, V)` in nats, and returns what ranks instead: -inf
    for a token that must not follow, a lower or higher value, at most 0, for
    one that should be rarer or more frequent. It must depend on a
    hypothesis's own tokens alone. `token_scores` stay the model's. A
    hypothesis that no token may follow is given up; a sentence without any
    other has length 0 and a score of -inf.

    Example:

    >>> import keras, keras_s2s as s2s
    >>> @keras.saving.register_keras_serializable(package="docs")
    ... class NeverTwiceInARow(s2s.decoding.Constraint):
    ...     def restrict(self, log_probs, hypotheses):
    ...         last = hypotheses.last(1)
    ...         again = keras.ops.arange(log_probs.shape[-1]) == last
    ...         return keras.ops.where(again, -np.inf, log_probs)
    >>> search = s2s.decoding.BeamSearch(constraints=[NeverTwiceInARow()])
    """

    def check(self, vocabulary_size: int, eos_id: int, max_length: int) -> None:
        """Refuses a search that the constraint does not fit, before it runs."""

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        raise NotImplementedError(
            f"{type(self).__name__} must implement `restrict`."
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Constraint":
        """Returns a constraint made from what `get_config` returned."""
        return cls(**config)


def check_constraints(constraints: Any) -> list[Constraint]:
    """Returns the constraints of a search as a list.

    Raises:
        TypeError: they are none.
    """
    if constraints is None:
        return []
    if not isinstance(constraints, Sequence):
        rule = "a list of `Constraint`s"
        checks.fail("constraints", rule, constraints, error=TypeError)
    for index, constraint in enumerate(constraints):
        checks.check_instance(
            f"constraints[{index}]",
            constraint,
            Constraint,
            "a keras_s2s.decoding.Constraint",
        )
    return list(constraints)
