"""How many steps beam search takes by its three ways to stop.

On random models of `tests/decoding/oracles.py`, K beams: the exact rule,
`early_stopping`, and `--max-length`. Counted by the slow search, which the
tests hold the fast one to, step for step. Mean steps of a sentence, and in how
many sentences early stopping returned another best hypothesis.

    python -m tests.benchmarks.stopping
"""

import argparse

import numpy as np

from tests.decoding.oracles import HistoryModel
from tests.decoding.oracles import plain_beam

SETTINGS = {
    "none": ("none", 0.0, True),
    "gnmt 0.6": ("gnmt", 0.6, True),
    "power 1.0": ("power", 1.0, True),
    "power -0.5": ("power", -0.5, True),
    "word reward 0.3": ("none", 0.0, True, {"word_reward": 0.3}),
    "gnmt 0.6, coverage 0.4": ("gnmt", 0.6, True, {"coverage_penalty": 0.4}),
}


def count_steps(model, beam_size, setting):
    """Returns mean steps, exact and early, and where results differ."""
    steps, differ = [], 0
    for sentence in range(model.num_sentences):
        (exact, needed), (early, fewer) = (
            plain_beam(model, sentence, beam_size, setting, early_stopping)
            for early_stopping in (False, True)
        )
        steps.append((needed, fewer))
        differ += exact[0][0] != early[0][0]
    return *np.mean(steps, axis=0), differ / model.num_sentences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=60)
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| penalty | end favoured by, nats | exact | early | differ |")
    print("|---|---|---|---|---|")
    for eos_bias in (1.0, 3.0):
        model = HistoryModel(
            options.sentences,
            options.seed,
            max_length=options.max_length,
            eos_bias=eos_bias,
        )
        for name, setting in SETTINGS.items():
            exact, early, differ = count_steps(
                model, options.beam_size, setting
            )
            print(
                f"| {name} | {eos_bias} | {exact:.2f} | {early:.2f} "
                f"| {differ:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
