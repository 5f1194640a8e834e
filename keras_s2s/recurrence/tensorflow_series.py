"""What the steps of a scan on TensorFlow write, each tensor once."""

from typing import Any
from typing import TypeAlias

import tensorflow as tf
from keras import tree

from keras_s2s.recurrence.tensorflow_steps import Steps

Tensor: TypeAlias = Any

# Operations whose result is their first input, in a shape that may differ.
VIEWS = ("ExpandDims", "Identity", "Reshape", "Squeeze")


class Series:
    """An array for each tensor that a step writes, for `tf.while_loop`.

    Arrays hold the tensors as they are: only to join them copies. What a step
    of a graph writes at two places, such as the state that two products read,
    is held at the first of them alone.

    Args:
        walk: `Steps`.
        groups: list of lists of `tf.TensorSpec`. What a step writes.
    """

    def __init__(self, walk: Steps, groups: list[list]) -> None:
        self.walk = walk
        self.groups = groups
        self.specs = tree.flatten(groups)
        # The place that holds what belongs to each.
        self.holders = list(range(len(self.specs)))

    def start(self) -> list[tf.TensorArray]:
        """Returns arrays that hold nothing yet."""
        return [self.walk.array(spec) for spec in self.specs]

    def write(self, arrays: list, time: Tensor, groups: Any) -> list:
        """Returns the arrays with what a step wrote, nested like `groups`."""
        values = tree.flatten(groups)
        if not tf.executing_eagerly():
            self._find_holders([_viewed(value) for value in values])
        return [
            array.write(time, value) if holder == place else array
            for place, (array, value, holder) in enumerate(
                zip(arrays, values, self.holders)
            )
        ]

    def read(self, arrays: list, time: Tensor) -> list[list]:
        """Returns what a step wrote, nested like `groups`."""
        held = {place: arrays[place].read(time) for place in self.holders}
        values = [self._shape(held, n) for n in range(len(self.specs))]
        return tree.pack_sequence_as(self.groups, values)

    def join(self, arrays: list, group: int) -> list:
        """Returns the sequences of what all steps wrote of one group."""
        places = range(len(self.specs))
        places = tree.pack_sequence_as(self.groups, list(places))[group]
        held = {self.holders[place] for place in places}
        held = {place: self.walk.join(arrays[place]) for place in held}
        return [self._shape(held, place) for place in places]

    def _find_holders(self, values: list) -> None:
        first = {}
        for place, value in enumerate(values):
            holder = first.setdefault(id(value), place)
            shapes = [self.specs[n].shape for n in (holder, place)]
            sizes = {shape[1:].num_elements() for shape in shapes}
            # A scalar has no rows.
            has_rows = {shape.rank != 0 for shape in shapes}
            if len(sizes) == len(has_rows) == 1 and None not in sizes:
                self.holders[place] = holder

    def _shape(self, held: dict, place: int) -> Tensor:
        """What belongs to a place, in its shape, of what is held."""
        holder = self.holders[place]
        value = held[holder]
        ours, theirs = self.specs[place].shape, self.specs[holder].shape
        if ours.rank == theirs.rank:
            return value
        leading = tf.shape(value)[: value.shape.rank - theirs.rank + 1]
        return tf.reshape(value, tf.concat([leading, ours[1:]], 0))


def _viewed(value: Tensor) -> Tensor:
    """The tensor that `value` is a view of, or itself."""
    value = tf.convert_to_tensor(value)
    while value.op.type in VIEWS:
        value = value.op.inputs[0]
    return value
