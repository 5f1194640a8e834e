"""What a large corpus takes: tokenized to disk, then read for an epoch.

    python tests/benchmarks/large_corpus.py --pairs 10000000 --folder DIR

Generates pairs of sentences of 4 to 24 words, tokenizes both sides with
`tokenize_file`, and reads batches of `SequencePairs` from the files. Prints
pairs a second and the peak of the memory that the process holds, which counts
the pages of the files that it maps; and, on Linux, what it holds at that time
without those, which the system takes back when it needs them.
"""

import argparse
import pathlib
import resource
import time

import numpy as np

import keras_s2s as s2s

NUM_WORDS = 20_000
BLOCK = 100_000  # lines that are generated at once


def make_words(random):
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    lengths = random.integers(2, 10, NUM_WORDS)
    return ["".join(random.choice(letters, length)) for length in lengths]


def write_text(path, words, num_lines, seed):
    random = np.random.default_rng(seed)
    # Few words are frequent, as in texts.
    shares = 1.0 / np.arange(1, NUM_WORDS + 1)
    shares /= shares.sum()
    with open(path, "w", encoding="utf-8") as file:
        for start in range(0, num_lines, BLOCK):
            lengths = random.integers(4, 25, min(BLOCK, num_lines - start))
            drawn = random.choice(NUM_WORDS, lengths.sum(), p=shares)
            drawn = [words[number] for number in drawn]
            ends = np.cumsum(lengths)
            file.writelines(
                " ".join(drawn[end - length : end]) + "\n"
                for end, length in zip(ends, lengths)
            )


def find_own_memory():
    """Returns MiB that are not of a file, or NaN where nobody says so."""
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    sizes = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(sizes[0]) / 1024 if sizes else float("nan")


def report(what, num_pairs, start):
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}: {num_pairs} pairs in {seconds:.1f} s, "
        f"{num_pairs / seconds:,.0f} a second; peak memory {peak:,.0f} MiB, "
        f"own {find_own_memory():,.0f} MiB",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--batches", type=int, default=5000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    words = make_words(np.random.default_rng(0))
    paths = [options.folder / name for name in ("source", "target")]
    for seed, path in enumerate(paths):
        if not path.exists():
            write_text(path, words, options.pairs, seed)
    tokenizer = s2s.tokenizers.SentencePieceTokenizer.train(
        words, vocabulary_size=8000
    )
    report("before", 0, time.perf_counter() - 1.0)
    start = time.perf_counter()
    source, target = (
        s2s.data.tokenize_file(
            path, tokenizer, path.with_suffix(".ids"), add_eos, verbose=0
        )
        for path, add_eos in zip(paths, (True, False))
    )
    report("tokenized", options.pairs, start)
    start = time.perf_counter()
    for text in (source, target):
        s2s.data.TokenizedText(text.folder)
    report("verified", options.pairs, start)
    start = time.perf_counter()
    data = s2s.data.SequencePairs(source, target, batch_tokens=4096)
    report("planned", data.num_pairs, start)
    start, num_pairs = time.perf_counter(), 0
    for number in range(min(options.batches, len(data))):
        num_pairs += len(data[number][1])
    report("read", num_pairs, start)


if __name__ == "__main__":
    main()
