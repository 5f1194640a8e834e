"""What each way to decode brings: BLEU and time a sentence.

    python tests/benchmarks/search_quality.py --source test_2016_flickr.en \
        --references test_2016_flickr.de --models a.keras b.keras c.keras

The models are `TextToText` files of one vocabulary, as `translate.py` writes
them with different `--seed`. The first is decoded by every search, all
together as an ensemble. Prints a table in Markdown: BLEU of sacreBLEU on
tokens as they are (`--tokenize` for others), and milliseconds a sentence,
batches of 64, without the time of tracing.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# What the table calls beams and their penalties.
BEAMS = {
    "beam 2": 2,
    "beam 5": 5,
    "beam 10": 10,
}
PENALTIES = {
    "": {},
    ", GNMT length penalty 0.6": {"length_penalty": "gnmt", "alpha": 0.6},
    ", power length penalty 1": {"length_penalty": "power", "alpha": 1.0},
    ", word reward 0.3": {"word_reward": 0.3},
    ", GNMT 0.6 and coverage penalty 0.2": {
        "length_penalty": "gnmt",
        "alpha": 0.6,
        "coverage_penalty": 0.2,
    },
}


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    path = pathlib.Path
    parser.add_argument("--source", type=path, required=True)
    parser.add_argument("--references", type=path, required=True)
    parser.add_argument("--models", type=path, nargs="+", required=True)
    parser.add_argument("--sentences", type=int, help="the first alone")
    parser.add_argument("--max-length", type=int, default=80)
    parser.add_argument("--samples", type=int, default=32, help="0: no samples")
    parser.add_argument("--tokenize", default="none")
    return parser.parse_args()


def make_searches(samples):
    """Yields a name, a search, how many models and a utility or None."""
    from keras_s2s.decoding import BeamSearch
    from keras_s2s.decoding import GreedySearch
    from keras_s2s.decoding import RandomSampling

    yield "greedy", GreedySearch(), False, None
    best = PENALTIES[", power length penalty 1"]
    for beam, size in BEAMS.items():
        for penalty, options in PENALTIES.items():
            if size == 5 or options in ({}, best):
                search = BeamSearch(size, **options)
                yield beam + penalty, search, False, None
    yield "ensemble, greedy", GreedySearch(), True, None
    yield (
        "ensemble, beam 5, power length penalty 1",
        BeamSearch(5, **best),
        True,
        None,
    )
    if not samples:
        return
    drawn = RandomSampling(num_samples=samples, seed=0)
    yield f"minimum Bayes risk, {samples} samples, chrF", drawn, False, "chrf"


def make_text(texts, search, options):
    """Returns the models, as one where there are more, with a search."""
    import keras_s2s as s2s

    first = texts[0].inference
    if len(texts) > 1:
        inference = s2s.models.InferenceModel(
            s2s.models.Ensemble(texts),
            search,
            options.max_length,
            first.bos_id,
            first.eos_id,
            first.pad_id,
        )
    else:
        inference = first.with_search(search)
    return s2s.models.TextToText(
        inference, texts[0].source_tokenizer, texts[0].target_tokenizer
    )


def main():
    options = parse_options()
    import keras
    import sacrebleu

    import keras_s2s as s2s

    texts = [keras.saving.load_model(path) for path in options.models]
    sources, references = (
        s2s.data.read_lines(path)[: options.sentences]
        for path in (options.source, options.references)
    )
    metric = sacrebleu.BLEU(tokenize=options.tokenize, force=True)
    print("| search | BLEU | ms a sentence |\n|---|---|---|")
    for name, search, is_ensemble, utility in make_searches(options.samples):
        own = texts if is_ensemble else texts[:1]
        if is_ensemble and len(texts) == 1:
            continue
        text = make_text(own, search, options)
        text.generate(sources[:2], utility=utility)  # traces
        start = time.perf_counter()
        found = text.generate(sources, utility=utility)
        seconds = time.perf_counter() - start
        score = metric.corpus_score(found, [references]).score
        each = 1000 * seconds / len(sources)
        print(f"| {name} | {score:.2f} | {each:.1f} |", flush=True)


if __name__ == "__main__":
    main()
