"""Fixtures of several rooms."""

import keras
import pytest


@pytest.fixture
def eagerly(monkeypatch):
    """Fits, evaluations and predictions run without a graph.

    For tests of what comes out: to trace and to optimize a graph takes more
    time than a few steps. That a graph gives the same has tests of its own.
    """
    always = property(lambda model: True, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", always)
