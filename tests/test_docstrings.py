"""The examples of docstrings run, and give what they say."""

import doctest
import importlib

import numpy as np
import pytest


@pytest.mark.parametrize(
    "name",
    [
        "batching",
        "decoding.feedback",
        "layers.pooling",
        "layers.rnn_vectors",
        "layers.transformer_vectors",
        "models.forecaster",
        "regression",
    ],
)
def test_examples_run(name):
    module = importlib.import_module(f"keras_s2s.{name}")
    outcome = doctest.testmod(module, globs=vars(module) | {"np": np})
    assert outcome.attempted > 0
    assert outcome.failed == 0
