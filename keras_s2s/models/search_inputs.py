"""What a search is told of each sentence, beside its source."""

from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s.decoding.constraint import Limits
from keras_s2s.decoding.search import Search
from keras_s2s.models.training import name_source

# Where a search is compiled, each shape is compiled anew.
COMPILED_MULTIPLE = 8


class SearchInputs:
    """The inputs of an `InferenceModel`: a source and what constraints ask.

    Args:
        encoder: built layer.
        search: a search of `keras_s2s.decoding`.
        limits: `Limits`.

    Attributes:
        source: `keras.KerasTensor`, or a dict of several.
        extra: dict of `keras.KerasTensor` by name, of the constraints.
        joined: what the model takes: `source` alone where nothing is asked,
            else a dict of all.
    """

    def __init__(self, encoder: Any, search: Search, limits: Limits) -> None:
        self.source = encoder.make_input()
        self.constraints = search.constraints
        self.axes = search.inputs
        self.limits = limits
        self.name = None
        if not isinstance(self.source, dict):
            self.name = name_source(encoder, self.source)
        self.extra = {
            name: keras.Input((None,) * (axes - 1), dtype="int32", name=name)
            for name, axes in self.axes.items()
        }
        names = [self.name] if self.name else list(self.source)
        taken = sorted(set(names) & set(self.extra))
        if taken:
            rule = f"named otherwise than sources, {names}"
            checks.fail("inputs of constraints", rule, taken)
        self.joined = self.join(self.source, self.extra)

    def join(self, source: Any, extra: dict[str, Any]) -> Any:
        """Returns what the model takes."""
        if not self.axes:
            return source
        return {
            **(source if self.name is None else {self.name: source}),
            **extra,
        }

    def split(self, x: Any) -> tuple[Any, dict[str, np.ndarray]]:
        """Returns a source, and arrays of what constraints are told of it.

        Args:
            x: what the model takes, or a part: what is left out of a dict,
                or all beside a source alone, constrains nothing.

        Raises:
            ValueError: as the constraints say; there are more rows, or fewer,
                than sources; a name is not one of the model.
        """
        if not self.axes:
            return x, {}
        given = x if isinstance(x, dict) else {self.name: x}
        source = {name: x for name, x in given.items() if name not in self.axes}
        if self.name is not None:
            if list(source) != [self.name]:
                rule = f"a dict of {[self.name, *self.axes]}"
                checks.fail("x", rule, list(given))
            source = source[self.name]
        first = next(iter(source.values())) if self.name is None else source
        extra = {
            name: self._make_array(name, given.get(name), len(first))
            for name in self.axes
        }
        for constraint in self.constraints:
            constraint.check_inputs(extra, self.limits)
        return source, extra

    def _make_array(self, name: str, values: Any, count: int) -> np.ndarray:
        """Returns int32 `(B, ...)`, with at least one place on each axis."""
        axes, pad_id = self.axes[name], self.limits.pad_id
        if values is None:
            return np.full((count, *(1,) * (axes - 1)), pad_id, "int32")
        if not isinstance(values, (list, tuple)):
            values = keras.ops.convert_to_numpy(values)
        if len(values) != count:
            rule = f"of {count} rows, one for each source"
            checks.fail(name, rule, f"{len(values)} rows")
        padded = pad_nested(name, values, axes, pad_id)
        if self.limits.vocabulary_size is not None:
            checks.check_ids(name, padded, self.limits.vocabulary_size)
        return padded


def pad_nested(name: str, values: Any, axes: int, pad_id: int) -> np.ndarray:
    """Returns nested lists of ids as one array, padded behind on each axis.

    Args:
        name: str. What errors call them.
        values: lists in lists, `axes` deep, or arrays.
        axes: int > 0.
        pad_id: int.

    Returns:
        Int32, with at least one place on each axis but the first.
    """
    if axes == 1 or isinstance(values, np.ndarray):
        values = np.asarray(values)
        is_id = values.dtype.kind in "iu" or not values.size
        if values.ndim != axes or not is_id:
            rule = f"lists of ids, or an integer array of {axes} axes"
            checks.fail(name, rule, values.tolist())
        widths = [(0, int(i > 0 and not n)) for i, n in enumerate(values.shape)]
        return np.pad(values.astype("int32"), widths, constant_values=pad_id)
    if not isinstance(values, (list, tuple)):
        checks.fail(name, "lists of lists of ids", values)
    rows = [pad_nested(name, row, axes - 1, pad_id) for row in values]
    shape = np.max([(1,) * (axes - 1), *[row.shape for row in rows]], axis=0)
    padded = np.full((len(rows), *shape), pad_id, "int32")
    for row, place in zip(rows, padded):
        place[tuple(slice(size) for size in row.shape)] = row
    return padded


def pad_to_multiple(values: np.ndarray, pad_id: int) -> np.ndarray:
    """Pads each axis but the first to a multiple of a few places."""
    widths = [(0, -size % COMPILED_MULTIPLE) for size in values.shape[1:]]
    return np.pad(values, [(0, 0), *widths], constant_values=pad_id)
