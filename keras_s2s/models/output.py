"""The loss and the metrics of a model, without all of its logits at once."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.rows import RealRows
from keras_s2s.losses import SequenceLoss
from keras_s2s.metrics import SequenceMetric
from keras_s2s.recurrence import share_rows
from keras_s2s.recurrence import take
from keras_s2s.recurrence.chunks import sum_chunks

Tensor: TypeAlias = Any


def can_pack(loss: Any, metrics: Any) -> bool:
    """Whether a loss and metrics weigh a token alike in whatever row it is."""
    return (
        isinstance(loss, SequenceLoss)
        and loss.by_token
        and all(
            isinstance(metric, SequenceMetric)
            and metric.by_token
            and metric.ignore_id == loss.ignore_id
            for metric in keras.tree.flatten(metrics)
        )
    )


def pack(values: Any, real: Any) -> Any:
    """`(B, T, ...)` and bool `(B, T)` -> `(1, N, ...)`, the real positions."""
    if len(values.shape) == 3:
        packed = share_rows(
            lambda values, real: RealRows(real).pack(values), values, real
        )
    else:
        index = RealRows(real).index
        packed = take(ops.reshape(values, (-1,)), index)
    return ops.expand_dims(packed, 0)


def project(decoder: Decoder, features: Tensor) -> Tensor:
    """Packed features `(1, N, R)` -> logits `(1, N, V)`, rows shared out."""

    def project_rows(rows: Tensor) -> Tensor:
        return ops.squeeze(decoder.project(ops.expand_dims(rows, 0)), 0)

    rows = ops.squeeze(features, 0)
    return ops.expand_dims(share_rows(project_rows, rows), 0)


def unpack(values: Any, real: Any) -> Any:
    """`(1, N)` and bool `(B, T)` -> `(B, T)`, 0 elsewhere."""
    indices = ops.nonzero(ops.reshape(real, (-1,)))[0]
    rows, length = ops.shape(real)
    flat = ops.scatter(ops.expand_dims(indices, 1), values[0], (rows * length,))
    return ops.reshape(flat, (rows, length))


class ChunkedOutput:
    """A decoder's output layer, its loss and its metrics, by chunks of tokens.

    Args:
        decoder: `Decoder`, with `features` and `project`.
        loss: `SequenceLoss`, with a `chunk_size`.
        metrics: nested `SequenceMetric`, or None. They get no sample weights.
        weighted_metrics: likewise. They get them.

    Raises:
        ValueError: the decoder or a metric cannot do with chunks of logits.
    """

    def __init__(
        self,
        decoder: Decoder,
        loss: SequenceLoss,
        metrics: Any = None,
        weighted_metrics: Any = None,
    ) -> None:
        self.decoder = decoder
        self.loss = loss
        self.metrics = keras.tree.flatten([metrics or []])
        self.weighted_metrics = keras.tree.flatten([weighted_metrics or []])
        kind = type(decoder)
        if Decoder.features is kind.features or Decoder.project is kind.project:
            self._fail("None where the decoder has no `features` and `project`")
        for metric in self.all_metrics:
            if not _takes_values(metric):
                name = getattr(metric, "name", metric)
                self._fail(
                    "None where a metric is no `SequenceMetric` with "
                    f"`token_values` and `collect`, as {name!r}"
                )

    def _fail(self, rule: str) -> None:
        checks.fail("chunk_size", rule, self.loss.chunk_size)

    @property
    def all_metrics(self) -> list[SequenceMetric]:
        return [*self.metrics, *self.weighted_metrics]

    @property
    def can_pack(self) -> bool:
        """Whether what the loss ignores is ignored by all."""
        return all(
            metric.ignore_id == self.loss.ignore_id
            for metric in self.all_metrics
        )

    def evaluate(
        self, features: Tensor, labels: Tensor, weights: Tensor, real: Any
    ) -> dict[str, Any]:
        """Returns the loss, and a list of the values of each metric.

        Args:
            features: float `(B, T, R)`.
            labels: int32 `(B, T)`.
            weights: float32 `(B, T)`.
            real: bool `(B, T)`, the positions to look at, or None: all.
        """
        dtype = keras.backend.result_type(features.dtype, "float32")
        shares = self.loss.shares(ops.cast(weights, dtype))
        # Gradients of a chunk are taken for shares of 1, and scaled behind:
        # float16 would lose those of 1 / N.
        largest = ops.max(shares, initial=0.0)
        tensors = [features, labels, ops.divide_no_nan(shares, largest)]
        if real is not None:
            tensors = [pack(tensor, real) for tensor in tensors]
        grid = ops.shape(labels)
        features, *constants = [
            ops.reshape(tensor, (-1, *tensor.shape[2:])) for tensor in tensors
        ]
        total, values = sum_chunks(
            self._step,
            features,
            constants,
            self.decoder.variables,
            self.loss.chunk_size,
        )
        if real is None:
            values = [ops.reshape(value, grid) for value in values]
        else:
            values = [unpack(value[None], real) for value in values]
        return {"loss": total * largest, "values": values}

    def _step(
        self, features: Tensor, labels: Tensor, shares: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        logits = self.decoder.project(ops.expand_dims(features, 0))
        labels = ops.expand_dims(labels, 0)
        # A label that counts nothing may lie outside the vocabulary.
        is_id = ops.logical_and(labels >= 0, labels < logits.shape[-1])
        labels = ops.where(is_id, labels, 0)
        losses = self.loss.call(labels, logits)[0]
        logits = ops.stop_gradient(logits)
        values = [
            metric.token_values(labels, logits)[0]
            for metric in self.all_metrics
        ]
        return ops.sum(losses * ops.cast(shares, losses.dtype)), values

    def update_metrics(
        self, labels: Tensor, values: list[Tensor], sample_weight: Any
    ) -> None:
        """Updates each metric by the values it had."""
        for number, metric in enumerate(self.all_metrics):
            is_weighted = number >= len(self.metrics)
            weights = sample_weight if is_weighted else None
            metric.update_values(labels, values[number], weights)


def _takes_values(metric: Any) -> bool:
    kind = type(metric)
    return (
        isinstance(metric, SequenceMetric)
        and kind.measure is SequenceMetric.measure
        and kind.update_state is SequenceMetric.update_state
        and kind.token_values is not SequenceMetric.token_values
    )
