r"""English to German and to French on Multi30k: one model for both.

By default, one encoder of English with a decoder for each language, trained
together, so that English is learnt and computed once for both:

    python examples/multilingual.py --output runs/multilingual

`--single de` trains English to German alone, of the same sizes, to compare:
what the second language costs in time, and what it changes in BLEU.
`--language-token` trains one decoder for both instead; a token in front of
the English, <2de> or <2fr>, says what is wanted.

In the end, test_2016_flickr is scored with sacreBLEU. As in translate.py
there are two scales that do not compare: `--tokenized` trains and scores on
lowercased, tokenised text, as the papers do; without it text is raw.

The output folder then holds a model for each language, en-de.keras and
en-fr.keras, with its tokenizers inside, or one model, en-any.keras, with
`--language-token`. To use them:

    python examples/translate.py --translate runs/multilingual/en-fr.keras \
        < lines

Data: Elliott et al., 2016, https://github.com/multi30k/dataset, free for
research. `--data` reads the same files from a folder, plain or with .gz.
Models: Dong et al., 2015, https://aclanthology.org/P15-1166; Johnson et al.,
2017 (the token), https://arxiv.org/abs/1611.04558; Kasai et al., 2021 (deep
encoder, shallow decoder), https://arxiv.org/abs/2006.10369.
"""

import argparse
import pathlib
import statistics
import time

import keras
import sacrebleu

import keras_s2s as s2s

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1"
LANGUAGES = ("de", "fr")
MAX_LENGTH = 80  # tokens of a translation


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    path = pathlib.Path
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--single", choices=LANGUAGES, help="one pair alone")
    kind.add_argument("--language-token", action="store_true")
    add("--data", type=path, help="folder to read; default: download")
    add("--output", type=path, default=path("runs/multilingual"))
    add("--tokenized", action="store_true", help="as the papers score")
    add("--examples", type=int, help="train on the first lines only")
    add("--epochs", type=int, default=20)
    add("--batch-tokens", type=int, default=4096)
    add("--vocabulary-size", type=int, default=4000, help="of a language")
    add("--embedding-dim", type=int, default=128)
    add("--hidden-dim", type=int, default=256, help="of feed-forward layers")
    add("--encoder-layers", type=int, default=6)
    add("--decoder-layers", type=int, default=1)
    add("--num-heads", type=int, default=4)
    add("--dropout", type=float, default=0.2)
    add("--label-smoothing", type=float, default=0.1)
    add("--learning-rate", type=float, default=5e-3, help="the highest")
    add("--warmup-steps", type=int, default=1000)
    add("--average", type=int, default=5, help="epochs that are averaged")
    add("--beam-size", type=int, default=5, help="for the test set")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def read_lines(split, language, options):
    """Returns the lines of "train", "val" or a test set."""
    name, ending = f"raw/{split}.{language}", ".gz"
    if options.tokenized:
        name, ending = f"tok/{split}.lc.norm.tok.{language}", ""
    if options.data is None:
        name += ending
        path = keras.utils.get_file(
            origin=f"{ADDRESS}/{name}", fname=f"multi30k-{name[4:]}"
        )
    else:
        path = options.data / name
        if not path.exists():
            path = path.with_name(f"{path.name}.gz")
    lines = s2s.data.read_lines(path)
    return lines[: options.examples] if split == "train" else lines


def ask(sources, language):
    """Puts the token of a language in front of each line."""
    return [f"<2{language}> {line}" for line in sources]


def read_pairs(split, options):
    """Returns English lines and targets: a list, or a list by language."""
    sources = read_lines(split, "en", options)
    if options.single:
        return sources, read_lines(split, options.single, options)
    targets = {name: read_lines(split, name, options) for name in LANGUAGES}
    if not options.language_token:
        return sources, targets
    asked = [line for name in LANGUAGES for line in ask(sources, name)]
    return asked, [line for lines in targets.values() for line in lines]


def train_tokenizer(texts, size, symbols=()):
    return s2s.tokenizers.SentencePieceTokenizer.train(
        texts,
        vocabulary_size=size,
        hard_vocab_limit=False,  # fewer, where the text has no more
        user_defined_symbols=symbols,
    )


def train_tokenizers(sources, targets, options):
    """Returns that of the sources and that, or those, of the targets."""
    size = options.vocabulary_size
    if options.language_token:
        symbols = [f"<2{name}>" for name in LANGUAGES]
        return (
            train_tokenizer(sources, size, symbols),
            train_tokenizer(targets, len(LANGUAGES) * size),
        )
    if options.single:
        return train_tokenizer(sources, size), train_tokenizer(targets, size)
    return train_tokenizer(sources, size), {
        name: train_tokenizer(lines, size) for name, lines in targets.items()
    }


def build_model(source_tokenizer, target_tokenizer, options):
    def build(kind, tokenizer, num_layers, **others):
        return kind(
            tokenizer.vocabulary_size,
            options.embedding_dim,
            options.hidden_dim,
            num_layers,
            options.num_heads,
            dropout=options.dropout,
            **others,
        )

    def build_decoder(tokenizer):
        return build(
            s2s.layers.TransformerDecoder,
            tokenizer,
            options.decoder_layers,
            tie_embeddings=True,
        )

    encoder = build(
        s2s.layers.TransformerEncoder, source_tokenizer, options.encoder_layers
    )
    if isinstance(target_tokenizer, dict):
        decoders = {
            name: build_decoder(tokenizer)
            for name, tokenizer in target_tokenizer.items()
        }
        return s2s.models.OneToMany(encoder, decoders)
    return s2s.models.Seq2Seq(encoder, build_decoder(target_tokenizer))


class EpochTimer(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)

    def on_train_end(self, logs=None):
        # The first epoch builds graphs, too.
        seconds = statistics.median(self.seconds[1:] or self.seconds)
        print(f"{seconds:.1f} seconds an epoch, median after the first")


def train(options):
    """Returns models from text to text, by what they translate to."""
    sources, targets = read_pairs("train", options)
    tokenizers = train_tokenizers(sources, targets, options)
    model = build_model(*tokenizers, options)
    schedule = s2s.schedules.InverseSquareRoot(
        options.learning_rate, options.warmup_steps
    )
    model.compile(
        keras.optimizers.Adam(schedule, beta_2=0.98),
        loss=s2s.losses.SequenceLoss(label_smoothing=options.label_smoothing),
    )
    model.fit(
        s2s.data.TextPairs(
            sources,
            targets,
            *tokenizers,
            batch_tokens=options.batch_tokens,
            seed=options.seed,
        ),
        epochs=options.epochs,
        validation_data=s2s.data.TextPairs(
            *read_pairs("val", options), *tokenizers, shuffle=False
        ),
        callbacks=[
            EpochTimer(),
            s2s.callbacks.AverageWeights(options.average),
        ],
    )
    source_tokenizer, target_tokenizer = tokenizers
    pairs = {options.single or "any": (model, target_tokenizer)}
    if isinstance(target_tokenizer, dict):
        pairs = {
            name: (model.pair(name), tokenizer)
            for name, tokenizer in target_tokenizer.items()
        }
    search = s2s.decoding.BeamSearch(
        beam_size=options.beam_size, length_penalty="power", alpha=1.0
    )
    return {
        name: s2s.models.TextToText(
            s2s.models.InferenceModel(pair, search, max_length=MAX_LENGTH),
            source_tokenizer,
            tokenizer,
        )
        for name, (pair, tokenizer) in pairs.items()
    }


def evaluate(translators, options):
    """Prints the BLEU of each language on the test set."""
    sources = read_lines("test_2016_flickr", "en", options)
    metric = sacrebleu.BLEU(
        tokenize="none" if options.tokenized else "13a", force=True
    )
    for name in [options.single] if options.single else LANGUAGES:
        references = read_lines("test_2016_flickr", name, options)
        if options.language_token:
            answers = translators["any"].generate(ask(sources, name))
        else:
            answers = translators[name].generate(sources)
        print(name, metric.corpus_score(answers, [references]))
        for line in (sources[0], references[0], answers[0]):
            print("   ", line)


def main():
    options = parse_options()
    keras.utils.set_random_seed(options.seed)
    translators = train(options)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, translator in translators.items():
        translator.save(options.output / f"en-{name}.keras")
    evaluate(translators, options)


if __name__ == "__main__":
    main()
