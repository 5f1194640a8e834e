"""Prompts: what a language model reads before it writes."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import masking
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.language_decoder import LanguageDecoder
from keras_s2s.layers.rnn_decoder import RNNDecoder

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class PromptEncoder(Encoder):
    """Hands a prompt on as it is, for `PromptedDecoder` to read.

    Masking: a prompt ends with its last token that is not padding; it may
    have none.

    Args:
        vocabulary_size: int > 0.
        pad_id: int >= 0. Default: 0.

    Call arguments:
        source_ids: int32 `(B, S)`.

    Returns:
        Memory, a dict of `source_ids`; `mask`, bool `(B, S)`; and `outputs`,
        float `(B, S, 1)`, which nobody reads.
    """

    is_prompt = True

    def __init__(
        self, vocabulary_size: int, pad_id: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.pad_id = pad_id

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
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class PromptedDecoder(LanguageDecoder):
    """Writes what follows bos and a prompt.

    The state is that behind bos and the prompt but for its last token, or but
    for bos where there is no prompt. That token is fed where a target has its
    bos, so that each target token is predicted once.

    Args:
        decoder: as in `LanguageDecoder`.
        bos_id: int >= 0. What stands before a prompt.

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos. What follows.
        memory: dict, a `PromptEncoder`'s result.
        training: bool or None. Whether dropout acts.

    Returns:
        Logits, float `(B, T, V)`.
    """

    def __init__(self, decoder: RNNDecoder, bos_id: int, **kwargs: Any) -> None:
        super().__init__(decoder, **kwargs)
        self.bos_id = bos_id

    def _find_last(self, memory: dict[str, Any]) -> tuple[Tensor, ...]:
        """Returns bos and prompt, `(B, S + 1)`, and of each row the place of
        the last token and itself, `(B, 1)`."""
        ids, mask = memory["source_ids"], memory["mask"]
        ids = ops.pad(ids, [(0, 0), (1, 0)], constant_values=self.bos_id)
        steps = ops.arange(1, ops.shape(mask)[1] + 1, dtype="int32")
        steps = ops.where(mask, steps, 0)
        place = ops.max(steps, axis=1, keepdims=True, initial=0)
        return ids, place, ops.take_along_axis(ids, place, axis=1)

    def _read_prompt(
        self, memory: dict[str, Any], training: bool | None
    ) -> list[Tensor]:
        """Returns the state before the last token."""
        ids, place, _ = self._find_last(memory)
        length = ops.shape(ids)[1]
        is_read = ops.arange(length, dtype="int32") < place
        ids = ops.where(is_read, ids, self.decoder.pad_id)
        zeros = self.zeros(ops.shape(ids)[0])
        state = self.read(ids, zeros, training)["state"]
        # A row of only padding is read as one token.
        return [ops.where(place > 0, one, 0.0) for one in state]

    def features(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> Tensor:
        """As `call`, but float `(B, T, R)`: what the output layer sees."""
        state = self._read_prompt(memory, training)
        _, _, last = self._find_last(memory)
        last = ops.cast(last, target_ids.dtype)
        target_ids = ops.concatenate([last, target_ids[:, 1:]], axis=1)
        return self.decoder.features(target_ids, {"state": state}, training)

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        return {"last": self._find_last(memory)[2]}

    def initial_state(
        self, memory: dict[str, Any], beam_size: int, max_length: int
    ) -> dict[str, Any]:
        memory = {"state": self._read_prompt(memory, False)}
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
        return self.decoder.step(token_ids, state, {}, position)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bos_id": self.bos_id}
