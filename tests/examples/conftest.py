"""Examples as their tests run them: as they are, and for a short while."""

import functools

import pytest

from keras_s2s.models import InferenceModel


@pytest.fixture
def briefly(eagerly, monkeypatch):
    """Nothing is traced, and no more than four tokens are written.

    In graphs run `test_translate.py` and the quick start of the README.
    """
    start = InferenceModel.__init__

    @functools.wraps(start)
    def start_short(self, *args, max_length=4, **options):
        start(self, *args, max_length=min(4, max_length), **options)

    monkeypatch.setattr(InferenceModel, "__init__", start_short)
