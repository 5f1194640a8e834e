"""What a step of a scan on TensorFlow sees of sequences and rows."""

from typing import Any
from typing import TypeAlias

import tensorflow as tf

Tensor: TypeAlias = Any


class Steps:
    """The steps of a scan over sequences `(T, B, ...)`."""

    def __init__(self, total: Tensor, steps: Tensor, reverse: bool) -> None:
        self.total = total
        self.steps = steps
        self.reverse = reverse

    def time(self, number: Tensor) -> Tensor:
        """The position in time of the n-th step to run."""
        return self.steps - 1 - number if self.reverse else number

    # Sequences.

    def cut(self, sequence: Tensor, time: Tensor) -> Tensor:
        """What belongs to a step."""
        return sequence[time]

    def spec(self, sequence: Tensor) -> tf.TensorSpec:
        return tf.TensorSpec(sequence.shape[1:], sequence.dtype)

    def array(self, spec: tf.TensorSpec) -> tf.TensorArray:
        """Where steps write what will be a sequence, `spec` one step's."""
        return tf.TensorArray(
            spec.dtype,
            self.total,
            clear_after_read=False,
            element_shape=spec.shape,
        )

    def join(self, array: tf.TensorArray) -> Tensor:
        return array.stack()

    def spread(self, sequence: Tensor, rows: Tensor) -> Tensor:
        """A sequence -> `(T, B, ...)`, where `rows` is `(B, ...)`."""
        return sequence

    # Rows `(B, ...)`: state and constants.

    def start(self, rows: Tensor) -> Tensor:
        """What a loop starts with."""
        return rows

    def cut_rows(self, rows: Tensor, time: Tensor) -> Tensor:
        """Those that a step runs."""
        return rows

    def rows_spec(self, rows: Tensor) -> tf.TensorSpec:
        return tf.TensorSpec(rows.shape, rows.dtype)

    def step_spec(self, result: Any) -> tf.TensorSpec:
        """That of what all steps make, from what one has made."""
        result = tf.convert_to_tensor(result)
        if result.shape.rank == 0:  # no rows
            return tf.TensorSpec([], result.dtype)
        return self.rows_spec(result)

    def put_rows(self, part: Tensor, rows: Tensor, time: Tensor) -> Tensor:
        """All rows after a step that made `part` of those that it ran."""
        part.set_shape(rows.shape)
        return part

    # Gradients of rows, from the last step to the first.

    def cut_gradients(self, rows: Tensor, time: Tensor) -> Tensor:
        """All that is known after a step -> those of the rows that it ran."""
        return rows

    def put_gradients(self, part: Tensor, rows: Tensor, time: Tensor) -> Tensor:
        """All that is known before a step, `part` of the rows that it ran."""
        return self.put_rows(part, rows, time)

    def add(self, total: Tensor, part: Tensor, time: Tensor) -> Tensor:
        """Adds the gradient of a constant in one step."""
        return total + part

    def zeros(self, rows: Tensor) -> Tensor:
        """What `add` starts with."""
        return tf.zeros_like(rows)

    def complete(self, gradients: Tensor, rows: Tensor) -> Tensor:
        """The gradients of all `rows` in the end."""
        return gradients


class PackedSteps(Steps):
    """The steps of a scan over packed sequences, fewer rows at each step.

    The state shrinks as rows end, and is of no use after the last step.
    """

    def __init__(self, sizes: Tensor, reverse: bool) -> None:
        steps = tf.shape(sizes)[0]
        super().__init__(steps, steps, reverse)
        self.sizes = sizes
        # Of each step a vector: that is how an operation takes the bounds of
        # a slice, and to make one of a number in each step is one more.
        self.size = sizes[:, None]
        self.end = tf.cumsum(self.size)
        self.begin = self.end - self.size
        # How many rows of a step its successor has not; none of the last.
        self.missing = sizes - tf.concat([sizes[1:], sizes[-1:]], 0)

    def cut(self, sequence: Tensor, time: Tensor) -> Tensor:
        begin, end = tf.gather(self.begin, time), tf.gather(self.end, time)
        return _slice(sequence, begin, end)

    def spec(self, sequence: Tensor) -> tf.TensorSpec:
        return tf.TensorSpec([None, *sequence.shape[1:]], sequence.dtype)

    def array(self, spec: tf.TensorSpec) -> tf.TensorArray:
        return tf.TensorArray(
            spec.dtype,
            self.total,
            clear_after_read=False,
            infer_shape=False,
            element_shape=spec.shape,
        )

    def join(self, array: tf.TensorArray) -> Tensor:
        return array.concat()

    def spread(self, sequence: Tensor, rows: Tensor) -> Tensor:
        size = tf.shape(rows)[0]
        is_there = tf.sequence_mask(self.sizes, size)
        shape = tf.concat([[self.total, size], tf.shape(sequence)[1:]], 0)
        places = tf.cast(tf.where(is_there), tf.int32)
        return tf.scatter_nd(places, sequence, shape)

    def start(self, rows: Tensor) -> Tensor:
        # The number of rows changes.
        return tf.compat.v1.placeholder_with_default(
            rows, [None, *rows.shape[1:]]
        )

    def cut_rows(self, rows: Tensor, time: Tensor) -> Tensor:
        return _slice(rows, [0], tf.gather(self.size, time))

    rows_spec = spec

    def put_rows(self, part: Tensor, rows: Tensor, time: Tensor) -> Tensor:
        part.set_shape([None, *rows.shape[1:]])
        return part

    def cut_gradients(self, rows: Tensor, time: Tensor) -> Tensor:
        return _pad_rows(rows, tf.gather(self.missing, time))

    def add(self, total: Tensor, part: Tensor, time: Tensor) -> Tensor:
        return self.cut_gradients(total, time) + part

    def zeros(self, rows: Tensor) -> Tensor:
        return tf.zeros_like(rows[: tf.reduce_sum(self.sizes[-1:])])

    def complete(self, gradients: Tensor, rows: Tensor) -> Tensor:
        return _pad_rows(gradients, tf.shape(rows)[0] - tf.shape(gradients)[0])


class CarryingSteps(PackedSteps):
    """Packed steps that keep the state of each row when it ends."""

    def __init__(self, sizes: Tensor, counts: Tensor, reverse: bool) -> None:
        super().__init__(sizes, reverse)
        self.count = counts[:, None]
        self.missing = sizes - counts

    def put_rows(self, part: Tensor, rows: Tensor, time: Tensor) -> Tensor:
        return _replace(rows, part, tf.gather(self.count, time))

    def cut_gradients(self, rows: Tensor, time: Tensor) -> Tensor:
        rows = _slice(rows, [0], tf.gather(self.count, time))
        return super().cut_gradients(rows, time)

    def add(self, total: Tensor, part: Tensor, time: Tensor) -> Tensor:
        size = tf.gather(self.size, time)
        return _replace(total, _slice(total, [0], size) + part, size)

    def zeros(self, rows: Tensor) -> Tensor:
        return tf.zeros_like(rows)

    def complete(self, gradients: Tensor, rows: Tensor) -> Tensor:
        return gradients


def _pad_rows(rows: Tensor, missing: Tensor) -> Tensor:
    """Adds rows of zeros; without any to add it copies nothing."""
    return tf.pad(rows, [[0, missing], *[[0, 0]] * (len(rows.shape) - 1)])


def _slice(rows: Tensor, begin: Any, end: Any, **options: Any) -> Tensor:
    """As `rows[begin[0] : end[0]]`, which is two operations more."""
    return tf.raw_ops.StridedSlice(
        input=rows, begin=begin, end=end, strides=[1], **options
    )


def _replace(rows: Tensor, part: Tensor, count: Tensor) -> Tensor:
    """Takes the first `count[0]` rows from `part`, the others from `rows`."""
    rest = _slice(rows, count, [0], end_mask=1)
    result = tf.concat([_slice(part, [0], count), rest], 0)
    result.set_shape(rows.shape)
    return result
