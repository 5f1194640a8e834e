"""How English words are pronounced: letters to phones, learnt from CMUdict.

"PHOTOGRAPH" is F OW T AH G R AE F. Trains a recurrent encoder and decoder
with attention on the classic training part of the CMU dictionary, 106,837
words without stress, of which 2,670 are held out. They are scored as the
papers do: a word is right if the best hypothesis is any of its pronunciations
(WER, the share of wrong words); PER is the edit distance to the closest
pronunciation, over its phones.

    python examples/pronounce.py --output runs/pronounce

The output folder holds `model.keras`, with the tokenizers inside,
`errors.tsv`, the held-out words that were read wrongly, and `alignment.png`,
which letters each phone of the longest of them was read from. To use it:

    echo "sequence to sequence" | tr ' ' '\\n' |
        python examples/pronounce.py --read runs/pronounce/model.keras

Data: the split of Chen, 2003, as Phonetisaurus keeps it; `--data` reads the
same file, plain or with gzip: word, TAB, phones. The BSD licence of CMUdict.
"""

import argparse
import pathlib
import random
import sys

import jiwer
import keras

import keras_s2s as s2s

ADDRESS = (
    "https://raw.githubusercontent.com/AdolfVonKleist/Phonetisaurus/"
    "master/test/g014b2b/g014b2b.train"
)
NUM_HELD_OUT = 2670


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    path = pathlib.Path
    add("--read", type=path, help="pronounce standard input with a model")
    add("--data", type=path, help="file to read; default: download")
    add("--output", type=path, default=path("runs/pronounce"))
    add("--words", type=int, help="train on the first words only")
    add("--epochs", type=int, default=18)
    add("--batch-size", type=int, default=128)
    add("--embedding-dim", type=int, default=128)
    add("--units", type=int, default=512, help="size of the decoder's state")
    add("--num-layers", type=int, default=2, help="of the encoder")
    add("--dropout", type=float, default=0.3)
    add("--label-smoothing", type=float, default=0.1)
    add("--learning-rate", type=float, default=1e-3, help="at first")
    add("--beam-size", type=int, default=5)
    add("--seed", type=int, default=0)
    return parser.parse_args()


def read_dictionary(path):
    """Returns the pronunciations of each word: a dict of lists of str."""
    if path is None:
        path = keras.utils.get_file(origin=ADDRESS)
    pronunciations = {}
    for number, line in enumerate(s2s.data.read_lines(path), start=1):
        texts = line.split("\t")
        if len(texts) != 2 or not all(texts):
            raise ValueError(f"{path}, line {number}: no word TAB phones.")
        pronunciations.setdefault(texts[0], []).append(texts[1])
    if len(pronunciations) <= NUM_HELD_OUT:
        raise ValueError(
            f"{path} must hold more words than the {NUM_HELD_OUT} that are "
            f"held out. Received: {len(pronunciations)} words."
        )
    return pronunciations


def train_tokenizers(pairs):
    """One letter a piece, and one phone a piece."""
    words, phones = zip(*pairs)
    train = s2s.tokenizers.SentencePieceTokenizer.train
    options = {"hard_vocab_limit": False, "add_dummy_prefix": False}
    return (
        train(words, model_type="char", **options),
        train(phones, model_type="word", **options),
    )


def build_model(tokenizers, num_steps, options):
    source_size, target_size = (
        tokenizer.vocabulary_size for tokenizer in tokenizers
    )
    model = s2s.models.Seq2Seq(
        s2s.layers.RNNEncoder(
            source_size,
            options.embedding_dim,
            options.units // 2,  # in each of two directions
            num_layers=options.num_layers,
            dropout=options.dropout,
        ),
        s2s.layers.RNNDecoder(
            target_size,
            options.embedding_dim,
            options.units,
            dropout=options.dropout,
        ),
    )
    # Falls to 0 with the last step.
    rate = keras.optimizers.schedules.CosineDecay(
        options.learning_rate, num_steps
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate, clipnorm=1.0),
        loss=s2s.losses.SequenceLoss(label_smoothing=options.label_smoothing),
        weighted_metrics=[s2s.metrics.TokenAccuracy()],
    )
    return model


def train(pairs, options):
    """Returns a `TextToText` that has learnt from pairs of strings."""
    tokenizers = train_tokenizers(pairs)
    data = s2s.data.TextPairs(
        *zip(*pairs),
        *tokenizers,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    model = build_model(tokenizers, options.epochs * len(data), options)
    model.fit(data, epochs=options.epochs, shuffle=False)
    inference = s2s.models.InferenceModel(
        model,
        s2s.decoding.BeamSearch(
            options.beam_size, length_penalty="power", alpha=1.0
        ),
        max_length=32,
        return_alignments=True,
    )
    return s2s.models.TextToText(inference, *tokenizers)


def count_errors(hypothesis, references):
    """Returns the edit distance to the closest reference, and its phones."""
    counts = []
    for reference in references:
        found = jiwer.process_words(reference, hypothesis)
        errors = found.substitutions + found.deletions + found.insertions
        counts.append((errors, len(reference.split())))
    return min(counts)


def evaluate(text, pronunciations, path):
    """Prints WER and PER, and writes the words that are read wrongly."""
    words = list(pronunciations)
    hypotheses = text.generate(words, batch_size=128, verbose=1)
    lines, num_errors, num_phones = [], 0, 0
    for word, hypothesis in zip(words, hypotheses):
        references = pronunciations[word]
        errors, phones = count_errors(hypothesis, references)
        num_errors += errors
        num_phones += phones
        if errors:
            lines.append(f"{word}\t{hypothesis}\t{' or '.join(references)}\n")
    path.write_text("".join(lines), encoding="utf-8")
    print(
        f"{len(words)} held-out words: WER {len(lines) / len(words):.2%}, "
        f"PER {num_errors / num_phones:.2%}"
    )


def read(path):
    text = keras.saving.load_model(path)
    words = [line.strip().upper() for line in sys.stdin if line.strip()]
    for word, phones in zip(words, text.generate(words)):
        print(f"{word}\t{phones}")


def main():
    options = parse_options()
    if options.read:
        read(options.read)
        return
    keras.utils.set_random_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    pronunciations = read_dictionary(options.data)
    words = sorted(pronunciations)
    random.Random(0).shuffle(words)
    held_out, words = words[:NUM_HELD_OUT], words[NUM_HELD_OUT:]
    pairs = [
        (word, phones)
        for word in words[: options.words]
        for phones in pronunciations[word]
    ]
    text = train(pairs, options)
    text.save(options.output / "model.keras")
    evaluate(
        text,
        {word: pronunciations[word] for word in held_out},
        options.output / "errors.tsv",
    )
    longest = max(held_out, key=len)
    picture = options.output / "alignment.png"
    s2s.plots.plot_text_alignment(text, longest, picture)


if __name__ == "__main__":
    main()
