"""Recurrences: the one room that knows the Keras backends."""

from keras_s2s.recurrence.layout import Layout
from keras_s2s.recurrence.layout import arrange
from keras_s2s.recurrence.loop import EXPORT_OPTIONS
from keras_s2s.recurrence.loop import FUSES_ATTENTION
from keras_s2s.recurrence.loop import HAS_DYNAMIC_SHAPES
from keras_s2s.recurrence.loop import PREFERS_JIT
from keras_s2s.recurrence.loop import allocate
from keras_s2s.recurrence.loop import dropout
from keras_s2s.recurrence.loop import fast_updates
from keras_s2s.recurrence.loop import first_replica
from keras_s2s.recurrence.loop import get_random_state
from keras_s2s.recurrence.loop import num_replicas
from keras_s2s.recurrence.loop import scan
from keras_s2s.recurrence.loop import set_random_state
from keras_s2s.recurrence.loop import sum_over_replicas
from keras_s2s.recurrence.loop import trace_any_length
from keras_s2s.recurrence.loop import uniform
from keras_s2s.recurrence.loop import without_gradients
from keras_s2s.recurrence.loop import write_slice
from keras_s2s.recurrence.program import linear
from keras_s2s.recurrence.program import sigmoid
from keras_s2s.recurrence.program import tanh

__all__ = [
    "EXPORT_OPTIONS",
    "FUSES_ATTENTION",
    "HAS_DYNAMIC_SHAPES",
    "PREFERS_JIT",
    "Layout",
    "allocate",
    "arrange",
    "dropout",
    "fast_updates",
    "first_replica",
    "get_random_state",
    "linear",
    "num_replicas",
    "scan",
    "set_random_state",
    "sigmoid",
    "sum_over_replicas",
    "tanh",
    "trace_any_length",
    "uniform",
    "without_gradients",
    "write_slice",
]
