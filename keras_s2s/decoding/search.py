"""The base class of every search, and the one place that calls a step."""

import copy
import dataclasses
import numbers
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.candidates import write_step
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.constraint import Limits
from keras_s2s.decoding.constraint import check_constraints
from keras_s2s.decoding.constraint import check_names
from keras_s2s.decoding.constraint import join_inputs
from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.distribution import normalize
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Task:
    """What one call of a search is asked for."""

    batch_size: Any
    beam_size: int
    max_length: int
    bos_id: int
    eos_id: int
    pad_id: int
    record_alignments: bool
    inputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    source_lengths: Any = None
    reads_alignments: bool = False
    memory_mask: Any = None

    @property
    def needs_alignments(self) -> bool:
        """Whether a state must have an alignment."""
        return self.record_alignments or self.reads_alignments

    def full(self, value: Any, dtype: str, *axes: Any) -> Tensor:
        """Returns a tensor `(B, K, *axes)` filled with `value`."""
        shape = (self.batch_size, self.beam_size, *axes)
        return ops.full(shape, value, dtype=dtype)


class Stepper:
    """Calls the step of the user on the flat list of its state tensors.

    A loop carries flat lists; the structure and the shapes that the state
    came with are restored here, so that no shape changes inside a loop but
    the length of a cache.
    Where something is constrained, the last of them are the tokens so far.
    """

    def __init__(
        self,
        step: Callable,
        state: Any,
        context: Any,
        task: Task,
        constraints: list[Constraint],
    ):
        self.step = step
        self.context = context
        self.task = task
        self.constraints = constraints
        self.structure = state
        flat = keras.tree.flatten_with_path(state)
        self.first = [ops.convert_to_tensor(leaf) for _, leaf in flat]
        names = [path[0] if path else None for path, _ in flat]
        # An alignment is there to be recorded: else no loop carries it.
        self.carried = [
            number
            for number, name in enumerate(names)
            if name != "alignment" or task.record_alignments
        ]
        self.moves = [names[number] != "cache" for number in self.carried]
        self.leaves = [self.first[number] for number in self.carried]
        self.shapes = [ops.shape(leaf) for leaf in self.leaves]
        for leaf, moves in zip(self.leaves, self.moves):
            if not moves and not _holds(leaf, task.max_length):
                checks.fail(
                    "state",
                    f"made with a cache (B, C, T, ...) of T >= max_length, "
                    f"{task.max_length}",
                    tuple(leaf.shape),
                )
            if moves and (
                len(leaf.shape) < 2
                or leaf.shape[1] not in (task.beam_size, None)
            ):
                checks.fail(
                    "state",
                    f"made of tensors (B, {task.beam_size}, ...)",
                    tuple(leaf.shape),
                )
        # A cache may get longer as it is filled.
        self.shapes = [
            shape if moves else (*shape[:2], -1, *shape[3:])
            for shape, moves in zip(self.shapes, self.moves)
        ]
        if task.needs_alignments:
            self.alignment_length = ops.shape(alignment_of(state))[2]
        if constraints:
            self.leaves.append(task.full(task.pad_id, "int32", task.max_length))
            self.moves.append(True)

    def __call__(
        self, token_ids: Tensor, leaves: list, position: Tensor
    ) -> tuple[Distribution, list, Tensor]:
        """Returns what may follow, the next leaves and the alignment."""
        flat = list(self.first)
        for number, leaf in zip(self.carried, leaves):
            flat[number] = leaf
        state = keras.tree.pack_sequence_as(self.structure, flat)
        logits, state = self.step(token_ids, state, self.context, position)
        self._check_logits(logits)
        rows = self.task.batch_size * self.task.beam_size
        logits = ops.reshape(logits, (rows, logits.shape[-1]))
        logits = ops.cast(logits, "float32")
        alignment = None
        if self.task.needs_alignments:
            alignment = ops.cast(alignment_of(state), "float32")
        flat = keras.tree.flatten(state)
        if len(flat) != len(self.first):
            checks.fail(
                "state",
                f"{len(self.first)} tensors after a step, as before it",
                len(flat),
            )
        next_leaves = [
            ops.reshape(flat[number], shape)
            for number, shape in zip(self.carried, self.shapes)
        ]
        if not self.constraints:
            return Distribution(logits), next_leaves, alignment
        ids = write_step(leaves[-1], position - 1, token_ids)
        distribution = self._restrict(logits, ids, position)
        return distribution, [*next_leaves, ids], alignment

    def _restrict(
        self, logits: Tensor, ids: Tensor, position: Tensor
    ) -> Distribution:
        task, size = self.task, logits.shape[-1]
        log_probs = normalize(logits)
        shape = (task.batch_size, task.beam_size, size)
        ranked = ops.reshape(log_probs, shape)
        hypotheses = Hypotheses(
            ids,
            position,
            task.eos_id,
            task.max_length,
            task.pad_id,
            task.inputs,
            task.source_lengths,
        )
        limits = Limits(
            size,
            task.eos_id,
            task.pad_id,
            task.max_length,
            tuple(self.constraints),
        )
        for constraint in self.constraints:
            constraint.check(limits)
            ranked = constraint.restrict(ranked, hypotheses)
        required = [one.progress(hypotheses) for one in self.constraints]
        return Distribution(
            ops.reshape(ops.cast(ranked, "float32"), (-1, size)),
            log_probs,
            next((one for one in required if one is not None), None),
        )

    def reorder(self, leaves: list, beams: Tensor) -> list:
        """Gives each beam the state of one of `beams` `(B, K)`."""
        return [
            gather_beams(leaf, beams) if moves else leaf
            for leaf, moves in zip(leaves, self.moves)
        ]

    def _check_logits(self, logits: Tensor) -> None:
        shape = tuple(logits.shape)
        beams = (self.task.beam_size, None)
        if len(shape) != 3 or shape[1] not in beams or shape[2] is None:
            rule = f"of shape (B, {self.task.beam_size}, V) with V known"
            checks.fail("logits", rule, shape)
        checks.check_ids("eos_id", self.task.eos_id, shape[2])


def _holds(cache: Tensor, max_length: int) -> bool:
    """Whether a tensor `(B, C, T, ...)` has room, as far as is known."""
    if len(cache.shape) < 3:
        return False
    return cache.shape[2] is None or cache.shape[2] >= max_length


def alignment_of(state: Any) -> Tensor:
    """Returns the entry `alignment` `(B, K, S)` of a state."""
    if not isinstance(state, dict) or "alignment" not in state:
        names = list(state) if isinstance(state, dict) else type(state)
        checks.fail(
            "state",
            "a dict with an entry `alignment`, for a search that records or "
            "weighs alignments",
            names,
        )
    return state["alignment"]


class Search:
    """Base class of the searches; a subclass defines `run`.

    A search knows no layer. It asks a function, `step`, for the logits of
    the next token of K hypotheses a sentence, and puts together the best N.

    Args:
        constraints: list of `Constraint`, or None. What may be generated.
            Default: None, anything.

    Attributes:
        beam_size: int > 0. K, the size of the beam axis of the state.
        num_hypotheses: int > 0. N, how many come back for a sentence.
        reads_alignments: bool. Whether alignments are part of the scores.
    """

    reads_alignments = False
    beam_size: int
    num_hypotheses: int

    def __init__(self, constraints: Sequence[Constraint] | None = None):
        self.constraints = check_constraints(constraints)

    @property
    def inputs(self) -> dict[str, int]:
        """What the constraints have to be told, as `Constraint.inputs`."""
        return join_inputs(self.constraints)

    def with_constraints(self, constraints: Sequence[Constraint]) -> "Search":
        """Returns the same search with more constraints, behind its own."""
        search = copy.copy(self)
        together = [*self.constraints, *check_constraints(constraints)]
        search.constraints = check_constraints(together)
        return search

    def search(
        self,
        step: Callable,
        state: Any,
        context: Any = None,
        *,
        batch_size: Any,
        max_length: int,
        bos_id: int,
        eos_id: int,
        pad_id: int,
        record_alignments: bool = False,
        inputs: dict[str, Any] | None = None,
        source_lengths: Any = None,
        memory_mask: Any = None,
    ) -> dict[str, Tensor]:
        """Searches for the best hypotheses of each sentence of a batch.

        A token with a logit of -inf is never generated, nor any from logits
        with a NaN. Where fewer than N hypotheses are possible, the places
        left have length 0, nothing but padding and a score of -inf.

        Args:
            step: callable `step(token_ids, state, context, position)`.
                `token_ids` is int32 `(B, K)`, `position` an int32 scalar
                tensor that counts from 0. Returns logits `(B, K, V)`, of any
                float dtype, V static, and the state that follows.
            state: nested dict, list or tuple of tensors `(B, K, ...)`, where
                K is `beam_size`; may be empty. Re-ordered when hypotheses
                are. Structure, shapes and dtypes stay the same over steps.
                Tensors below an entry `cache` of a dict are never re-ordered:
                what each beam wrote stays where it was written. They are
                `(B, C, T, ...)`, with T >= `max_length` places to write to.
            context: anything that every step reads and none changes.
                Default: None.
            batch_size: int >= 0, or a scalar int32 tensor. B.
            max_length: int > 0. T, the most tokens to generate, the end
                token included.
            bos_id: int >= 0. What the first step is fed.
            eos_id: int in [0, V). The end token.
            pad_id: int >= 0. What follows the end token.
            record_alignments: bool. Whether to record the entry `alignment`
                `(B, K, S)` of the state dict that follows each step. No
                step may read it. Default: False.
            inputs: dict of int32 tensors `(B, ...)`, or None. What the
                constraints have to be told of each sentence, by the names
                of their `inputs`. Default: None.
            source_lengths: int32 `(B,)`, or None. Tokens of each source,
                for constraints that ask. Default: None, not known.
            memory_mask: bool `(B, S)`, or None. Which positions of an
                alignment are real, and to be covered. Default: None, all.

        Returns:
            A dict, hypotheses best first, finished before unfinished:
            `ids` int32 `(B, N, T)`, without the first token, with the end
            token where there is one, `pad_id` behind it; `lengths` int32
            `(B, N)`, tokens, the end token included; `scores` float32
            `(B, N)`, what ranks; `token_scores` float32 `(B, N, T)`, the
            log-probability of each token in nats, 0 on padding; and
            `alignments` float32 `(B, N, T, S)`, 0 on padding, if recorded.

        Raises:
            ValueError, TypeError: an argument, or what `step` returned, is
                not as stated above.
        """
        checks.check_instance("step", step, Callable, "callable")
        if isinstance(batch_size, numbers.Number):
            checks.check_integer("batch_size", batch_size, 0)
        checks.check_positive("max_length", max_length)
        for name, value in [
            ("bos_id", bos_id),
            ("eos_id", eos_id),
            ("pad_id", pad_id),
        ]:
            checks.check_integer(name, value, 0)
        task = Task(
            batch_size,
            self.beam_size,
            max_length,
            bos_id,
            eos_id,
            pad_id,
            record_alignments,
            check_names(inputs, self.inputs),
            source_lengths,
            self.reads_alignments,
            memory_mask,
        )
        stepper = Stepper(step, state, context, task, self.constraints)
        return self.run(stepper, task)

    def run(self, stepper: Stepper, task: Task) -> dict[str, Tensor]:
        """Returns what `search` returns, its arguments being checked."""
        raise NotImplementedError

    def rank(
        self,
        log_probs: np.ndarray,
        lengths: np.ndarray,
        finished: np.ndarray,
        attention: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns the scores of whole hypotheses, `(B,)`: what ranks them.

        Args:
            log_probs: float `(B,)`, nats.
            lengths: int `(B,)`. Tokens, the end token included.
            finished: bool `(B,)`. Whether there is an end token.
            attention: float `(B, S)`. The sums of their alignments; for a
                search that `reads_alignments`. Default: None.
            mask: bool `(B, S)`. Which positions are real. Default: None, all.
        """
        return log_probs

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        constraints = [
            keras.saving.serialize_keras_object(constraint)
            for constraint in self.constraints
        ]
        return {"constraints": constraints}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Search":
        """Returns a search made from what `get_config` returned."""
        constraints = [
            keras.saving.deserialize_keras_object(constraint)
            for constraint in config.get("constraints", [])
        ]
        return cls(**{**config, "constraints": constraints})
