"""What constraints cost: beam search with each of them, and without.

    python tests/benchmarks/constraints.py --rounds 5

Prints a JSON line for each set of constraints: the median seconds of a batch,
and ratios to the plain search: of medians, of the fastest, of processor time,
and, by quartiles, of the rounds in which all take turns. An end token is
never likely, so that all searches take as many steps.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import keras_s2s as s2s

FIRST, EOS = 4, 3  # ids below are bos, eos, padding and unknown


def make_model(options):
    sizes = (options.vocabulary_size, options.units, 4 * options.units, 3, 4)
    encoder = s2s.layers.TransformerEncoder(*sizes)
    decoder = s2s.layers.TransformerDecoder(*sizes, tie_embeddings=True)
    model = s2s.models.Seq2Seq(encoder, decoder, share_embeddings=True)
    bias = np.zeros(options.vocabulary_size, "float32")
    bias[[0, EOS]] = -1e9
    model.decoder.output_layer.bias.assign(bias)
    return model


def make_sets(options, random):
    """Returns constraints, and what they are told, by name."""
    decoding = s2s.decoding
    batch, size = options.batch_size, options.vocabulary_size

    def draw(*shape):
        return random.integers(FIRST, size, shape).astype("int32")

    shortlists = draw(batch, options.shortlist)
    shortlists[:, 0] = EOS
    return {
        "plain": ([], {}),
        "NoRepeatNgrams(3)": ([decoding.NoRepeatNgrams(3)], {}),
        "RepetitionPenalty(1.3)": ([decoding.RepetitionPenalty(1.3)], {}),
        "ForbiddenPhrases, 4 of 2": (
            [decoding.ForbiddenPhrases(draw(4, 2).tolist())],
            {},
        ),
        "ForbiddenPhrases, told 4 of 2": (
            [decoding.ForbiddenPhrases()],
            {"forbidden_ids": draw(batch, 4, 2)},
        ),
        "MinimumLength(10)": ([decoding.MinimumLength(10)], {}),
        "ForcedPrefix, told 4": (
            [decoding.ForcedPrefix()],
            {"prefix_ids": draw(batch, 4)},
        ),
        f"Shortlist, told {options.shortlist}": (
            [decoding.Shortlist()],
            {"shortlist_ids": shortlists},
        ),
        "RequiredPhrases, told 1 of 2": (
            [decoding.RequiredPhrases()],
            {"required_ids": draw(batch, 1, 2)},
        ),
        "RequiredPhrases, told 4 of 2": (
            [decoding.RequiredPhrases()],
            {"required_ids": draw(batch, 4, 2)},
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--vocabulary-size", type=int, default=8000)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--source-length", type=int, default=30)
    parser.add_argument("--max-length", type=int, default=40)
    parser.add_argument("--shortlist", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="parts of names to run")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    model = make_model(options)
    source_ids = random.integers(
        FIRST,
        options.vocabulary_size,
        (options.batch_size, options.source_length),
    )
    calls, seconds = {}, {}
    for name, (constraints, told) in make_sets(options, random).items():
        if options.only and not any(
            p in name for p in ["plain", *options.only]
        ):
            continue
        search = s2s.decoding.BeamSearch(
            options.beam_size, constraints=constraints
        )
        inference = s2s.models.InferenceModel(model, search, options.max_length)
        batch = {"source_ids": source_ids, **told} if told else source_ids
        calls[name] = lambda inference=inference, batch=batch: (
            inference.predict_on_batch(batch)
        )
        calls[name]()  # traces
        seconds[name] = []
    for _ in range(options.rounds):
        for name, call in calls.items():
            start = time.perf_counter(), time.process_time()
            call()
            end = time.perf_counter(), time.process_time()
            seconds[name].append(np.subtract(end, start))
    for name in calls:
        print(json.dumps({"constraints": name, **compare(seconds, name)}))


def compare(seconds, name):
    """Returns figures of one set of constraints, beside the plain search."""
    wall, processor = np.transpose(seconds[name])
    plain_wall, plain_processor = np.transpose(seconds["plain"])
    rounds = np.quantile(wall / plain_wall, [0.25, 0.5, 0.75])
    ratios = {
        "ratio": np.median(wall) / np.median(plain_wall),
        "fastest_ratio": wall.min() / plain_wall.min(),
        "processor_ratio": np.median(processor) / np.median(plain_processor),
    }
    return {
        "seconds": round(float(np.median(wall)), 4),
        **{key: round(float(value), 3) for key, value in ratios.items()},
        "round_ratio_quartiles": rounds.round(3).tolist(),
    }


if __name__ == "__main__":
    main()
