"""Fixtures of several rooms, and the threads of an operation."""

import os

import keras
import pytest

# The models are small, and the processes as many as cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


@pytest.fixture
def eagerly(monkeypatch):
    """Fits, evaluations and predictions run without a graph.

    For tests of what comes out: to trace and to optimize a graph takes more
    time than a few steps. That a graph gives the same has tests of its own.
    """
    always = property(lambda model: True, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", always)
