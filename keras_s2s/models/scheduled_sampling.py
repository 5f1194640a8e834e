"""Training on what the model itself would have written."""

import math
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s import masking
from keras_s2s.decoding.feedback import feed_back
from keras_s2s.decoding.sampling import draw_places
from keras_s2s.maxima import first_maximum
from keras_s2s.recurrence import uniform
from keras_s2s.recurrence import without_gradients

Tensor: TypeAlias = Any

# Entries of the inputs inside a training step: which positions read what the
# model wrote, bool `(B, T)`, and the noise to draw it with, float `(B, T)`.
IS_OWN = "_is_own"
NOISE = "_noise"

CHOICES = ("sample", "best")


@keras.saving.register_keras_serializable(package="keras_s2s")
class ScheduledSampling:
    """Has a decoder in training read some of its own words, not the truth.

    Each position behind the first reads, with a probability that may change
    from update to update, the word that the model itself has just written
    there, else that of the target. Labels stay those of the target.

    It is done step by step, as in the paper, not by the approximation in two
    parallel passes: the decoder first runs through the target with `step`,
    each step reading what was chosen before, without dropout and without a
    gradient; then the whole of what was read is trained on in the usual way,
    which gives what that loop would have given, dropout aside. No gradient
    goes through a choice. It costs about one greedy decoding of the batch: a
    third more processor time than without, for a GRU of 256 units and 8,000
    words. Every decoder will do; of vectors, what is read is the output.

    Choices depend on nothing but `seed`, the number of updates and the place
    in the batch: a training that is resumed makes the same. Padding is never
    chosen. Evaluation reads the target alone.

    Args:
        probability: float in [0, 1], or a callable of the number of updates:
            `schedules.Linear`, `schedules.Exponential`,
            `schedules.InverseSigmoid`, or any other Keras
            `LearningRateSchedule`. That of reading an own word.
        choice: str. "sample", drawn from the model's distribution, or
            "best", its likeliest word. Default: "sample".
        seed: int in [0, 2 ** 31). Default: 0.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> import keras_s2s as s2s
    >>> model = s2s.models.Seq2Seq(
    ...     s2s.layers.RNNEncoder(20, embedding_dim=8, units=16),
    ...     s2s.layers.RNNDecoder(30, embedding_dim=8, units=16),
    ... )
    >>> schedule = s2s.schedules.InverseSigmoid(1000, maximum=0.5)
    >>> model.compile(
    ...     "adam",
    ...     loss=s2s.losses.SequenceLoss(),
    ...     scheduled_sampling=s2s.models.ScheduledSampling(schedule),
    ... )

    Source: Bengio et al., 2015, https://arxiv.org/abs/1506.03099; in two
    passes: Mihaylova and Martins, 2019, https://arxiv.org/abs/1906.07651
    """

    def __init__(
        self, probability: Any, choice: str = "sample", seed: int = 0
    ) -> None:
        if not callable(probability):
            checks.check_number("probability", probability, 0.0, 1.0)
        checks.check_option("choice", choice, CHOICES)
        checks.check_integer("seed", seed, 0)
        checks.check_number("seed", seed, 0, 2**31 - 1)
        self.probability = probability
        self.choice = choice
        self.seed = seed

    def draw(self, target: Tensor, step: Tensor) -> dict[str, Tensor]:
        """Returns what `read` needs of a step, `IS_OWN` and `NOISE`.

        Args:
            target: int `(B, T)` or float `(B, T, C)`.
            step: int scalar. The number of updates so far.
        """
        probability = self.probability
        if callable(probability):
            probability = probability(step)
        drawn = uniform((2, *ops.shape(target)[:2]), self.seed, step)
        is_own = drawn[0] < ops.cast(probability, "float32")
        return {IS_OWN: is_own, NOISE: drawn[1]}

    def read(
        self,
        decoder: Any,
        memory: dict[str, Any],
        target: Tensor,
        is_own: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Returns what a decoder reads: the target, and its own words in it.

        Args:
            decoder: `Decoder`.
            memory: dict, an encoder's result.
            target: int `(B, T)` or float `(B, T, C)`.
            is_own: bool `(B, T)`. The positions that read own words, if the
                target has something there.
            noise: float `(B, T)` in [0, 1).
        """
        is_ids = not hasattr(decoder, "vector_dim")
        if is_ids:
            target = ops.expand_dims(ops.cast(target, "int32"), -1)
            real = masking.padding_mask(target, _pad_id(decoder))
        else:
            real = masking.value_mask(target)
        place = ops.arange(ops.shape(target)[1], dtype="int32")
        real = ops.logical_and(ops.any(real, axis=-1), place > 0)
        is_own = ops.expand_dims(ops.logical_and(is_own, real), -1)
        with without_gradients(decoder.variables):
            memory = keras.tree.map_structure(ops.stop_gradient, memory)
            own = self._write(decoder, memory, target, is_own, noise)
            fed = ops.stop_gradient(ops.where(is_own, own, target))
        return ops.squeeze(fed, -1) if is_ids else fed

    def _write(
        self,
        decoder: Any,
        memory: dict[str, Any],
        target: Tensor,
        is_own: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Returns what each position has just been written, `(B, T, C)`.

        Of ids C is 1.
        """
        length = ops.shape(target)[1]
        is_ids = not hasattr(decoder, "vector_dim")

        def step(
            own: Tensor, state: Any, context: Any, position: Tensor
        ) -> tuple:
            chosen, truth, luck = (
                ops.take(tensor, ops.expand_dims(position, 0), axis=1)
                for tensor in (is_own, target, noise)
            )
            fed = ops.where(chosen, own, truth)
            fed = ops.squeeze(fed, -1) if is_ids else fed
            output, state = decoder.step(fed, state, context, position)
            if is_ids:
                output = self._choose(output[:, 0], luck, _pad_id(decoder))
                output = ops.expand_dims(output, 1)
            return output, state

        written = feed_back(
            step,
            decoder.initial_state(memory, 1, length),
            decoder.prepare(memory),
            target[:, :1],
            length,
        )
        # What a step wrote is what the next one reads.
        return ops.pad(written[:, 0, :-1], [(0, 0), (1, 0), (0, 0)])

    def _choose(self, logits: Tensor, noise: Tensor, pad_id: int) -> Tensor:
        """Logits `(B, V)` and noise `(B, 1)` -> ids, int32 `(B, 1)`."""
        logits = ops.cast(logits, "float32")
        is_pad = ops.equal(ops.arange(logits.shape[-1]), pad_id)
        logits = ops.where(is_pad, -math.inf, logits)
        if self.choice == "best":
            return first_maximum(logits)[1]
        highest = ops.max(logits, axis=-1, keepdims=True)
        return draw_places(ops.exp(logits - highest), noise)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        probability = self.probability
        if callable(probability):
            probability = keras.saving.serialize_keras_object(probability)
        return {
            "probability": probability,
            "choice": self.choice,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScheduledSampling":
        """Returns it as it was."""
        return cls(**keras.saving.deserialize_keras_object(config))


def _pad_id(decoder: Any) -> int:
    # One that copies has another decoder inside.
    return getattr(getattr(decoder, "decoder", decoder), "pad_id", 0)


def count_updates(optimizer: Any, state: list) -> Tensor:
    """Returns how many updates an optimizer has done.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        state: list. What a training step gets before the data: on JAX the
            values of all variables, elsewhere nothing.
    """
    if not state:
        return ops.convert_to_tensor(optimizer.iterations)
    values = state[0][2]
    with keras.StatelessScope(list(zip(optimizer.variables, values))):
        return ops.convert_to_tensor(optimizer.iterations)
