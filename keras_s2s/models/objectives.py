"""What training does beside minimising the loss of the labels."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.losses import SequenceLoss
from keras_s2s.losses import token_divergences
from keras_s2s.masking import token_weights
from keras_s2s.models.scheduled_sampling import ScheduledSampling

Tensor: TypeAlias = Any


class Objectives:
    """The options of `Seq2Seq.compile` that only training knows.

    Args:
        loss: any, as given to `compile`.
        scheduled_sampling: `ScheduledSampling` or None.
        r_drop: float >= 0.

    Raises:
        TypeError: an option is of another kind.
        ValueError: an option is out of range, or cannot do with the loss.
    """

    def __init__(
        self,
        loss: Any,
        scheduled_sampling: ScheduledSampling | None,
        r_drop: float,
    ) -> None:
        if scheduled_sampling is not None:
            checks.check_instance(
                "scheduled_sampling",
                scheduled_sampling,
                ScheduledSampling,
                "a keras_s2s.models.ScheduledSampling",
            )
        checks.check_number("r_drop", r_drop, 0.0, open_maximum=True)
        if r_drop and not isinstance(loss, SequenceLoss):
            checks.fail("r_drop", "0 where `loss` is no `SequenceLoss`", r_drop)
        if r_drop and loss.chunk_size is not None:
            rule = "0 where the loss has a `chunk_size`"
            checks.fail("r_drop", rule, r_drop)
        self.loss = loss
        self.scheduled_sampling = scheduled_sampling
        self.r_drop = r_drop

    def vary(self, data: tuple, target_name: str, step: Tensor) -> tuple:
        """Returns what to train on in the place of a batch.

        Args:
            data: inputs, labels and sample weights.
            target_name: str. Of the inputs, which is the target.
            step: int scalar. The number of updates so far.
        """
        if self.r_drop:
            data = keras.tree.map_structure(_twice, data)
        x, labels, sample_weight = data
        if self.scheduled_sampling is not None:
            x = dict(x)
            x.update(self.scheduled_sampling.draw(x[target_name], step))
        return x, labels, sample_weight

    def divergence(
        self, labels: Tensor, logits: Tensor, sample_weight: Tensor
    ) -> Tensor:
        """Returns what R-Drop adds to the loss of a batch that comes twice.

        Args:
            labels: int `(2 B, T)`, or `(1, 2 N)` where padding is left out.
            logits: float `(2 B, T, V)`, or `(1, 2 N, V)`.
            sample_weight: as in `SequenceLoss`.
        """
        weights = token_weights(labels, sample_weight, self.loss.ignore_id)
        pairs = ops.reshape(logits, (2, -1, logits.shape[-1]))
        losses = token_divergences(pairs[0], pairs[1])
        shares = self.loss.shares(ops.cast(weights, losses.dtype))
        shares = ops.reshape(shares, (2, -1))[0]
        return self.r_drop * ops.sum(losses * shares)

    def get_config(self) -> dict[str, Any]:
        """Returns the options that are in use."""
        config = {}
        if self.scheduled_sampling is not None:
            config["scheduled_sampling"] = keras.saving.serialize_keras_object(
                self.scheduled_sampling
            )
        if self.r_drop:
            config["r_drop"] = self.r_drop
        return config


def _twice(tensor: Tensor) -> Tensor:
    return None if tensor is None else ops.concatenate([tensor, tensor])
