"""Examples as their tests run them: as they are, and for a short while."""

import functools

import keras
import pytest

from keras_s2s.models import InferenceModel


@pytest.fixture
def briefly(monkeypatch):
    """Nothing is traced, and no more than four tokens are written.

    Tracing would take most of the time of so short a run. In graphs run
    `test_translate.py`, the quick start of the README, and every part in the
    tests of its own.
    """
    always = property(lambda model: True, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", always)
    start = InferenceModel.__init__

    @functools.wraps(start)
    def start_short(self, *args, max_length=4, **options):
        start(self, *args, max_length=min(4, max_length), **options)

    monkeypatch.setattr(InferenceModel, "__init__", start_short)
