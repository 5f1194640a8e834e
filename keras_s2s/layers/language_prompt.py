"""Prompts: what a language model reads before it writes."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import masking
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.language_decoder import LanguageDecoder
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class PromptEncoder(Encoder):
    """Hands a prompt on as it is, for `PromptedDecoder` to read.

    Masking: a prompt ends with its last token that is not padding; it may
    have none.

    Args:
        vocabulary_size: int > 0.
        pad_id: int >= 0. Default: 0.
        longest: int >= 0 or None. The most tokens of a prompt. Default: any
            number.

    Call arguments:
        source_ids: int32 `(B, S)`.

    Returns:
        Memory, a dict of `source_ids`; `mask`, bool `(B, S)`; and `outputs`,
        float `(B, S, 1)`, which nobody reads.
    """

    is_prompt = True

    def __init__(
        self,
        vocabulary_size: int,
        pad_id: int = 0,
        longest: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.pad_id = pad_id
        self.longest = longest

    def call(
        self, source_ids: Tensor, training: bool | None = None
    ) -> dict[str, Tensor]:
        mask = masking.padding_mask(source_ids, self.pad_id)
        outputs = ops.cast(ops.expand_dims(mask, -1), self.compute_dtype)
        return {"outputs": outputs, "mask": mask, "source_ids": source_ids}

    def get_config(self) -> dict[str, Any]:
        config = {
            "vocabulary_size": self.vocabulary_size,
            "pad_id": self.pad_id,
            "longest": self.longest,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class PromptedDecoder(LanguageDecoder):
    """Writes what follows bos and a prompt.

    A search begins behind bos and the prompt but for its last token, or but
    for bos where there is no prompt. That token is fed where a target has its
    bos, so that each target token is predicted once.

    Args:
        decoder: as in `LanguageDecoder`.
        bos_id: int >= 0. What stands before a prompt.
        max_length: int > 0 or None. The most tokens that follow, where the
            decoder knows no more positions. Default: None.

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos. What follows.
        memory: dict, a `PromptEncoder`'s result.
        training: bool or None. Whether dropout acts.

    Returns:
        Logits, float `(B, T, V)`.
    """

    def __init__(
        self,
        decoder: Decoder,
        bos_id: int,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(decoder, **kwargs)
        self.bos_id = bos_id
        self.max_length = max_length

    @property
    def longest(self) -> int | None:
        """The most tokens that it takes, None if any number."""
        return self.max_length if super().longest else None

    def _find_last(self, memory: dict[str, Any]) -> tuple[Tensor, ...]:
        """Returns bos and prompt, `(B, S + 1)`, and of each row the place of
        the last token and itself, `(B, 1)`."""
        ids, mask = memory["source_ids"], memory["mask"]
        ids = ops.pad(ids, [(0, 0), (1, 0)], constant_values=self.bos_id)
        steps = ops.arange(1, ops.shape(mask)[1] + 1, dtype="int32")
        steps = ops.where(mask, steps, 0)
        place = ops.max(steps, axis=1, keepdims=True, initial=0)
        return ids, place, gather_beams(ids, place)

    def features(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> Tensor:
        """As `call`, but float `(B, T, R)`: what the output layer sees."""
        ids, place, _ = self._find_last(memory)
        read, length = ops.shape(ids)[1], ops.shape(target_ids)[1]
        # In each row the target, but for its bos, right behind the prompt.
        steps = ops.arange(read + length - 1, dtype="int32")
        target_ids = ops.cast(target_ids, ids.dtype)
        behind = ops.minimum(ops.maximum(steps - place, 0), length - 1)
        written = gather_beams(target_ids, behind)
        ids = ops.concatenate([ids, target_ids[:, 1:]], axis=1)
        ids = ops.where(steps <= place, ids, written)
        found = self.begin(ids, training)
        own = ops.arange(length, dtype="int32") + place
        return gather_beams(found, own)

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        ids, place, last = self._find_last(memory)
        if self.is_recurrent:
            return {"last": last}
        before = self.decoder.read(ids, _is_before(ids, place))
        return {"last": last, **self.decoder.prepare(before)}

    def initial_state(
        self, memory: dict[str, Any], beam_size: int, max_length: int
    ) -> dict[str, Any]:
        if self.is_recurrent:
            ids, place, _ = self._find_last(memory)
            ids = ops.where(_is_before(ids, place), ids, self.decoder.pad_id)
            zeros = self.zeros(ops.shape(ids)[0])
            state = self.read(ids, zeros, False)["state"]
            # A row of only padding is read as one token.
            memory = {"state": [ops.where(place > 0, s, 0.0) for s in state]}
        return self.decoder.initial_state(memory, beam_size, max_length)

    def step(
        self,
        token_ids: Tensor,
        state: dict[str, Any],
        context: dict[str, Any],
        position: Tensor,
    ) -> tuple[Tensor, dict[str, Any]]:
        last = ops.cast(context["last"], token_ids.dtype)
        is_first = ops.logical_and(ops.equal(position, 0), token_ids >= 0)
        token_ids = ops.where(is_first, last, token_ids)
        return self.decoder.step(token_ids, state, context, position)

    def get_config(self) -> dict[str, Any]:
        config = {"bos_id": self.bos_id, "max_length": self.max_length}
        return {**super().get_config(), **config}


def _is_before(ids: Tensor, place: Tensor) -> Tensor:
    """Bool `(B, S)`: whether an id stands before `place`, int32 `(B, 1)`."""
    return ops.arange(ops.shape(ids)[1], dtype="int32") < place
