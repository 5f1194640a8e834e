"""A recurrent encoder of sources that are longer than any batch."""

from typing import Any
from typing import TypeAlias

import keras

from keras_s2s import checks
from keras_s2s.layers.carried_state import CarriesState
from keras_s2s.layers.carried_state import make_resets_input
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.rnn_encoder import RNNEncoder

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class StatefulEncoder(CarriesState, Encoder):
    """Reads sources piece by piece, each row from where the last one ended.

    What `stateful=True` is in `keras.layers.RNN`: row b of a batch goes on
    from the state that row b of the batch before left, in training,
    evaluation and prediction alike, so batches come in their order and have
    one size. A row that `resets` names begins at zeros, and so does every
    row after `reset_states`. Gradients end where a batch begins (truncated
    backpropagation through time). The state is saved with the weights.

    In a `Seq2Seq` the sources are a dict, `{"sources": {"source_ids",
    "resets"}, "target_ids"}`, as `data.StreamPairs` makes it. The decoder
    begins each piece from this encoder's state, through its bridge, and
    attends to that piece alone. To evaluate inside of an epoch, or batches
    of another size, take another `StatefulEncoder` of the same encoder:
    they share the weights, not the state.

    Masking: padding of a row stands behind every real token; the state that
    is carried is that behind the last of these. A row of only padding keeps
    its state.

    Args:
        encoder: `RNNEncoder` or `RNNVectorEncoder`, with
            bidirectional=False: backward, it would have to begin at the end.
        batch_size: int > 0. B, that of every batch.

    Call arguments:
        sources: dict of `source_ids`, int32 `(B, S)`, or `source_vectors`,
            float `(B, S, C)`; and `resets`, bool `(B,)`: which rows begin
            anew.
        training: bool or None. Whether dropout acts.

    Returns:
        Memory of the pieces, the dict that `encoder` returns; `state` is what
        is carried on.

    Raises:
        TypeError: `encoder` is no `RNNEncoder`.
        ValueError: it runs in both directions; `batch_size` is not positive;
            a batch has another size.

    Example:

    >>> import numpy as np
    >>> encoder = RNNEncoder(20, 8, 16, bidirectional=False)
    >>> stateful = StatefulEncoder(encoder, batch_size=1)
    >>> for piece, begins in (([[5, 6]], True), ([[7, 8]], False)):
    ...     sources = {"source_ids": np.array(piece)}
    ...     memory = stateful({**sources, "resets": np.array([begins])})
    >>> whole = encoder(np.array([[5, 6, 7, 8]]))
    >>> np.allclose(memory["state"][0], whole["state"][0], atol=1e-6)
    True

    Source: Williams and Peng, 1990 (truncated backpropagation),
    https://doi.org/10.1162/neco.1990.2.4.490
    """

    def __init__(
        self, encoder: RNNEncoder, batch_size: int, **kwargs: Any
    ) -> None:
        rule = "a keras_s2s.layers.RNNEncoder"
        checks.check_instance("encoder", encoder, RNNEncoder, rule)
        if any(len(cells) > 1 for cells in encoder.cells):
            rule = "one that runs forward alone, with bidirectional=False"
            checks.fail("encoder", rule, encoder.name)
        checks.check_positive("batch_size", batch_size)
        super().__init__(**{"dtype": encoder.dtype_policy, **kwargs})
        self.encoder = encoder
        self.batch_size = batch_size

    @property
    def source_name(self) -> str:
        """What the source is called among the inputs."""
        return getattr(self.encoder, "input_name", "source_ids")

    @property
    def encoders(self) -> dict[str, Any]:
        """What reads each of the inputs, if anything checks what it reads."""
        return {self.source_name: self.encoder, "resets": None}

    @property
    def supports_jit(self) -> bool:
        """Whether XLA is to compile it, as for the encoder."""
        return self.encoder.supports_jit

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        # Keras sets it before there is an encoder.
        if hasattr(self, "encoder"):
            self.encoder.supports_jit = value

    def make_input(self) -> dict[str, keras.KerasTensor]:
        """Returns the symbolic inputs of a functional model, by name."""
        source = self.encoder.make_input()
        return {self.source_name: source, "resets": make_resets_input()}

    def build(self, sources_shape: dict[str, tuple]) -> None:
        if not self.encoder.built:
            self.encoder.build(sources_shape[self.source_name])
        self.build_carried(
            [
                self.encoder.units
                for (cell,) in self.encoder.cells
                for _ in range(cell.num_states)
            ]
        )

    def call(
        self, sources: dict[str, Tensor], training: bool | None = None
    ) -> dict[str, Any]:
        source = sources[self.source_name]
        state = self.resume(source.shape[0], sources["resets"])
        mask = self.encoder.find_mask(source)
        memory = self.encoder.encode(source, mask, training, state)
        self.carry(memory["state"])
        return memory

    def compute_output_spec(
        self, sources: dict[str, Any], training: bool | None = None
    ) -> dict[str, Any]:
        """Not from `call`, which Keras would try with any size it likes."""
        source = sources[self.source_name]
        return self.encoder.compute_output_spec(source, training=training)

    def get_config(self) -> dict[str, Any]:
        config = {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "batch_size": self.batch_size,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "StatefulEncoder":
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})
