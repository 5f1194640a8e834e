"""What training does beside minimising the loss of the labels."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.decoder import attends
from keras_s2s.losses import SequenceLoss
from keras_s2s.losses import token_divergences
from keras_s2s.masking import token_weights
from keras_s2s.models.scheduled_sampling import ScheduledSampling
from keras_s2s.recurrence import halve_rows
from keras_s2s.recurrence import share_rows

Tensor: TypeAlias = Any

# Entries of the inputs: where each label comes from, float `(B, T, S)`; and,
# inside a training step, what each counts, float `(B, T)`.
ALIGNMENTS = "alignments"
SHARES = "_shares"

# The least attention weight whose logarithm is taken.
LEAST = 1e-9


class Objectives:
    """The options of `Seq2Seq.compile` that only training knows.

    Args:
        decoder: `Decoder`.
        loss: any, as given to `compile`.
        scheduled_sampling: `ScheduledSampling` or None.
        r_drop: float >= 0.
        guided_alignment: float >= 0.

    Raises:
        TypeError: an option is of another kind.
        ValueError: an option is out of range, or cannot do with the loss.
    """

    def __init__(
        self,
        decoder: Decoder,
        loss: Any,
        scheduled_sampling: ScheduledSampling | None,
        r_drop: float,
        guided_alignment: float,
    ) -> None:
        if scheduled_sampling is not None:
            checks.check_instance(
                "scheduled_sampling",
                scheduled_sampling,
                ScheduledSampling,
                "a keras_s2s.models.ScheduledSampling",
            )
        terms = {"r_drop": r_drop, "guided_alignment": guided_alignment}
        for name, value in terms.items():
            checks.check_number(name, value, 0.0, open_maximum=True)
            if value and not isinstance(loss, SequenceLoss):
                checks.fail(name, "0 where `loss` is no `SequenceLoss`", value)
        if r_drop and loss.chunk_size is not None:
            rule = "0 where the loss has a `chunk_size`"
            checks.fail("r_drop", rule, r_drop)
        if guided_alignment and not attends(decoder):
            rule = "0 where the decoder has no attention to guide"
            checks.fail("guided_alignment", rule, guided_alignment)
        self.loss = loss
        self.scheduled_sampling = scheduled_sampling
        self.r_drop = r_drop
        self.guided_alignment = guided_alignment

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
        x = dict(x)
        if self.guided_alignment:
            _check_alignments(x)
            weights = token_weights(labels, sample_weight, self.loss.ignore_id)
            x[SHARES] = self.loss.shares(weights)
        if self.scheduled_sampling is not None:
            x.update(self.scheduled_sampling.draw(x[target_name], step))
        return x, labels, sample_weight

    def widen(self, logits: Tensor) -> Tensor:
        """Returns logits as the loss and the divergence both compute.

        Cast once for both, their gradients are cast back once, as a sum.
        """
        dtype = keras.backend.result_type(logits.dtype, "float32")
        rows = ops.reshape(logits, (-1, logits.shape[-1]))
        rows = share_rows(lambda rows: ops.cast(rows, dtype), rows)
        return ops.reshape(rows, ops.shape(logits))

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
        rows = ops.reshape(logits, (-1, logits.shape[-1]))
        losses = token_divergences(*halve_rows(rows))
        shares = self.loss.shares(ops.cast(weights, losses.dtype))
        shares = ops.reshape(shares, (2, -1))[0]
        divergence = self.r_drop * ops.sum(losses * shares)
        # The loss that it is added to has this dtype, whatever the logits'.
        return ops.cast(divergence, self.loss.dtype)

    def alignment_loss(
        self, weights: Tensor, alignments: Tensor, shares: Tensor
    ) -> Tensor:
        """Returns what the attention adds, where it is not as given.

        Args:
            weights: float `(B, T, S)`. Attention weights.
            alignments: float `(B, T, S)`.
            shares: float `(B, T)`. What each label counts.
        """
        alignments = ops.cast(alignments, "float32")
        scores = ops.log(ops.maximum(ops.cast(weights, "float32"), LEAST))
        losses = -ops.sum(alignments * scores, axis=-1)
        return self.guided_alignment * ops.sum(losses * shares)

    def get_config(self) -> dict[str, Any]:
        """Returns the options that are in use."""
        config = {}
        if self.scheduled_sampling is not None:
            config["scheduled_sampling"] = keras.saving.serialize_keras_object(
                self.scheduled_sampling
            )
        for name in ("r_drop", "guided_alignment"):
            if getattr(self, name):
                config[name] = getattr(self, name)
        return config


def _twice(tensor: Tensor) -> Tensor:
    return None if tensor is None else ops.concatenate([tensor, tensor])


def _check_alignments(x: dict[str, Any]) -> None:
    if ALIGNMENTS not in x:
        rule = f"a dict with {ALIGNMENTS!r} where alignments guide"
        checks.fail("inputs", rule, sorted(x))
    shape = tuple(x[ALIGNMENTS].shape)
    if len(shape) != 3:
        checks.fail(ALIGNMENTS, "of shape (B, T, S)", shape)
