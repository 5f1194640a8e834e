"""The encoders, and the decoders, of several models as one layer each."""

from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder

Tensor: TypeAlias = Any

AVERAGES = ("log_probabilities", "probabilities")


class Members(keras.layers.Layer):
    """Base of the layers of an ensemble, which hold built ones.

    Args:
        members: list of built layers that fit together.
        names: attributes of the first that stand for all, where it has them.
    """

    def __init__(self, members: Sequence[Any], names: Sequence[str]) -> None:
        # Each member casts what it gets itself.
        super().__init__(dtype="float32", autocast=False)
        self.members = list(members)
        for name in names:
            if hasattr(members[0], name):
                setattr(self, name, getattr(members[0], name))
        self.built = True

    @property
    def longest(self) -> int | None:
        """The most tokens that all of them take, None if any number."""
        limits = [getattr(member, "longest", None) for member in self.members]
        return min((one for one in limits if one is not None), default=None)

    @property
    def supports_jit(self) -> bool:
        """Whether XLA is to compile it, as for all members."""
        return all(member.supports_jit for member in self.members)

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        # Keras sets it before there are members.
        for member in getattr(self, "members", []):
            member.supports_jit = value


class EnsembleEncoder(Members, Encoder):
    """Reads one source with several encoders, each into a memory of its own.

    Args:
        members: list of built `Encoder` layers of the same input.

    Call arguments:
        source: what each of them reads.
        training: bool or None.

    Returns:
        Memory of the first of them, with `members`, the list of all.
    """

    def __init__(self, members: Sequence[Encoder]) -> None:
        super().__init__(members, ("vocabulary_size", "vector_dim", "pad_id"))

    @property
    def encoders(self) -> dict[str, Encoder]:
        """Those of the first member, where it reads several sources."""
        return self.members[0].encoders

    @property
    def input_name(self) -> str:
        """As that of the first member."""
        return self.members[0].input_name

    def make_input(self) -> Any:
        """Returns the symbolic input of a functional model."""
        return self.members[0].make_input()

    def memory_length(self, source_length: Any) -> int:
        """Returns how many positions the memory of the first one has."""
        return self.members[0].memory_length(source_length)

    def call(self, source: Any, training: bool | None = None) -> dict:
        return _join(
            [member(source, training=training) for member in self.members]
        )

    def compute_output_spec(
        self, source: Any, training: bool | None = None
    ) -> dict[str, Any]:
        """Not from `call`, which Keras would try with any length it likes."""
        return _join(
            [
                member.compute_output_spec(source, training=training)
                for member in self.members
            ]
        )


class EnsembleDecoder(Members, Decoder):
    """Averages what several decoders write, each over a memory of its own.

    Its state has a `members` entry, the states of all, from which theirs
    named `cache` are taken out, for a search leaves those where they are.

    Args:
        members: list of built `Decoder` layers of one vocabulary.
        shares: list of float > 0 that sum to 1. The weight of each.
        average: "log_probabilities" or "probabilities".
        are_aligned: bool. Whether the memories have the same positions:
            then `alignment` is the average, if all members attend.

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos.
        memory: dict, what `EnsembleEncoder` returns.
        training: bool or None.

    Returns:
        Logits, float `(B, T, V)`, float32 at least.
    """

    def __init__(
        self,
        members: Sequence[Decoder],
        shares: Sequence[float],
        average: str,
        are_aligned: bool,
    ) -> None:
        super().__init__(members, ("vocabulary_size", "max_copied"))
        self.shares = list(shares)
        self.average = average
        self.are_aligned = are_aligned

    def call(
        self, target_ids: Tensor, memory: dict, training: bool | None = None
    ) -> Tensor:
        return self._combine(
            [
                member(target_ids, one, training=training)
                for member, one in zip(self.members, memory["members"])
            ]
        )

    def prepare(self, memory: dict) -> list[Any]:
        return [
            member.prepare(one)
            for member, one in zip(self.members, memory["members"])
        ]

    def initial_state(
        self, memory: dict, beam_size: int, max_length: int
    ) -> dict[str, Any]:
        return self._pack(
            [
                member.initial_state(one, beam_size, max_length)
                for member, one in zip(self.members, memory["members"])
            ]
        )

    def step(
        self, token_ids: Tensor, state: dict, context: list, position: Tensor
    ) -> tuple[Tensor, dict]:
        logits, states = zip(
            *[
                member.step(token_ids, own, its_context, position)
                for member, own, its_context in zip(
                    self.members, self._unpack(state), context
                )
            ]
        )
        packed = self._pack(states)
        if "alignment" not in state:
            packed.pop("alignment", None)
        return self._combine(logits), packed

    def _pack(self, states: Sequence[Any]) -> dict[str, Any]:
        """The states of all members -> one."""
        packed: dict[str, Any] = {"members": [], "cache": {}}
        alignments = []
        for number, state in enumerate(states):
            if isinstance(state, dict):
                state = dict(state)
                alignment = state.pop("alignment", None)
                if alignment is not None:
                    alignments.append(alignment)
                if "cache" in state:
                    packed["cache"][str(number)] = state.pop("cache")
            packed["members"].append(state)
        lengths = {alignment.shape[2] for alignment in alignments}
        all_attend = len(alignments) == len(states)
        if self.are_aligned and all_attend and len(lengths) == 1:
            packed["alignment"] = self._average(alignments)
        return packed

    def _unpack(self, state: dict[str, Any]) -> list[Any]:
        """What `_pack` made -> the states of all members.

        `alignment` is None: a step writes it and reads none.
        """
        states = []
        for number, own in enumerate(state["members"]):
            if isinstance(own, dict):
                own = dict(own)
                if "alignment" in state:
                    own["alignment"] = None
                if str(number) in state["cache"]:
                    own["cache"] = state["cache"][str(number)]
            states.append(own)
        return states

    def _combine(self, logits: Sequence[Tensor]) -> Tensor:
        """Logits `(..., V)` of each member -> of all."""
        if self.average == "log_probabilities":
            # What normalizes each is the same for all tokens.
            return self._average(logits)
        dtype = _common_dtype(logits)
        shares = [
            ops.log_softmax(ops.cast(one, dtype), axis=-1) + np.log(share)
            for one, share in zip(logits, self.shares)
        ]
        return ops.logsumexp(ops.stack(shares), axis=0)

    def _average(self, tensors: Sequence[Tensor]) -> Tensor:
        dtype = _common_dtype(tensors)
        return sum(
            ops.cast(tensor, dtype) * share
            for tensor, share in zip(tensors, self.shares)
        )

    def compute_output_spec(
        self, target_ids: Any, memory: Any, training: bool | None = None
    ) -> Any:
        """Not from `call`, which Keras would try with any length it likes."""
        made = [
            member.compute_output_spec(target_ids, one, training=training)
            for member, one in zip(self.members, memory["members"])
        ]
        return keras.KerasTensor(made[0].shape, dtype=_common_dtype(made))


def _join(memories: list[dict[str, Any]]) -> dict[str, Any]:
    # On torch Keras sorts the entries of the outermost dict alone.
    members = [dict(sorted(memory.items())) for memory in memories]
    return {**memories[0], "members": members}


def _common_dtype(tensors: Sequence[Tensor]) -> str:
    """That of the most precise, float32 at least."""
    dtypes = [keras.backend.standardize_dtype(one.dtype) for one in tensors]
    return keras.backend.result_type(*dtypes, "float32")
