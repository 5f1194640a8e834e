"""Several attentions over one memory, side by side."""

from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.attention import Attention

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class ParallelAttention(Attention):
    """Asks several attentions, and puts what they find side by side.

    Unlike the heads of `MultiHeadAttention`, each sees the whole query and
    finds a sum of the memory as it is: several additive attentions are the
    heads of legacy_seq2seq.

    Masking: as each of them does.

    Args:
        attentions: list of `Attention` layers, of any kind that does not
            read what the steps before left.

    Call arguments:
        query: float `(B, T, Q)`.
        value: float `(B, S, D)`. The memory.
        mask: bool `(B, S)` or None. True where the memory is real.
        training: bool or None.

    Returns:
        context: float `(B, T, C)`, with C the sum of the sizes of all.
        weights: float `(B, T, S)`, in [0, 1], the mean over all.

    Raises:
        TypeError: one of `attentions` is no `Attention`.
        ValueError: there is none, or one with a state from step to step.

    Example:

    >>> import keras_s2s as s2s
    >>> heads = [s2s.layers.AdditiveAttention(16) for _ in range(2)]
    >>> attention = ParallelAttention(heads)
    >>> context, _ = attention(ops.ones((1, 3, 8)), ops.ones((1, 5, 4)))
    >>> tuple(context.shape)
    (1, 3, 8)

    Source: Vinyals et al., 2015, section 2.2 (the attention of
    legacy_seq2seq), https://arxiv.org/abs/1412.7449
    """

    def __init__(self, attentions: Sequence[Attention], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        attentions = [
            keras.saving.deserialize_keras_object(layer)
            if isinstance(layer, dict)  # from a config
            else layer
            for layer in attentions
        ]
        if not attentions:
            checks.fail("attentions", "a list of at least one", attentions)
        for layer in attentions:
            rule = "a list of keras_s2s.layers.Attention"
            checks.check_instance("attentions", layer, Attention, rule)
            if layer.is_stateful:
                rule = "without a state from step to step"
                checks.fail("attentions", rule, layer.name)
        self.attentions = attentions

    @property
    def dropout(self) -> float:
        """The largest share of weights that one of them sets to 0."""
        return max(getattr(layer, "dropout", 0.0) for layer in self.attentions)

    def build_weights(self, query_dim: int, value_dim: int) -> None:
        for layer in self.attentions:
            if not layer.built:
                layer.build((query_dim,), (value_dim,))

    def context_dim(self, query_dim: int, value_dim: int) -> int:
        """Returns the size of all contexts together."""
        return sum(
            layer.context_dim(query_dim, value_dim) for layer in self.attentions
        )

    def prepare(self, value: Tensor, mask: Tensor) -> dict[str, Any]:
        return {
            "parts": [layer.prepare(value, mask) for layer in self.attentions]
        }

    def attend(
        self, query: Tensor, prepared: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        found = [
            layer.attend(query, part)
            for layer, part in zip(self.attentions, prepared["parts"])
        ]
        contexts, weights = zip(*found)
        context = ops.concatenate(contexts, axis=-1)
        return context, ops.mean(ops.stack(weights), axis=0)

    def get_config(self) -> dict[str, Any]:
        attentions = [
            keras.saving.serialize_keras_object(layer)
            for layer in self.attentions
        ]
        return {**super().get_config(), "attentions": attentions}
