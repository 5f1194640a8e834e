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
        pad_id: int. What stands behind the end of each row of `inputs`.
        inputs: dict of int32 tensors `(B, ...)`. What constraints were told
            of each sentence, by name.
        source_lengths: int32 `(B,)`, or None where it is not known. Tokens
            of each source, its end token included.
    """

    ids: Tensor
    position: Tensor
    eos_id: int
    max_length: int
    pad_id: int = 0
    inputs: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    source_lengths: Tensor | None = None

    def last(self, count: int) -> Tensor:
        """Returns int32 `(B, K, count)`: the last tokens, -1 before them."""
        places = self.position - count + ops.arange(count, dtype="int32")
        taken = ops.take(self.ids, ops.maximum(places, 0), axis=2)
        return ops.where(ops.greater_equal(places, 0), taken, -1)

    def is_generated(self) -> Tensor:
        """Returns bool `(T,)`: at which places of `ids` there is a token."""
        places = ops.arange(self.max_length, dtype="int32")
        return ops.less(places, self.position)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the inputs of constraints are checked against.

    Attributes:
        vocabulary_size: int > 0, or None where it is not known.
        eos_id, pad_id: int.
        max_length: int > 0. The most tokens, the end token included.
    """

    vocabulary_size: int | None
    eos_id: int
    pad_id: int
    max_length: int


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

    A constraint that differs from sentence to sentence names what it has to
    be told in `inputs`, and finds it in `hypotheses.inputs`. A model that
    searches with it has these inputs beside its source.

    Attributes:
        inputs: dict of str to int > 0. Names of int32 inputs, and how many
            axes each has, the first being B. Rows are padded behind with
            `pad_id`; nothing but padding constrains nothing.

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

    inputs: dict[str, int] = {}

    def check(self, vocabulary_size: int, eos_id: int, max_length: int) -> None:
        """Refuses a search that the constraint does not fit, before it runs."""

    def check_inputs(self, inputs: dict[str, Any], limits: Limits) -> None:
        """Refuses what it is told, NumPy arrays, before anything is searched.

        That ids are of the vocabulary has been checked.
        """

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


def join_inputs(constraints: Sequence[Constraint]) -> dict[str, int]:
    """Returns the `inputs` of all constraints; several may share one."""
    joined: dict[str, int] = {}
    for constraint in constraints:
        for name, axes in constraint.inputs.items():
            if joined.setdefault(name, axes) != axes:
                rule = f"of {joined[name]} axes, as another constraint has it"
                checks.fail(f"inputs[{name!r}]", rule, axes)
    return joined


def check_names(
    inputs: dict[str, Tensor] | None, wanted: dict[str, int]
) -> dict[str, Tensor]:
    """Returns the inputs of a search, refused where one is missing."""
    inputs = {} if inputs is None else inputs
    if set(inputs) != set(wanted):
        rule = f"a dict of what its constraints are told, {list(wanted)}"
        checks.fail("inputs", rule, list(inputs))
    return {name: ops.cast(inputs[name], "int32") for name in wanted}
