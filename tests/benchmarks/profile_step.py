"""Where the time of a training step goes.

For a decoder with and without input feeding, on the batches of the comparison
that `peer.py` belongs to: counted operations, share of the rate that the
machine reaches on a large matrix product, the operations that take the time,
the share that reading the data takes, and XLA on and off. From the root of
the repository:

    python -m tests.benchmarks.profile_step --bench BENCH --work WORK

where BENCH holds `common.py`, and WORK what its `prepare.py` wrote.
"""

import argparse
import collections
import glob
import os
import re
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks import products  # noqa: E402

WARM_UP = 3  # steps


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bench", help="folder of common.py, read before all else")
    add("--work", required=True, help="folder that prepare.py wrote")
    add("--workloads", default="rnn_train,rnn_train_nofeed")
    add("--steps", type=int, default=16, help="timed steps")
    add("--operations", type=int, default=15, help="kinds listed")
    add("--jit", action="store_true", help="time XLA on and off, too")
    return parser.parse_args()


def make_model(input_feeding, jit_compile="auto"):
    import keras

    import keras_s2s as s2s
    from tests.benchmarks import peer

    model = peer.make_model(input_feeding)
    model.compile(
        keras.optimizers.Adam(peer.common.LEARNING_RATE),
        loss=s2s.losses.SequenceLoss(),
        jit_compile=jit_compile,
    )
    return model


def make_batches(work, count):
    from tests.benchmarks.peer import common

    batches = []
    for source, target in common.Data(work).train_batches(count):
        inputs = {"source_ids": source, "target_ids": target[:, :-1]}
        labels = target[:, 1:]
        weights = (labels != common.PAD).astype("float32")
        batches.append((inputs, labels, weights))
    return batches


def seconds_of(model, batch):
    start = time.perf_counter()
    model.train_on_batch(*batch)
    return time.perf_counter() - start


def count(batch, input_feeding):
    """The products of a step; the longest rows have no padding."""
    from tests.benchmarks.peer import common

    inputs, labels, weights = batch
    sizes = products.Sizes(
        common.VOCAB,
        common.EMB,
        common.ENC_UNITS,
        common.DEC_UNITS,
        common.ATT_UNITS,
        input_feeding,
    )
    rows, source = inputs["source_ids"].shape
    return products.products(
        sizes, rows, source, labels.shape[1], int(weights.sum())
    )


def print_products(batches, seconds, input_feeding):
    """Counts every step, and times the products of the middle one."""
    peak = products.peak_gflop_per_s()
    gflop = sum(
        products.training_gflop(count(batch, input_feeding))
        for batch in batches
    )
    rate = gflop / sum(seconds)
    print(
        f"{gflop / len(batches):.2f} GFLOP a step, {rate:.0f} GFLOP/s, "
        f"{rate / peak:.0%} of {peak:.0f} GFLOP/s for a large product"
    )
    middle = sorted(zip(seconds, range(len(seconds))))[len(seconds) // 2][1]
    total = 0.0
    print(
        f"\n{'products of one step':24} {'GFLOP':>8} {'GFLOP/s':>8} {'ms':>8}"
    )
    for product in count(batches[middle], input_feeding):
        part = products.training_gflop([product])
        row = f"{product.name:24} {part:8.3f}"
        # The rest are vectors: the speed of memory, not of products.
        if min(product.rows, product.columns) > 1:
            rate = products.product_gflop_per_s(product, repeats=3)
            total += part / rate
            row += f" {rate:8.0f} {1e3 * part / rate:8.2f}"
        print(row)
    share = total / seconds[middle]
    print(
        f"all of them, each alone: {1e3 * total:.1f} ms, {share:.0%} of the "
        f"step of {1e3 * seconds[middle]:.1f} ms\n"
    )


def print_operations(model, batches, kinds):
    """Time in each kind of TensorFlow operation, from its own profiler."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        wall = sum(seconds_of(model, batch) for batch in batches)
        tf.profiler.experimental.stop()
        (path,) = glob.glob(f"{folder}/plugins/profile/*/*.xplane.pb")
        totals, counts = read_profile(path)
    ms = 1e3 / len(batches)
    everything = sum(totals.values())
    print(f"{'operation':32} {'ms a step':>9} {'share':>6} {'number':>8}")
    for kind, value in totals.most_common(kinds):
        number = counts[kind] / len(batches)
        share = value / everything
        print(f"{kind:32} {ms * value:9.2f} {share:6.1%} {number:8.0f}")
    print(
        f"{'all, over the threads':32} {ms * everything:9.2f}\n"
        f"{'the step, while profiled':32} {ms * wall:9.2f}\n"
    )


def read_profile(path):
    """Returns seconds and number of events by kind of operation.

    What an operation calls is not counted for it, but for itself.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    with open(path, "rb") as file:
        space.ParseFromString(file.read())
    totals, counts = collections.Counter(), collections.Counter()
    for plane in space.planes:
        names = {key: data.name for key, data in plane.event_metadata.items()}
        for line in plane.lines:
            events = [
                (event.offset_ps, event.duration_ps, names[event.metadata_id])
                for event in line.events
            ]
            add_line(events, totals, counts)
    return totals, counts


def add_line(events, totals, counts):
    """Adds the operations of a thread, each without what it calls."""
    open_events = []
    for start, duration, name in sorted(events, key=lambda e: (e[0], -e[1])):
        match = re.fullmatch(r"[^:\s]+:(\w+)", name)
        if not match:
            continue
        while open_events and open_events[-1][0] <= start:
            open_events.pop()
        if open_events:
            totals[open_events[-1][1]] -= 1e-12 * duration
        totals[match[1]] += 1e-12 * duration
        counts[match[1]] += 1
        open_events.append((start + duration, match[1]))


def print_waiting(work, step_seconds):
    """The share of reading in a step, if the two never overlapped."""
    import numpy as np

    import keras_s2s as s2s
    from tests.benchmarks.peer import common

    rows = common.Data(work)._rows
    pairs = s2s.data.SequencePairs(
        rows("train", "en"), rows("train", "de"), batch_size=common.BATCH
    )
    start = time.perf_counter()
    for index in range(len(pairs)):
        pairs[index]
    seconds = (time.perf_counter() - start) / len(pairs)
    share = seconds / (seconds + np.mean(step_seconds))
    print(
        f"data: {1e3 * seconds:.2f} ms a batch over an epoch of {len(pairs)}, "
        f"{share:.2%} of the time if nothing overlaps\n"
    )


def print_jit(input_feeding, batch, steps):
    for jit_compile in (False, True):
        model = make_model(input_feeding, jit_compile)
        first = seconds_of(model, batch)
        later = [seconds_of(model, batch) for _ in range(WARM_UP + steps)]
        ms = 1e3 * statistics.median(later[WARM_UP:])
        print(
            f"jit_compile={jit_compile}: {first:.1f} s for the first step, "
            f"{ms:.1f} ms a step after"
        )
    print()


def main():
    options = parse_arguments()
    batches = make_batches(options.work, WARM_UP + options.steps)
    for workload in options.workloads.split(","):
        input_feeding = workload == "rnn_train"
        model = make_model(input_feeding)
        seconds = [seconds_of(model, batch) for batch in batches][WARM_UP:]
        timed = batches[WARM_UP:]
        tokens = sum(batch[2].sum() for batch in timed)
        print(
            f"== {workload}: {1e3 * statistics.median(seconds):.1f} ms a step, "
            f"{tokens / sum(seconds):.0f} target tokens/s"
        )
        print_products(timed, seconds, input_feeding)
        print_operations(model, timed, options.operations)
        print_waiting(options.work, seconds)
        if options.jit:
            print_jit(input_feeding, timed[0], options.steps)


if __name__ == "__main__":
    main()
