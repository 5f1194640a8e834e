"""The examples of docstrings run, and give what they say."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parents[1] / "keras_s2s"
NAMES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name, eagerly):
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, globs=vars(module) | {"np": np})
    assert outcome.attempted > 0
    assert outcome.failed == 0
