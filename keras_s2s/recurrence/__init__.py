"""Recurrences: the one room that knows the Keras backends."""

from keras_s2s.recurrence.layout import Layout
from keras_s2s.recurrence.layout import arrange
from keras_s2s.recurrence.loop import EXPORT_OPTIONS
from keras_s2s.recurrence.loop import FUSES_ATTENTION
from keras_s2s.recurrence.loop import HAS_DYNAMIC_SHAPES
from keras_s2s.recurrence.loop import LOST_WORKER_ERRORS
from keras_s2s.recurrence.loop import PREFERS_JIT
from keras_s2s.recurrence.loop import allocate
from keras_s2s.recurrence.loop import dropout
from keras_s2s.recurrence.loop import fast_updates
from keras_s2s.recurrence.loop import get_random_state
from keras_s2s.recurrence.loop import halve_rows
from keras_s2s.recurrence.loop import leads_workers
from keras_s2s.recurrence.loop import make_room
from keras_s2s.recurrence.loop import num_replicas
from keras_s2s.recurrence.loop import num_side_by_side
from keras_s2s.recurrence.loop import of_first_replica
from keras_s2s.recurrence.loop import prefers_halves
from keras_s2s.recurrence.loop import read_promptly
from keras_s2s.recurrence.loop import scan
from keras_s2s.recurrence.loop import set_random_state
from keras_s2s.recurrence.loop import share_rows
from keras_s2s.recurrence.loop import show_to_workers
from keras_s2s.recurrence.loop import sum_over_replicas
from keras_s2s.recurrence.loop import trace_any_length
from keras_s2s.recurrence.loop import uniform
from keras_s2s.recurrence.loop import wait_for
from keras_s2s.recurrence.loop import without_gradients
from keras_s2s.recurrence.loop import write_slice
from keras_s2s.recurrence.picking import gather_beams
from keras_s2s.recurrence.picking import take
from keras_s2s.recurrence.program import linear
from keras_s2s.recurrence.program import sigmoid
from keras_s2s.recurrence.program import softmax
from keras_s2s.recurrence.program import tanh
from keras_s2s.recurrence.vocabulary import add_at
from keras_s2s.recurrence.vocabulary import project_rows
from keras_s2s.recurrence.vocabulary import sum_exponentials

__all__ = [
    "EXPORT_OPTIONS",
    "FUSES_ATTENTION",
    "HAS_DYNAMIC_SHAPES",
    "LOST_WORKER_ERRORS",
    "PREFERS_JIT",
    "Layout",
    "add_at",
    "allocate",
    "arrange",
    "dropout",
    "fast_updates",
    "gather_beams",
    "get_random_state",
    "halve_rows",
    "leads_workers",
    "linear",
    "make_room",
    "num_replicas",
    "num_side_by_side",
    "of_first_replica",
    "prefers_halves",
    "project_rows",
    "read_promptly",
    "scan",
    "set_random_state",
    "share_rows",
    "show_to_workers",
    "sigmoid",
    "softmax",
    "sum_exponentials",
    "sum_over_replicas",
    "take",
    "tanh",
    "trace_any_length",
    "uniform",
    "wait_for",
    "without_gradients",
    "write_slice",
]
