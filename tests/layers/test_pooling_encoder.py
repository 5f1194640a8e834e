"""The encoder of averages against a slow one in NumPy."""

import numpy as np
import pytest

from tests import encoders


def slow(encoder, ids):
    """Gehring et al., 2016, 3.1: the mean of what is in the window."""
    x = encoders.embed(encoder, ids)
    before = (encoder.pool_size - 1) // 2
    rows = []
    for place in range(len(ids)):
        start = place - before
        rows.append(x[max(start, 0) : start + encoder.pool_size].mean(0))
    return np.stack(rows)


@pytest.mark.parametrize("name", ["pooling", "even pooling"])
def test_it_equals_a_slow_one(name):
    encoders.check_equals_slow(encoders.drawn(name), slow)


def test_a_bad_pool_size_is_named():
    with pytest.raises(ValueError, match="`pool_size` must be an integer >= 1"):
        encoders.make_encoder("pooling", pool_size=0)
