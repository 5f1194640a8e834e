"""How the cost of a training step grows with length, batch and units.

Times forward, backward and Adam of an LSTM with additive attention and input
feeding, with every token real, beside the machine's rate for the decoder's
recurrent product of the same shape. Run it from the root of the repository:

    python -m tests.benchmarks.scaling --output FOLDER

With TF_NUM_INTRAOP_THREADS=1 in the environment rows are shared out between
threads, those of the product, too.

Points are timed in turn, round after round, so that a noisy moment hits all
of them, the second of two steps each time: the first finds the caches full of
another model. Each figure is the median. `token_ratio` and `gflop_ratio` are
the time per target token and per counted operation over the best of their
curve, `product_ratio` that of the recurrent product alone: where it is near 1,
the others should be. A token costs more with more units; the encoder and the
update of the weights cost the same whatever the target's length, and the
update whatever the batch.
`update_ms` is the update alone; `peak_mb` what a step of that length adds to
the peak memory of a process that has trained on one token.
"""

import argparse
import concurrent.futures
import csv
import multiprocessing
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks import products  # noqa: E402

VOCABULARY = 1000
COLUMNS = [
    *("length", "batch", "units", "ms", "update_ms", "ms_per_token"),
    *("gflop", "gflop_per_s", "product_gflop_per_s"),
    *("token_ratio", "gflop_ratio", "product_ratio", "peak_mb"),
]


class Point(NamedTuple):
    """Target length in tokens, sentences, units of the decoder."""

    length: int
    batch: int
    units: int


LENGTHS, BATCHES = [10, 20, 40, 80, 160], [8, 16, 32, 64, 128, 256]
UNITS = [128, 256, 512, 1024]
CURVES = {
    "length": [Point(n, 64, 512) for n in LENGTHS],
    "batch": [Point(20, n, 512) for n in BATCHES],
    "units": [Point(20, 64, n) for n in UNITS],
}
QUICK_CURVES = {
    "length": [Point(2, 4, 16), Point(4, 4, 16)],
    "batch": [Point(2, 4, 16), Point(2, 8, 16)],
    "units": [Point(2, 4, 16), Point(2, 4, 32)],
}


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("runs"), help="folder")
    add("--rounds", type=int, default=7, help="timed steps of each point")
    add("--source-length", type=int, default=20, help="tokens of a source")
    add("--quick", action="store_true", help="tiny sizes, to see it run")
    return parser.parse_args(arguments)


def sizes_of(units):
    return products.Sizes(VOCABULARY, units // 2, units // 2, units, units // 2)


def make_model(units):
    import keras

    import keras_s2s as s2s

    sizes = sizes_of(units)
    encoder = s2s.layers.RNNEncoder(
        VOCABULARY, sizes.embedding, sizes.encoder, cell="lstm"
    )
    decoder = s2s.layers.RNNDecoder(
        VOCABULARY,
        sizes.embedding,
        units,
        cell="lstm",
        attention="additive",
        attention_units=sizes.attention,
        bridge="pass",
    )
    model = s2s.models.Seq2Seq(encoder, decoder)
    model.compile(keras.optimizers.Adam(1e-3), loss=s2s.losses.SequenceLoss())
    # Lengths and batches that no point has: from here on nothing is retraced.
    for size in (2, 3):
        train(model, make_batch(Point(size, size, units), size))
    return model


def make_batch(point, source_length):
    import numpy as np

    random = np.random.default_rng(0)
    source_ids, target_ids, labels = (
        random.integers(4, VOCABULARY, (point.batch, length), "int32")
        for length in (source_length, point.length, point.length)
    )
    return {"source_ids": source_ids, "target_ids": target_ids}, labels


def train(model, batch):
    """Seconds of a training step."""
    start = time.perf_counter()
    model.train_on_batch(*batch)
    return time.perf_counter() - start


def make_update(model):
    """Returns a function: seconds of the optimizer's update alone."""
    import tensorflow as tf

    weights = model.trainable_variables
    zeros = [tf.zeros_like(weight.value) for weight in weights]

    @tf.function
    def update():
        model.optimizer.apply(zeros, weights)
        return tf.constant(0)

    return lambda: products.median_seconds(lambda: update().numpy(), 1, 0.0)


def measure(points, options):
    """Returns seconds of steps and updates and product rates, by point."""
    models = {n: make_model(n) for n in {point.units for point in points}}
    batches = {p: make_batch(p, options.source_length) for p in points}
    updates = {units: make_update(model) for units, model in models.items()}
    found = {point: ([], [], []) for point in points}
    for number in range(options.rounds + 1):
        for point, series in found.items():
            train(models[point.units], batches[point])
            figures = (
                train(models[point.units], batches[point]),
                updates[point.units](),
                products.product_gflop_per_s(recurrence(point)),
            )
            if number > 0:  # the first round warms up
                for values, figure in zip(series, figures):
                    values.append(figure)
    return {
        point: [statistics.median(values) for values in series]
        for point, series in found.items()
    }


def recurrence(point):
    units = point.units
    return products.Product(
        "recurrence", point.length, point.batch, 2 * units, 4 * units
    )


def peak_memory(point, source_length):
    """Bytes that steps of a point add to the peak of this process."""

    def peak():
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    model = make_model(point.units)
    start = peak()
    for _ in range(3):
        train(model, make_batch(point, source_length))
    return peak() - start


def peak_memories(points, source_length):
    """Each point in a process of its own."""
    with concurrent.futures.ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=1,
    ) as pool:
        lengths = [source_length] * len(points)
        return dict(zip(points, pool.map(peak_memory, points, lengths)))


def rows_of(curves, found, memories, source_length):
    """One dict a point and curve, as in the CSV file."""
    rows = []
    for curve, points in curves.items():
        part = []
        for point in points:
            seconds, update, rate = found[point]
            tokens = point.batch * point.length
            gflop = products.training_gflop(
                products.products(
                    sizes_of(point.units),
                    point.batch,
                    source_length,
                    point.length,
                    tokens,
                )
            )
            row = {
                "curve": curve,
                **point._asdict(),
                "ms": 1e3 * seconds,
                "update_ms": 1e3 * update,
                "ms_per_token": 1e3 * seconds / tokens,
                "gflop": gflop,
                "gflop_per_s": gflop / seconds,
                "product_gflop_per_s": rate,
            }
            if curve == "length":
                row["peak_mb"] = 1e-6 * memories[point]
            part.append(row)
        best_token = min(row["ms_per_token"] for row in part)
        best_rate = max(row["gflop_per_s"] for row in part)
        best_product = max(row["product_gflop_per_s"] for row in part)
        for row in part:
            row["token_ratio"] = row["ms_per_token"] / best_token
            row["gflop_ratio"] = best_rate / row["gflop_per_s"]
            row["product_ratio"] = best_product / row["product_gflop_per_s"]
        rows += part
    return rows


def print_rows(rows):
    print(" ".join(f"{name[:13]:>13}" for name in ["curve", *COLUMNS]))
    for row in rows:
        cells = [f"{row['curve']:>13}"]
        for name in COLUMNS:
            value = row.get(name, "")
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            cells.append(f"{text:>13}")
        print(" ".join(cells))


def draw(rows, path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(10, 7))
    for panel, curve in zip(panels.flat, CURVES):
        part = [row for row in rows if row["curve"] == curve]
        x = [row[curve] for row in part]
        for name, label in [
            ("token_ratio", "time per target token"),
            ("gflop_ratio", "time per operation"),
            ("product_ratio", "the recurrent product alone"),
        ]:
            if (curve, name) != ("units", "token_ratio"):
                panel.plot(x, [row[name] for row in part], "o-", label=label)
        panel.axhline(1.3, color="gray", linestyle=":")
        panel.set(xscale="log", xlabel=curve, ylabel="over the best point")
        panel.set_xticks(x, x, minor=False)
        panel.set_ylim(bottom=0.9)
        panel.minorticks_off()
        panel.legend()
    part = [row for row in rows if "peak_mb" in row]
    x = [row["length"] for row in part]
    panels[1, 1].plot(x, [row["peak_mb"] for row in part], "o-")
    panels[1, 1].set(xlabel="length", ylabel="peak memory of a step, MB")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main(arguments=None):
    options = parse_arguments(arguments)
    curves = QUICK_CURVES if options.quick else CURVES
    if options.quick:
        options.rounds = 1
    options.output.mkdir(parents=True, exist_ok=True)
    points = list(dict.fromkeys(p for part in curves.values() for p in part))
    memories = peak_memories(curves["length"], options.source_length)
    found = measure(points, options)
    rows = rows_of(curves, found, memories, options.source_length)
    print_rows(rows)
    with open(options.output / "scaling.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["curve", *COLUMNS])
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, options.output / "scaling.png")


if __name__ == "__main__":
    main()
