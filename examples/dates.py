"""Dates in many languages and spellings, written as 2025-03-03.

"Monday the 3rd of March, 2025", "lunedì 3 marzo 2025", "03.03.2025" and
"3 МАРТА 2025 Г." are the same day. This example writes out random days of a
hundred years, in eleven languages and 46 spellings, and trains a small
encoder and decoder with attention to read them. No day that it is tested on
was seen in training, in any spelling.

What happens, in order: pairs of strings are made; a tokenizer for each side
is trained on them; `Seq2Seq` learns with `model.fit`; `TextToText`, which
shares its weights, reads held-out dates by beam search. The result is saved
as `dates.keras`, one file with the tokenizers inside, and one picture,
`dates_alignment.png`, shows which letters each digit was read from. Half a
minute on two processor cores:

    python examples/dates.py

To use what it saved:

    import keras
    import keras_s2s
    text = keras.saving.load_model("dates.keras")
    text.generate(["Thursday the 1st of May, 1986"])
"""

import argparse
import datetime
import os
import pathlib

import keras
import numpy as np
from babel.dates import format_date

import keras_s2s as s2s

# For each language the spellings that Babel knows by name, and more as
# patterns; {nth} is 1st, 2nd, 3rd ... All name the day, the month and the
# year, and none could be read as two days: so no 3/4/2025.
SPELLINGS = {
    "en_GB": [
        "full",
        "d MMM y",
        "EEE d MMM y",
        "{nth} MMMM y",
        "'the' {nth} 'of' MMMM y",
        "EEEE 'the' {nth} 'of' MMMM, y",
    ],
    "en_US": ["full", "long", "medium", "MMMM {nth}, y", "EEE, MMM {nth}, y"],
    "de": ["full", "long", "medium", "EEEE, 'den' d. MMMM y", "d.M.y"],
    "es": ["full", "long", "medium", "EEEE d 'de' MMMM 'del' y"],
    "fr": ["full", "long", "medium", "'le' EEEE d MMMM y"],
    "it": ["full", "long", "medium"],
    "nl": ["full", "long", "medium"],
    "pl": ["full", "long", "dd.MM.y"],
    "pt": ["full", "long", "medium"],
    "ru": ["full", "long", "medium"],
    "sv": ["full", "long", "medium", "short"],
    "tr": ["full", "long", "medium"],
}
FIRST_DAY = datetime.date(1950, 1, 1)
NUM_DAYS = 36525  # to the end of 2049
NUM_HELD_OUT = 1000
SHOWN = "Monday the 3rd of March, 2025"


def write_out(day, language, spelling):
    """Returns the `day` in words, such as "the 3rd of March 2025"."""
    is_teen = 10 < day.day < 20
    ending = (
        "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    )
    pattern = spelling.replace("{nth}", f"{day.day}'{ending}'")
    return format_date(day, pattern, locale=language)


def make_pairs(days, count, random):
    """Returns `count` different written dates and the ISO form of each."""
    pairs = {}
    while len(pairs) < count:
        day = FIRST_DAY + datetime.timedelta(days=int(random.choice(days)))
        language = random.choice(list(SPELLINGS))
        written = write_out(day, language, random.choice(SPELLINGS[language]))
        written = random.choice([written, written.lower(), written.upper()])
        if pairs.setdefault(str(written), day.isoformat()) != day.isoformat():
            raise ValueError(f"'{written}' can be read as two days.")
    return list(pairs), list(pairs.values())


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--examples", type=int, default=20000, help="pairs to train on")
    add("--epochs", type=int, default=3, help="passes over them")
    add("--units", type=int, default=128, help="size of the recurrent states")
    add("--seed", type=int, default=0, help="of the days and the weights")
    add("--output", type=pathlib.Path, default=".", help="folder to save in")
    return parser.parse_args()


def main():
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    # Of a model this small an operation is over sooner than it is shared out.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    keras.utils.set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    days = random.permutation(NUM_DAYS)
    sources, targets = make_pairs(days[2000:], options.examples, random)
    test_sources, test_targets = make_pairs(days[:2000], NUM_HELD_OUT, random)

    train_tokenizer = s2s.tokenizers.SentencePieceTokenizer.train
    source_tokenizer = train_tokenizer(sources, model_type="char")
    target_tokenizer = train_tokenizer(targets, model_type="char")
    tokenizers = (source_tokenizer, target_tokenizer)

    encoder = s2s.layers.RNNEncoder(
        vocabulary_size=source_tokenizer.vocabulary_size,
        embedding_dim=64,
        units=options.units // 2,  # in each of two directions
        cell="gru",
    )
    decoder = s2s.layers.RNNDecoder(
        vocabulary_size=target_tokenizer.vocabulary_size,
        embedding_dim=32,
        units=options.units,
        cell="gru",
        attention="additive",
    )
    model = s2s.models.Seq2Seq(encoder, decoder)
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3, clipnorm=1.0),
        loss=s2s.losses.SequenceLoss(),
        weighted_metrics=[s2s.metrics.TokenAccuracy()],
    )
    data = s2s.data.TextPairs(
        sources, targets, *tokenizers, batch_size=128, seed=options.seed
    )
    model.fit(data, epochs=options.epochs, shuffle=False)

    search = s2s.decoding.BeamSearch(beam_size=4)
    inference = s2s.models.InferenceModel(
        model, search=search, max_length=16, return_alignments=True
    )
    text = s2s.models.TextToText(inference, *tokenizers)
    answers = text.generate(test_sources, verbose=1)
    for source, answer in list(zip(test_sources, answers))[:10]:
        print(f"{source:>40}  {answer}")
    right = np.mean(np.array(answers) == np.array(test_targets))
    print(f"Exact match on {len(answers)} held-out dates: {right:.1%}")

    text.save(options.output / "dates.keras")
    picture = options.output / "dates_alignment.png"
    s2s.plots.plot_text_alignment(text, SHOWN, picture)
    print(f"Saved dates.keras and dates_alignment.png in {options.output}")


if __name__ == "__main__":
    main()
