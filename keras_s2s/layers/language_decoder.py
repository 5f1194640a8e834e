"""Decoders without a memory: what they write follows what they read before."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.carried_state import CarriesState
from keras_s2s.layers.carried_state import make_resets_input
from keras_s2s.layers.conditional_stack import count_states
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.rnn_decoder import RNNDecoder
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.layers.wrapped_decoder import WrappedDecoder

Tensor: TypeAlias = Any


def check_without_memory(decoder: Any) -> None:
    """Refuses a decoder of this package that reads more than a first state."""
    rule = "a keras_s2s.layers.RNNDecoder or TransformerDecoder, of ids"
    kinds = RNNDecoder | TransformerDecoder
    checks.check_instance("decoder", decoder, kinds, rule)
    if hasattr(decoder, "vector_dim"):
        checks.fail("decoder", rule, decoder.name)
    needed = {"attention": None, "context": None, "bridge": "pass"}
    if isinstance(decoder, TransformerDecoder):
        needed = {"cross_attention": False}
    found = {name: getattr(decoder, name) for name in needed}
    if found != needed:
        rule = f"one without a memory, with {needed}"
        checks.fail("decoder", rule, found)


class LanguageDecoder(WrappedDecoder):
    """Base of what writes by a decoder without a memory.

    Args:
        decoder: `RNNDecoder`, with attention=None, context=None and
            bridge="pass", or `TransformerDecoder`, with
            cross_attention=False.

    Raises:
        TypeError: `decoder` is neither.
        ValueError: it reads a memory.
    """

    def __init__(self, decoder: Decoder, **kwargs: Any) -> None:
        check_without_memory(decoder)
        super().__init__(decoder, **kwargs)

    @property
    def is_recurrent(self) -> bool:
        """Whether it goes on from a state, and not from all that was read."""
        return isinstance(self.decoder, RNNDecoder)

    @property
    def state_sizes(self) -> list[int]:
        """The size of each tensor of the state."""
        if not self.is_recurrent:
            return []
        decoder = self.decoder
        count = count_states(decoder.cell, decoder.num_layers)
        return [decoder.units] * count

    def build(self, target_ids_shape: tuple, memory_shape: dict) -> None:
        if not self.decoder.built:
            state = [(None, size) for size in self.state_sizes]
            self.decoder.build(target_ids_shape, {"state": state})

    def zeros(self, rows: Any) -> list[Tensor]:
        """The state where nothing was read: list of float `(B, size)`."""
        return [
            ops.zeros((rows, size), self.compute_dtype)
            for size in self.state_sizes
        ]

    def begin(self, ids: Tensor, training: bool | None) -> Tensor:
        """Ids `(B, T)`, with nothing before them -> float `(B, T, R)`."""
        state = self.zeros(ops.shape(ids)[0])
        return self.decoder.features(ids, {"state": state}, training)

    def read(
        self, ids: Tensor, state: list[Tensor], training: bool | None
    ) -> dict[str, Any]:
        """Ids `(B, T)` -> `features`, `(B, T, R)`, and the next `state`.

        Where it is recurrent.
        """
        return self.decoder.attended_features(
            ids, {"state": state}, training, keeps_weights=False, carries=True
        )

    def project(self, features: Tensor) -> Tensor:
        """Float `(..., R)` -> logits `(..., V)`."""
        return self.decoder.project(features)


@keras.saving.register_keras_serializable(package="keras_s2s")
class ResetEncoder(Encoder):
    """Hands on which rows begin anew, in the place of a memory.

    Call arguments:
        resets: bool `(B,)`.

    Returns:
        Dict of `resets`.
    """

    def make_input(self) -> keras.KerasTensor:
        """Returns the symbolic input of a functional model."""
        return make_resets_input()

    def call(
        self, resets: Tensor, training: bool | None = None
    ) -> dict[str, Tensor]:
        return {"resets": resets}


@keras.saving.register_keras_serializable(package="keras_s2s")
class CarryingDecoder(CarriesState, LanguageDecoder):
    """Goes on, in each row, from the state that the batch before left.

    Gradients end where a batch begins.

    Args:
        decoder: as in `LanguageDecoder`.
        batch_size: int > 0 or None. B, which then is the same for all
            batches. None: nothing is carried, all rows begin anew.
            Default: None.

    Call arguments:
        target_ids: int32 `(B, T)`.
        memory: dict of `resets`, bool `(B,)`: which rows begin anew.
        training: bool or None. Whether dropout acts.

    Returns:
        Logits, float `(B, T, V)`.

    Raises:
        ValueError: a batch of another size.

    Source: Zaremba et al., 2014, section 4.1,
    https://arxiv.org/abs/1409.2329; Williams and Peng, 1990 (truncated
    backpropagation), https://doi.org/10.1162/neco.1990.2.4.490
    """

    def __init__(
        self,
        decoder: Decoder,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(decoder, **kwargs)
        self.batch_size = batch_size

    def build(self, target_ids_shape: tuple, memory_shape: dict) -> None:
        super().build(target_ids_shape, memory_shape)
        self.build_carried(self.state_sizes)

    def features(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> Tensor:
        """As `call`, but float `(B, T, R)`: what the output layer sees."""
        if not self.batch_size:
            return self.begin(target_ids, training)
        state = self.resume(target_ids.shape[0], memory["resets"])
        found = self.read(target_ids, state, training)
        self.carry(found["state"])
        return found["features"]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "batch_size": self.batch_size}
