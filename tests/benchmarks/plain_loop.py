"""What the scan brings to the examples: training steps beside a plain loop.

    python -m tests.benchmarks.plain_loop [--steps N]

Times the training steps of the models of `examples/dates.py` and
`examples/translate.py`, on random ids of lengths like theirs, in turn with
the same models whose recurrence is a loop that TensorFlow differentiates by
itself, whose padding is computed as everything else and whose optimizer is
not compiled. Prints medians and their ratio.
"""

import argparse
import contextlib
import time
from unittest import mock

import keras
import numpy as np

import keras_s2s as s2s
from keras_s2s.models import seq2seq
from keras_s2s.recurrence import layout
from keras_s2s.recurrence import tensorflow as room

# Sizes of vocabularies, embeddings and layers; lengths; dropout, smoothing.
EXAMPLES = {
    "dates": {
        "vocabulary": (60, 20),
        "embedding": (64, 32),
        "units": 128,
        "source_length": (8, 34),
        "target_length": (10, 11),
        "dropout": 0.0,
        "label_smoothing": 0.0,
    },
    "translate": {
        "vocabulary": (8000, 8000),
        "embedding": (256, 256),
        "units": 256,
        "source_length": (6, 24),
        "target_length": (6, 26),
        "dropout": 0.4,
        "label_smoothing": 0.1,
    },
}


def make_model(sizes):
    encoder = s2s.layers.RNNEncoder(
        sizes["vocabulary"][0],
        sizes["embedding"][0],
        sizes["units"] // 2 if sizes["units"] == 128 else sizes["units"],
        cell="gru",
        dropout=sizes["dropout"],
    )
    decoder = s2s.layers.RNNDecoder(
        sizes["vocabulary"][1],
        sizes["embedding"][1],
        sizes["units"],
        cell="gru",
        dropout=sizes["dropout"],
    )
    model = s2s.models.Seq2Seq(encoder, decoder)
    model.compile(
        keras.optimizers.Adam(2e-3),
        loss=s2s.losses.SequenceLoss(label_smoothing=sizes["label_smoothing"]),
    )
    return model


def make_data(sizes, steps):
    random = np.random.default_rng(0)

    def side(vocabulary, bounds):
        lengths = random.integers(bounds[0], bounds[1], 64 * steps)
        return [random.integers(4, vocabulary, n).tolist() for n in lengths]

    return s2s.data.SequencePairs(
        side(sizes["vocabulary"][0], sizes["source_length"]),
        side(sizes["vocabulary"][1], sizes["target_length"]),
        batch_size=64,
    )


@contextlib.contextmanager
def plainly():
    """Has what is traced inside do without everything that makes it fast."""
    with (
        mock.patch.object(room.record, "could_possibly_record", lambda: False),
        mock.patch.object(layout, "PACKS", False),
        mock.patch.object(seq2seq, "HAS_DYNAMIC_SHAPES", False),
        mock.patch.object(
            seq2seq, "fast_updates", lambda _: contextlib.nullcontext()
        ),
    ):
        yield


def measure(sizes, steps):
    """Returns the median seconds of a step: plain, and as it is."""
    models = [make_model(sizes), make_model(sizes)]
    contexts = [plainly, contextlib.nullcontext]
    data = make_data(sizes, steps + 4)
    seconds = [[], []]
    for number in range(len(data)):
        for model, context, spent in zip(models, contexts, seconds):
            start = time.perf_counter()
            with context():
                model.train_on_batch(*data[number])
            spent.append(time.perf_counter() - start)
    return [float(np.median(spent[4:])) for spent in seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    for name, sizes in EXAMPLES.items():
        plain, ours = measure(sizes, options.steps)
        print(
            f"{name}: {1e3 * plain:.1f} ms a step as a plain loop, "
            f"{1e3 * ours:.1f} ms by the scan, {plain / ours:.2f} times"
        )


if __name__ == "__main__":
    main()
