"""Peak memory and time of a training step, with and without `chunk_size`.

    python tests/benchmarks/output_memory.py

A small Transformer over a large vocabulary, every token real, Adam. Each
variant runs in processes of its own, in turns. Of each:

- peak: the largest resident set of the process, `ru_maxrss`, with Python,
  TensorFlow, the weights and the optimizer's state in it.
- peak of a step: peak minus the resident set just before the first step, when
  weights and optimizer's state are there: what a training step adds. That is
  logits and all else a step holds, gradients and the optimizer's temporaries
  too, and what TensorFlow needs to trace and run a graph at all.
- step: the median time of a training step.

Rounds are combined by their medians; ratios are chunked / whole. To reach:
peak of a step <= 0.5, time <= 1.1.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_model(options):
    import keras

    from keras_s2s.layers.transformer_decoder import TransformerDecoder
    from keras_s2s.layers.transformer_encoder import TransformerEncoder
    from keras_s2s.losses import SequenceLoss
    from keras_s2s.metrics import TokenAccuracy
    from keras_s2s.models import Seq2Seq

    keras.utils.set_random_seed(0)
    sizes = (options.vocabulary, options.dim, 4 * options.dim, 2, 4)
    model = Seq2Seq(
        TransformerEncoder(*sizes, dtype=options.dtype),
        TransformerDecoder(
            *sizes, tie_embeddings=options.tied, dtype=options.dtype
        ),
    )
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer,
        loss=SequenceLoss(label_smoothing=0.1, chunk_size=options.chunk_size),
        metrics=[TokenAccuracy()] if options.accuracy else None,
    )
    return model


def make_batch(options):
    import numpy as np

    random = np.random.default_rng(0)
    source_ids, target_ids, labels = random.integers(
        4, options.vocabulary, (3, options.batch, options.length)
    ).astype("int32")
    return {"source_ids": source_ids, "target_ids": target_ids}, labels


def resident():
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(options):
    """Trains a few steps in this process."""
    model = make_model(options)
    inputs, labels = make_batch(options)
    before = resident()
    times, losses = [], []
    for _ in range(options.steps + 2):
        start = time.perf_counter()
        result = model.train_on_batch(inputs, labels, return_dict=True)
        losses.append(float(result["loss"]))
        times.append(time.perf_counter() - start)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "peak": peak,
        "step_peak": peak - before,
        "step": statistics.median(times[2:]),
        "loss": losses[-1],
    }


def run(arguments, chunk_size):
    """Returns what `measure` finds in a process of its own."""
    command = [sys.executable, __file__, *arguments, "--measure"]
    command += ["--chunk-size", str(chunk_size)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def compare(arguments, chunk_size, rounds):
    """Prints the figures of each variant, and their ratios."""
    variants = {"whole": 0, "chunked": chunk_size}
    found = {name: [] for name in variants}
    for _ in range(rounds):
        for name, size in variants.items():
            found[name].append(run(arguments, size))
    medians = {
        name: {
            key: statistics.median(one[key] for one in results)
            for key in results[0]
        }
        for name, results in found.items()
    }
    for name, result in medians.items():
        print(
            f"{name:8} peak {result['peak'] / 1e6:6.0f} MB, of a step "
            f"{result['step_peak'] / 1e6:6.0f} MB, step {result['step']:.3f} s,"
            f" last loss {result['loss']:.6f}"
        )
    ratios = {
        key: medians["chunked"][key] / medians["whole"][key]
        for key in ("peak", "step_peak", "step")
    }
    print(
        "ratio    peak {peak:.2f}, of a step {step_peak:.2f}, "
        "time {step:.2f}".format(**ratios)
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk-size", type=int, default=512)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        options.chunk_size = options.chunk_size or None
        print(json.dumps(measure(options)))
        return
    compare(sys.argv[1:], options.chunk_size, options.rounds)


if __name__ == "__main__":
    main()
