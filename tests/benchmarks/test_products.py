"""What the benchmarks count, by hand."""

import collections

import pytest

from tests.benchmarks import products
from tests.benchmarks import profile_step
from tests.benchmarks import scaling


def test_operations_are_counted_by_hand():
    # Two sentences, three source tokens, five target tokens, nine of ten real.
    found = products.products(products.Sizes(100, 4, 3, 7, 5), 2, 3, 5, 9)
    expected = {
        "encoder input": 2 * 6 * 4 * 12,
        "encoder recurrence": 2 * 6 * 3 * 12,
        "keys": 6 * 6 * 5,
        "decoder input": 10 * 4 * 28,
        "decoder recurrence": 10 * (7 + 7) * 28,
        "query": 10 * 7 * 5,
        "scores": 10 * 3 * 5,
        "attention context": 10 * 3 * 6,
        "readout of state": 10 * 7 * 7,
        "readout of context": 10 * 6 * 7,
        "output": 9 * 7 * 100,
    }
    assert {p.name: p.flops for p in found} == {
        name: 2 * number for name, number in expected.items()
    }
    assert products.training_gflop(found) == pytest.approx(
        6e-9 * sum(expected.values())
    )


def test_without_input_feeding_only_the_recurrence_is_smaller():
    fed, unfed = (
        {p.name: p.flops for p in products.products(sizes, 2, 3, 5, 9)}
        for sizes in (
            products.Sizes(100, 4, 3, 7, 5),
            products.Sizes(100, 4, 3, 7, 5, False),
        )
    )
    different = {name for name in fed if fed[name] != unfed[name]}
    assert different == {"decoder recurrence"}
    assert unfed["decoder recurrence"] == 2 * 10 * 7 * 28


def test_an_operation_is_not_charged_for_what_it_calls():
    second = 10**12  # in ps
    events = [
        (0, 9 * second, "model/while:While"),
        (1 * second, 2 * second, "while/MatMul:MatMul"),
        (1 * second, 1 * second, "Eigen"),
        (4 * second, 3 * second, "while/MatMul:MatMul"),
        (9 * second, 1 * second, "Tanh:Tanh"),
        (0, 99 * second, "KernelAndDeviceFunc::Run"),
    ]
    totals, counts = collections.Counter(), collections.Counter()
    profile_step.add_line(events, totals, counts)
    assert totals == pytest.approx({"While": 4, "MatMul": 5, "Tanh": 1})
    assert counts == {"While": 1, "MatMul": 2, "Tanh": 1}


def test_ratios_are_over_the_best_point_of_a_curve():
    one, two = scaling.Point(2, 4, 16), scaling.Point(4, 4, 16)
    # Seconds of a step and of an update, GFLOP/s of the product.
    found = {one: (0.2, 0.01, 3.0), two: (0.1, 0.01, 6.0)}
    curves = {"length": [one, two]}
    first, last = scaling.rows_of(curves, found, {one: 1e6, two: 2e6}, 3)
    assert (first["ms_per_token"], last["ms_per_token"]) == (25.0, 6.25)
    assert (first["token_ratio"], last["token_ratio"]) == (4.0, 1.0)
    assert (first["product_ratio"], last["product_ratio"]) == (2.0, 1.0)
    assert (first["peak_mb"], last["peak_mb"]) == (1.0, 2.0)
    assert last["gflop_ratio"] == 1.0 < first["gflop_ratio"]
