"""A decoder that copies words of the source."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.decoder import attends
from keras_s2s.layers.wrapped_decoder import WrappedDecoder
from keras_s2s.recurrence import linear

Tensor: TypeAlias = Any

# The least probability. It keeps what cannot be written, a word that is not
# in the source, finite in every dtype, and what is possible far above it.
LEAST = 1e-30


@keras.saving.register_keras_serializable(package="keras_s2s")
class PointerGenerator(WrappedDecoder):
    """Lets a decoder with attention copy words of the source.

    Each word is written or copied:
    `P(w) = p P_decoder(w) + (1 - p) sum of a_s over all s with x_s = w`,
    with a the attention weights (those of a Transformer are the last layer's,
    the mean over its heads), x the source, and
    `p = sigmoid(w . [c; h; y] + b)` from the context c, the sum of the memory
    weighted by a; h, what the output layer sees; and y, the last token.

    Words of a source that are not in the vocabulary have extended ids: V,
    V + 1, ... in the order of their first occurrence in that source, at most
    `max_copied`, M; the rest have `unk_id`. The decoder reads all of them as
    `unk_id`, writes none, and copies each as itself. An encoder with an
    `unk_id`, of the same vocabulary, does likewise, and puts `source_ids`
    into the memory. So losses, metrics and searches see one vocabulary of
    V + M ids, and logits that are log-probabilities.

    They are computed in float32 at least. No probability is below 1e-30, at
    which its gradient is 0: a label that is neither in the vocabulary nor in
    the source costs 69 nats and teaches nothing, and so does the share that
    label smoothing gives to ids that no source word has.

    Masking: padding of the source is never copied.

    Args:
        decoder: `RNNDecoder` with attention, `TransformerDecoder`, or
            another with `attended_features`.
        max_copied: int >= 0. M, the most words outside the vocabulary that
            can be copied from a source. 0: words of the vocabulary alone.
        unk_id: int in [0, V). Default: 1.

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos, each below V + M.
        memory: dict, an encoder's result, with `source_ids`.
        training: bool or None. Whether dropout acts.

    Returns:
        Log-probabilities, float `(B, T, V + M)`.

    Raises:
        TypeError: `decoder` is no `Decoder`.
        ValueError: `decoder` has no attention; the memory no `source_ids`; a
            number is out of range.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, 8, units=16, unk_id=1)
    >>> decoder = s2s.layers.RNNDecoder(20, 8, units=16)
    >>> decoder = s2s.layers.PointerGenerator(decoder, max_copied=5)
    >>> memory = encoder(keras.ops.convert_to_tensor([[5, 20, 21, 20, 3]]))
    >>> target_ids = keras.ops.convert_to_tensor([[2, 20, 6]])
    >>> tuple(decoder(target_ids, memory).shape)
    (1, 3, 25)

    Source: See et al., 2017, eq. 8 and 9, https://arxiv.org/abs/1704.04368
    """

    def __init__(
        self, decoder: Decoder, max_copied: int, unk_id: int = 1, **kwargs: Any
    ) -> None:
        checks.check_instance(
            "decoder", decoder, Decoder, "a keras_s2s.layers.Decoder"
        )
        if not attends(decoder):
            checks.fail("decoder", "one with attention", decoder)
        checks.check_integer("max_copied", max_copied, 0)
        checks.check_ids("unk_id", unk_id, decoder.vocabulary_size)
        super().__init__(decoder, **kwargs)
        self.max_copied = max_copied
        self.unk_id = unk_id
        self.gate = keras.layers.Dense(1, dtype=self.dtype_policy, name="gate")

    @property
    def vocabulary_size(self) -> int:
        """Number of ids that it writes, V + M."""
        return self.decoder.vocabulary_size + self.max_copied

    @property
    def embedding(self) -> keras.layers.Layer:
        """That of the decoder."""
        return self.decoder.embedding

    def build(self, target_ids_shape: tuple, memory_shape: dict) -> None:
        if "source_ids" not in memory_shape:
            rule = "one with `source_ids`, as of an encoder with an `unk_id`"
            checks.fail("memory", rule, sorted(memory_shape))
        if not self.decoder.built:
            self.decoder.build(target_ids_shape, memory_shape)
        size = memory_shape["outputs"][-1] + self.decoder.features_dim
        self.gate.build((None, size + self.embedding.output_dim))

    def call(
        self,
        target_ids: Tensor,
        memory: dict[str, Any],
        training: bool | None = None,
    ) -> Tensor:
        target_ids = self._known_ids(target_ids)
        found = self.decoder.attended_features(target_ids, memory, training)
        features, weights = found["features"], found["weights"]
        logits = self.decoder.project(features)
        share = self._share(features, weights, target_ids, memory)
        return self._mix(logits, share, weights, memory["source_ids"])

    def prepare(self, memory: dict[str, Any]) -> dict[str, Any]:
        return {
            "decoder": self.decoder.prepare(memory),
            "outputs": memory["outputs"],
            "source_ids": memory["source_ids"],
        }

    def initial_state(
        self, memory: dict[str, Any], beam_size: int, max_length: int
    ) -> dict[str, Any]:
        return self.decoder.initial_state(memory, beam_size, max_length)

    def step(
        self,
        token_ids: Tensor,
        state: dict[str, Any],
        context: dict[str, Any],
        position: Tensor,
    ) -> tuple[Tensor, dict[str, Any]]:
        token_ids = self._known_ids(token_ids)
        logits, new_state = self.decoder.step(
            token_ids, {**state, "features": None}, context["decoder"], position
        )
        features = new_state.pop("features")
        weights = new_state["alignment"]
        share = self._share(features, weights, token_ids, context)
        mixed = self._mix(logits, share, weights, context["source_ids"])
        return mixed, new_state

    def _known_ids(self, ids: Tensor) -> Tensor:
        size = self.decoder.vocabulary_size
        return masking.known_ids(ids, size, self.unk_id)

    def _share(
        self, features: Tensor, weights: Tensor, ids: Tensor, memory: dict
    ) -> Tensor:
        """Float `(B, T, 1)`: log p - log(1 - p)."""
        context = linear(weights, memory["outputs"])
        seen = [context, features, self.embedding(ids)]
        return self.gate(ops.concatenate(seen, axis=-1))

    def _mix(
        self, logits: Tensor, share: Tensor, weights: Tensor, source_ids: Tensor
    ) -> Tensor:
        """Logits `(B, T, V)`, weights `(B, T, S)` -> `(B, T, V + M)`."""
        dtype = keras.backend.result_type(logits.dtype, "float32")
        logits, share, weights = (
            ops.cast(tensor, dtype) for tensor in (logits, share, weights)
        )
        written = ops.softmax(logits, axis=-1) * ops.sigmoid(share)
        written = ops.pad(written, [(0, 0), (0, 0), (0, self.max_copied)])
        copied = sum_by_id(
            weights * ops.sigmoid(-share),
            masking.known_ids(source_ids, self.vocabulary_size, self.unk_id),
            self.vocabulary_size,
        )
        mixed = ops.log(ops.maximum(written + copied, LEAST))
        return ops.cast(mixed, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = {"max_copied": self.max_copied, "unk_id": self.unk_id}
        return {**super().get_config(), **config}


def sum_by_id(weights: Tensor, ids: Tensor, size: int) -> Tensor:
    """Adds up the weights of each id.

    Args:
        weights: float `(B, T, S)`.
        ids: int32 `(B, S)`, each in [0, size).
        size: int > 0.

    Returns:
        Float `(B, T, size)`.
    """
    rows, length, _ = ops.shape(weights)
    starts = ops.arange(rows * length, dtype="int32") * size
    places = ops.expand_dims(ids, 1) + ops.reshape(starts, (rows, length, 1))
    sums = ops.segment_sum(
        ops.reshape(weights, (-1,)),
        ops.reshape(places, (-1,)),
        num_segments=rows * length * size,
    )
    return ops.reshape(sums, (rows, length, size))
