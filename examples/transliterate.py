"""Names from English into Russian letters: "yoritoshi" is "ёритоси".

Trains a Transformer, letter by letter, on 105,371 names of Wikidata, and
scores it on 26,342 others by the share of names whose best hypothesis is the
reference:

    python examples/transliterate.py --output runs/transliterate

The output folder holds `model.keras`, with the tokenizers inside, and
`alignment.png`, which letters each letter of a name was read from. Then:

    echo yoritoshi | python examples/transliterate.py \\
        --read runs/transliterate/model.keras

Data: Merhav and Ash, 2018, https://aclanthology.org/C18-1053, CC0. Each line
is a name in English, TAB, the same in Russian with a space between letters,
TAB, and how often it occurs. `--train` and `--test` read other files of this
form, plain or with gzip, of any two alphabets.
"""

import argparse
import os
import pathlib
import sys

import keras

import keras_s2s as s2s

ADDRESS = (
    "https://raw.githubusercontent.com/steveash/"
    "NETransliteration-COLING2018/master/data"
)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    path = pathlib.Path
    add("--read", type=path, help="transliterate standard input with a model")
    add("--train", type=path, help="file to learn from; default: download")
    add("--test", type=path, help="file to be scored on; default: download")
    add("--output", type=path, default=path("runs/transliterate"))
    add("--names", type=int, help="train and score on the first names only")
    add("--epochs", type=int, default=20)
    add("--batch-tokens", type=int, default=2048)
    add("--embedding-dim", type=int, default=192)
    add("--num-layers", type=int, default=3)
    add("--dropout", type=float, default=0.2)
    add("--learning-rate", type=float, default=1.5e-3, help="the highest")
    add("--beam-size", type=int, default=4)
    add("--seed", type=int, default=0)
    return parser.parse_args()


def read_names(path, name, limit):
    """Returns the names of a file in English, and in Russian."""
    if path is None:
        path = keras.utils.get_file(origin=f"{ADDRESS}/{name}")
    rows = [line.split("\t") for line in s2s.data.read_lines(path)[:limit]]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2 or not all(row[:2]):
            raise ValueError(f"{path}, line {number}: no name TAB name.")
    return [row[0] for row in rows], [row[1].replace(" ", "") for row in rows]


def build_model(source_size, target_size, num_steps, options):
    sizes = {
        "embedding_dim": options.embedding_dim,
        "hidden_dim": 4 * options.embedding_dim,
        "num_layers": options.num_layers,
        "num_heads": 4,
        "dropout": options.dropout,
    }
    model = s2s.models.Seq2Seq(
        s2s.layers.TransformerEncoder(source_size, **sizes),
        s2s.layers.TransformerDecoder(target_size, **sizes),
    )
    # Rises for a tenth of the steps, and falls to 0 with the last.
    num_warmup = num_steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        num_steps - num_warmup,
        warmup_target=options.learning_rate,
        warmup_steps=num_warmup,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate, beta_2=0.98),
        loss=s2s.losses.SequenceLoss(label_smoothing=0.1),
        weighted_metrics=[s2s.metrics.SequenceAccuracy()],
    )
    return model


def train(options):
    sources, targets = read_names(options.train, "wd_russian_64", options.names)
    tokenizers = [
        s2s.tokenizers.SentencePieceTokenizer.train(
            names, model_type="char", add_dummy_prefix=False
        )
        for names in (sources, targets)
    ]
    data = s2s.data.TextPairs(
        sources,
        targets,
        *tokenizers,
        batch_tokens=options.batch_tokens,
        seed=options.seed,
    )
    model = build_model(
        *(tokenizer.vocabulary_size for tokenizer in tokenizers),
        options.epochs * len(data),
        options,
    )
    model.fit(data, epochs=options.epochs, shuffle=False)
    search = s2s.decoding.BeamSearch(options.beam_size)
    inference = s2s.models.InferenceModel(
        model, search, max_length=48, return_alignments=True
    )
    text = s2s.models.TextToText(inference, *tokenizers)
    text.save(options.output / "model.keras")
    return text


def evaluate(text, options):
    sources, targets = read_names(options.test, "wd_russian_16", options.names)
    hypotheses = text.generate(sources, batch_size=256, verbose=1)
    pairs = list(zip(sources, targets, hypotheses))
    for source, target, hypothesis in pairs[:10]:
        print(f"{source:>20}  {hypothesis:20}  {target}")
    right = sum(target == hypothesis for _, target, hypothesis in pairs)
    print(f"Accuracy on {len(pairs)} names: {right / len(pairs):.2%}")
    return sources


def read(path):
    text = keras.saving.load_model(path)
    names = sys.stdin.read().lower().splitlines()
    print(*text.generate(names), sep="\n")


def main():
    options = parse_options()
    if os.cpu_count() == 2:
        # Each core then has half of a batch, and not half of an operation.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    if options.read:
        read(options.read)
        return
    keras.utils.set_random_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    text = train(options)
    names = evaluate(text, options)
    picture = options.output / "alignment.png"
    s2s.plots.plot_text_alignment(text, names[0], picture)


if __name__ == "__main__":
    main()
