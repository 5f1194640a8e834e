"""Work on rows of a vocabulary, whatever the backend."""

import keras
from keras import ops

from keras_s2s.recurrence.program import Tensor

if keras.backend.backend() == "tensorflow":
    from keras_s2s.recurrence import tensorflow_vocabulary
else:
    tensorflow_vocabulary = None


def sum_exponentials(logits: Tensor, highest: Tensor) -> Tensor:
    """Returns sum(exp(logits - highest)) over the last axis, at least 1.

    Args:
        logits: float `(R, V)`.
        highest: float `(R, 1)`. The largest of each row.

    Returns:
        Float `(R, 1)`. NaN where a row is all -inf.
    """
    if tensorflow_vocabulary is not None:
        return tensorflow_vocabulary.sum_exponentials(logits, highest)
    return ops.sum(ops.exp(logits - highest), axis=-1, keepdims=True)


def add_at(values: Tensor, columns: Tensor, updates: Tensor) -> Tensor:
    """Returns `values` with an update added in each row, at one column.

    Args:
        values: float `(N, V)`.
        columns: int32 `(N, 1)`, in [0, V).
        updates: float `(N, 1)`.
    """
    if tensorflow_vocabulary is not None:
        return tensorflow_vocabulary.add_at(values, columns, updates)
    rows = ops.expand_dims(ops.arange(ops.shape(values)[0], dtype="int32"), 1)
    updates = ops.take_along_axis(values, columns, axis=1) + updates
    places = ops.concatenate([rows, columns], axis=1)
    return ops.scatter_update(values, places, updates[:, 0])


def project_rows(
    inputs: Tensor, weights: Tensor, bias: Tensor, transposed: bool = False
) -> Tensor:
    """Returns rows by weights, and a bias added to each, float `(N, V)`.

    Args:
        inputs: float `(N, D)`.
        weights: float `(D, V)`, of the same dtype.
        bias: float `(V,)`, of the same dtype.
        transposed: bool. Whether weights are `(V, D)`, such as an embedding.
    """
    if tensorflow_vocabulary is not None:
        return tensorflow_vocabulary.project_rows(
            inputs, weights, bias, transposed
        )
    if transposed:
        weights = ops.transpose(weights)
    return ops.add(ops.matmul(inputs, weights), bias)
