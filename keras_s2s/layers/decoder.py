"""What users subclass to bring another decoder."""

from typing import Any
from typing import TypeAlias

import keras

Tensor: TypeAlias = Any


class Decoder(keras.layers.Layer):
    """Maps a target and the memory of its source to logits.

    A decoder has two faces that share all weights and must agree: `call`
    runs a whole target, for training and scoring; `step` runs one position
    for K hypotheses a sentence, for search. The beam axis is a query axis:
    the memory keeps its shape `(B, S, D)` in both.

    Subclasses write `call`, `prepare`, `initial_state` and `step`. One of
    something else than ids overrides `make_input` as well.
    """

    def get_build_config(self) -> None:
        """None: whatever model is loaded calls its decoder, which builds it.

        So a subclass needs no `build` to be saved and loaded.
        """

    def make_input(self) -> keras.KerasTensor:
        """Returns the symbolic input of a functional model."""
        return keras.Input((None,), dtype="int32", name="target_ids")

    def call(
        self, target_ids: Tensor, memory: dict, training: bool | None = None
    ) -> Tensor:
        """Int32 `(B, T)`, beginning with bos, and memory -> `(B, T, V)`.

        Where there is `features`, what `project` makes of them.
        """
        if type(self).features is Decoder.features:
            raise NotImplementedError(_missing(self, "call"))
        return self.project(self.features(target_ids, memory, training))

    def features(
        self, target_ids: Tensor, memory: dict, training: bool | None = None
    ) -> Tensor:
        """As `call`, up to the output layer: float `(B, T, R)`.

        Optional, with `project`: training then computes no logits of padding.
        """
        raise NotImplementedError(_missing(self, "features"))

    def project(self, features: Tensor) -> Tensor:
        """The output layer: float `(..., R)` -> logits `(..., V)`."""
        raise NotImplementedError(_missing(self, "project"))

    def attended_features(
        self, target_ids: Tensor, memory: dict, training: bool | None = None
    ) -> dict[str, Tensor]:
        """A dict of `features` and of `weights`, float `(B, T, S)`.

        Optional: where each position looks in the memory, which a guided
        alignment teaches. `PointerGenerator` needs it to copy, with
        `embedding`, `features_dim`, which is R, and a `step` that puts the
        features `(B, K, R)` into an entry `features` of the state, if there
        is one, beside those weights as `alignment`.
        """
        raise NotImplementedError(_missing(self, "attended_features"))

    def prepare(self, memory: dict) -> Any:
        """Memory -> context: nested tensors `(B, ...)`.

        What every step reads and none changes.
        """
        raise NotImplementedError(_missing(self, "prepare"))

    def initial_state(
        self, memory: dict, beam_size: int, max_length: int
    ) -> Any:
        """Memory -> the first state: nested tensors `(B, K, ...)`.

        An entry named `alignment`, `(B, K, S)`, is recorded by the search.
        """
        raise NotImplementedError(_missing(self, "initial_state"))

    def step(
        self, token_ids: Tensor, state: Any, context: Any, position: Tensor
    ) -> tuple[Tensor, Any]:
        """Int32 `(B, K)` -> logits `(B, K, V)` and the next state."""
        raise NotImplementedError(_missing(self, "step"))


def attends(decoder: Decoder) -> bool:
    """Whether a decoder has `attended_features`, and attention for them."""
    is_written = (
        type(decoder).attended_features is not Decoder.attended_features
    )
    return (
        is_written
        and getattr(decoder, "attention", "own") is not None
        and getattr(decoder, "cross_attention", True)
    )


def _missing(decoder: Decoder, name: str) -> str:
    return f"{type(decoder).__name__} must implement `{name}`."
