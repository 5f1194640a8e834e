"""Several encoders for one decoder."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.names import check_layers
from keras_s2s.layers.names import make_named_inputs
from keras_s2s.layers.names import read_layers
from keras_s2s.recurrence import gather_beams

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class ParallelEncoder(Encoder):
    """Reads several sources, each by an encoder of its own, into one memory.

    The positions of the memories stand one behind the other, in the order
    of `encoders`: the decoder attends all of them at once. The final states
    of all encoders that have some are one list.

    Masking: each encoder masks its own source. The real positions of all
    come first, so that padding is on the right also of the joined memory: it
    changes nothing, not even for attention that counts positions.

    Args:
        encoders: dict of `Encoder` layers, by name, all different.
        units: int > 0 or None. Projects the outputs of each encoder to that
            many units, D. Default: None; they are of one size then.

    Call arguments:
        sources: dict of what each encoder reads, by name: int32 `(B, S_n)`
            for text.
        training: bool or None.

    Returns:
        Memory, a dict of `outputs`, float `(B, S, D)`, S being the sum of
        the positions of all; `mask`, bool `(B, S)`; and `state`, if an
        encoder has one.

    Raises:
        TypeError: one of `encoders` is no `Encoder`.
        ValueError: there is none, or one comes twice; a name is none;
            outputs differ in size and there are no `units`.

    Example:

    >>> import keras_s2s as s2s
    >>> encoders = {
    ...     name: s2s.layers.RNNEncoder(20, embedding_dim=8, units=4)
    ...     for name in ("en", "fr")
    ... }
    >>> encoder = ParallelEncoder(encoders)
    >>> ids = keras.ops.convert_to_tensor([[5, 6, 3], [7, 3, 0]])
    >>> memory = encoder({"en": ids, "fr": ids[:, :2]})
    >>> tuple(memory["outputs"].shape)
    (2, 5, 8)

    Source: Zoph and Knight, 2016 (several sources),
    https://arxiv.org/abs/1601.00710; Libovicky et al., 2018, "flat" (one
    attention over all), https://arxiv.org/abs/1811.04716
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        units: int | None = None,
        **kwargs: Any,
    ) -> None:
        encoders = read_layers(encoders)
        check_layers("encoders", encoders, Encoder)
        if units is not None:
            checks.check_positive("units", units)
        super().__init__(**kwargs)
        self.encoders = encoders
        self.units = units
        self.projections = None
        if units is not None:
            # Named, for a saved model finds what is quantized by its path.
            self.projections = {
                name: keras.layers.Dense(
                    units, dtype=self.dtype_policy, name=f"projection_{name}"
                )
                for name in encoders
            }

    @property
    def supports_jit(self) -> bool:
        """Whether XLA is to compile it, as for all encoders."""
        return all(part.supports_jit for part in self.encoders.values())

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        # Keras sets it before there are encoders.
        for part in getattr(self, "encoders", {}).values():
            part.supports_jit = value

    @property
    def input_name(self) -> str:
        """What the dict of sources is called among the inputs of a model:
        as the sources are called, or "sources" if they differ."""
        return make_named_inputs(self.encoders, "source")[0]

    def make_input(self) -> dict[str, keras.KerasTensor]:
        """Returns a symbolic input of a functional model for each source."""
        return make_named_inputs(self.encoders, "source")[1]

    def memory_length(self, source_lengths: dict[str, int]) -> int:
        """Returns how many positions the memory of such sources has."""
        return sum(
            part.memory_length(source_lengths[name])
            for name, part in self.encoders.items()
        )

    def build(self, sources_shape: dict[str, tuple]) -> None:
        sources = {
            name: part.make_input() for name, part in self.encoders.items()
        }
        outputs = {
            name: part(sources[name])["outputs"]
            for name, part in self.encoders.items()
        }
        if self.projections is not None:
            for name, projection in self.projections.items():
                projection.build(outputs[name].shape)
            return
        sizes = {name: output.shape[-1] for name, output in outputs.items()}
        if len(set(sizes.values())) > 1:
            rule = f"a number where encoders have outputs of sizes {sizes}"
            checks.fail("units", rule, None)

    def call(
        self, sources: dict[str, Tensor], training: bool | None = None
    ) -> dict[str, Any]:
        memories = self._read(sources, training)
        outputs = ops.concatenate([m["outputs"] for m in memories], axis=1)
        mask = ops.concatenate([m["mask"] for m in memories], axis=1)
        counts = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        joined = {
            "outputs": _put_first(mask, outputs),
            "mask": ops.arange(ops.shape(mask)[1], dtype="int32") < counts,
        }
        return {**joined, **self._join_states(memories)}

    def _read(
        self, sources: dict[str, Tensor], training: bool | None
    ) -> list[dict[str, Any]]:
        """Returns the memory of each source, projected."""
        memories = []
        for name, part in self.encoders.items():
            memory = part(sources[name], training=training)
            outputs = ops.cast(memory["outputs"], self.compute_dtype)
            if self.projections is not None:
                outputs = self.projections[name](outputs)
            memories.append({**memory, "outputs": outputs})
        return memories

    def _join_states(self, memories: list[dict[str, Any]]) -> dict[str, list]:
        states = [list(memory.get("state", [])) for memory in memories]
        state = sum(states, [])
        return {"state": state} if state else {}

    def compute_output_spec(
        self, sources: dict[str, Any], training: bool | None = None
    ) -> dict[str, Any]:
        """Not from `call`, which Keras would try with any length it likes."""
        memories = [
            part.compute_output_spec(sources[name], training=training)
            for name, part in self.encoders.items()
        ]
        lengths = [memory["mask"].shape[1] for memory in memories]
        length = None if None in lengths else sum(lengths)
        rows, _, size = memories[0]["outputs"].shape
        size = size if self.units is None else self.units
        joined = {
            "outputs": keras.KerasTensor(
                (rows, length, size), self.compute_dtype
            ),
            "mask": keras.KerasTensor((rows, length), "bool"),
        }
        return {**joined, **self._join_states(memories)}

    def get_config(self) -> dict[str, Any]:
        config = {
            "encoders": {
                name: keras.saving.serialize_keras_object(part)
                for name, part in self.encoders.items()
            },
            "units": self.units,
        }
        return {**super().get_config(), **config}


def _put_first(mask: Tensor, values: Tensor) -> Tensor:
    """`(B, S, D)` -> the same, with the real positions of each row first."""
    length = ops.shape(mask)[1]
    places = ops.arange(length, dtype="int32")
    # All differ: no sort can change the order of those that are real.
    order = ops.argsort(ops.where(mask, places, places + length), axis=1)
    return gather_beams(values, ops.cast(order, "int32"))
