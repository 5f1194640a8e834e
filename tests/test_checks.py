"""The words of every error."""

import re

import numpy as np
import pytest

from keras_s2s import checks


def message(error, function, *arguments, **options):
    with pytest.raises(error) as info:
        function(*arguments, **options)
    return str(info.value)


def test_an_error_has_one_form():
    assert message(ValueError, checks.fail, "units", "even", 3) == (
        "`units` must be even. Received: units=3."
    )
    assert message(
        TypeError, checks.fail, "name", "short", "long", "Cut it.", TypeError
    ) == ("`name` must be short. Received: name='long'. Cut it.")


@pytest.mark.parametrize("value", [1.0, "2", None, True, np.float32(3)])
def test_no_integer(value):
    found = message(TypeError, checks.check_integer, "n", value, 0)
    assert found.startswith("`n` must be an integer >= 0. Received: n=")


def test_an_integer_too_small():
    assert message(ValueError, checks.check_positive, "n", 0) == (
        "`n` must be an integer >= 1. Received: n=0."
    )
    checks.check_positive("n", np.int64(1))
    checks.check_integer("n", 0, 0)


@pytest.mark.parametrize(
    "options, value, rule",
    [
        ({"minimum": 0.0, "maximum": 1.0}, 1.5, "[0.0, 1.0]"),
        ({"minimum": 0.0, "open_minimum": True}, 0, "(0.0, inf)"),
        ({"maximum": 1.0, "open_maximum": True}, 1.0, "(-inf, 1.0)"),
        ({}, float("nan"), "(-inf, inf)"),
    ],
)
def test_a_number_out_of_range(options, value, rule):
    assert message(ValueError, checks.check_number, "x", value, **options) == (
        f"`x` must be a number in {rule}. Received: x={value!r}."
    )


def test_no_number():
    for value in ("1", True, None):
        message(TypeError, checks.check_number, "x", value)


def test_a_rate_is_below_one():
    checks.check_rate("dropout", 0)
    assert message(ValueError, checks.check_rate, "dropout", 1.0) == (
        "`dropout` must be a number in [0.0, 1.0). Received: dropout=1.0."
    )


def test_an_unknown_option():
    assert message(
        ValueError, checks.check_option, "cell", "rnn", {"lstm": 1, "gru": 2}
    ) == ("`cell` must be one of ['lstm', 'gru']. Received: cell='rnn'.")


def test_another_type():
    assert message(
        TypeError, checks.check_instance, "search", 4, str, "a name"
    ) == ("`search` must be a name. Received: search=4.")


@pytest.mark.parametrize("extreme", [-1, 9])
def test_an_id_outside_the_vocabulary(extreme):
    found = message(ValueError, checks.check_ids, "ids", [[1, extreme]], 9)
    assert found == (
        "`ids` must hold ids in [0, 9), the vocabulary. Received: an id of "
        f"{extreme}."
    )


def test_ids_inside_the_vocabulary_pass():
    checks.check_ids("ids", [[0, 8]], 9)
    checks.check_ids("ids", np.zeros((0, 3), "int32"), 9)


def test_an_unknown_option_that_cannot_be_hashed():
    found = message(ValueError, checks.check_option, "cell", ["a"], ("b",))
    assert re.match("`cell` must be one of", found)
