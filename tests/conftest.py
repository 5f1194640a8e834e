"""Fixtures of several rooms, and what all tests run under."""

import gc
import os

import keras
import pytest

# Graphs are many objects that live as long as their file's models: to walk
# through them all again and again took a tenth of the time or more. What a
# walk has found alive once is left out of the next.
gc.set_threshold(100_000, 20, 100)


def leave_alone(phase, info):
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()


gc.callbacks.append(leave_alone)

# As many threads an operation as there are cores, whatever an example sets in
# the process of the tests that come after its own.
os.environ["TF_NUM_INTRAOP_THREADS"] = "0"


@pytest.fixture
def eagerly(monkeypatch):
    """Fits, evaluations and predictions run without a graph.

    For tests of what comes out: to trace and to optimize a graph takes more
    time than a few steps. That a graph gives the same has tests of its own.
    """
    always = property(lambda model: True, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", always)
