"""English to German on Multi30k: train, evaluate, keep, resume, translate.

Trains an encoder and a decoder with attention on 29,000 image captions, which
are downloaded on the first run, and scores the 1,000 captions of
test_2016_flickr with sacreBLEU:

    python examples/translate.py --output runs/en-de

Two scales of BLEU are in use, and they do not compare. The papers score
lowercased, tokenised text: `--tokenized` trains and scores on those files.
Without it, the text is raw, and the score is cased BLEU of whole sentences.

One vocabulary and one embedding are for both languages and the output.
`--architecture transformer` trains a tiny Transformer instead of a recurrent
model: two passes compared (R-Drop) in the last epochs, and in the end the
average of their weights. The models and their recipes are in `translators.py`,
beside this file.

The output folder holds `model.keras`, the best model by validation BLEU with
its tokenizers inside, and `history.csv`, one row an epoch. An interrupted
run, even a killed one, goes on from its last whole epoch when the same
command is given again with `--resume`. Several workers, which TF_CONFIG
names, train as one, and the first of them writes. Then, to use the model:

    python examples/translate.py --translate runs/en-de/model.keras < lines

Data: Elliott et al., 2016, https://github.com/multi30k/dataset, free for
research. `--data` reads the same files from a folder, plain or with .gz:
raw/train.en, tok/train.lc.norm.tok.en, and so on.
"""

import argparse
import csv
import os
import pathlib
import sys
import time

import alignments  # this and the models are beside this file
import keras
import sacrebleu
import tensorflow as tf
import translators

import keras_s2s as s2s

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1"


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    path = pathlib.Path
    add("--translate", type=path, help="translate standard input with a model")
    add("--data", type=path, help="folder to read; default: download")
    add("--output", type=path, default=path("runs/translate"))
    add("--source", default="en", help="language: en, de, fr")
    add("--target", default="de", help="language: en, de, fr")
    add("--tokenized", action="store_true", help="as the papers score")
    add("--architecture", default="rnn", choices=list(translators.RECIPES))
    add("--resume", action="store_true", help="go on with a run")
    add("--examples", type=int, help="train on the first pairs only")
    add("--epochs", type=int)
    add("--minutes", type=float, default=float("inf"), help="train at most")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--batch-size", type=int, help="pairs")
    size.add_argument("--batch-tokens", type=int, help="of the longer side")
    add("--vocabulary-size", type=int, help="at most")
    add("--model-type", help="of SentencePiece: unigram, bpe, char, word")
    add(
        "--shared",
        action=argparse.BooleanOptionalAction,
        help="one vocabulary and embedding for both languages",
    )
    add("--cell", default="gru", help="gru, lstm or conditional_gru")
    add("--readout", help="of the recurrent decoder: attentional, deep")
    add("--embedding-dim", type=int)
    add("--units", type=int, help="of recurrent layers")
    add("--hidden-dim", type=int, help="of feed-forward layers")
    add("--num-layers", type=int)
    add("--num-heads", type=int)
    add("--dropout", type=float)
    add("--label-smoothing", type=float, default=0.1)
    add("--untied", action="store_true", help="no embedding is the output's")
    add("--sampling-alpha", type=float, help="cut words anew in each epoch")
    add("--own-words", type=float, help="highest share that training reads")
    add("--r-drop", type=float, help="weight of R-Drop")
    add("--r-drop-after", type=int, help="as many epochs without it")
    add(
        "--guided-alignment",
        type=float,
        default=0.0,
        help="weight of a loss that leads the attention by alignments.txt of "
        "the output folder, which IBM model 2 writes if it is not there",
    )
    add("--learning-rate", type=float, help="the highest")
    add("--schedule", choices=["decay", "constant", "noam"], help="of the rate")
    add("--warmup-steps", type=int, default=2000, help="of --schedule noam")
    add("--average", type=int, help="epochs whose weights are averaged")
    add("--score-every", type=int, help="epochs from one BLEU to the next")
    add("--beam-size", type=int, default=5, help="for the test set")
    add("--alpha", type=float, help="exponent of its length penalty")
    add("--max-length", type=int, default=80, help="of what is generated")
    add("--seed", type=int, default=0)
    add(
        "--mixed-precision",
        action=argparse.BooleanOptionalAction,
        default=translators.multiplies_bfloat16(),
        help="products in bfloat16; default: if the processor has them",
    )
    add("--jit", action="store_true", help="compile with XLA")
    architecture = parser.parse_known_args()[0].architecture
    parser.set_defaults(**translators.RECIPES[architecture])
    options = parser.parse_args()
    for name in ("batch_size", "batch_tokens"):
        if vars(options)[name] is not None:
            options.batch = {name: vars(options)[name]}
    if options.minutes < float("inf") and "TF_CONFIG" in os.environ:
        parser.error("--minutes is for one worker: several end together.")
    if options.guided_alignment and options.sampling_alpha is not None:
        parser.error(
            "--guided-alignment wants words that are always cut alike."
        )
    return options


def read_split(split, options):
    """Returns the lines of both languages of "train", "val" or a test set."""
    lines = []
    for language in (options.source, options.target):
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
        lines.append(s2s.data.read_lines(path))
    return lines


def build_tokenizer(name, texts, options):
    """Returns the tokenizer in the output folder, trained if not yet there."""
    path = options.output / f"{name}.model"
    if not path.exists():
        tokenizer = s2s.tokenizers.SentencePieceTokenizer.train(
            texts,
            vocabulary_size=options.vocabulary_size,
            model_type=options.model_type,
            hard_vocab_limit=False,  # fewer, where the text has no more
        )
        replace_file(path, tokenizer.save)
    return s2s.tokenizers.SentencePieceTokenizer(path)


def build_tokenizers(sources, targets, options):
    """Returns one for each side, the same for both if it is shared."""
    if options.shared:
        return [build_tokenizer("shared", sources + targets, options)] * 2
    return [
        build_tokenizer("source", sources, options),
        build_tokenizer("target", targets, options),
    ]


def build_data(sources, targets, tokenizers, options):
    """Returns the pairs to train on, with alignments if they are to guide."""
    rules = {**options.batch, "seed": options.seed}
    if not options.guided_alignment:
        alpha = options.sampling_alpha
        return s2s.data.TextPairs(
            sources, targets, *tokenizers, sampling_alpha=alpha, **rules
        )
    source_tokenizer, target_tokenizer = tokenizers
    ids = [
        source_tokenizer.encode(sources, add_eos=True),
        target_tokenizer.encode(targets),
    ]
    path = options.output / "alignments.txt"
    if not path.exists():
        print(f"IBM model 2 aligns {len(sources)} pairs, which takes minutes.")
        lines = alignments.align([row[:-1] for row in ids[0]], ids[1])
        text = "".join(f"{line}\n" for line in lines)
        replace_file(path, lambda path: path.write_text(text))
    return s2s.data.AlignedPairs(*ids, s2s.data.read_lines(path), **rules)


def replace_file(path, write):
    """Writes a file so that a kill leaves the old one or the new one whole."""
    new_path = path.with_name(f"new-{os.getpid()}-{path.name}")
    write(new_path)
    os.replace(new_path, path)


class Progress(keras.callbacks.Callback):
    """Lowers the learning rate, and keeps the history and the best model."""

    def __init__(self, text, options):
        super().__init__()
        self.text = text
        self.options = options
        self.best = 0.0
        self.end_time = time.monotonic() + 60 * options.minutes

    def write_history(self, path):
        logs = self.logs
        history = self.model.history.history  # of the epochs before
        columns = [[*history.get(name, []), logs[name]] for name in logs]
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *logs])
            writer.writerows(zip(range(1, len(columns[0]) + 1), *columns))

    def on_epoch_begin(self, epoch, logs=None):
        if self.options.schedule == "decay":
            # Constant for the first half, then linear to 0.
            factor = min(1.0, 2.0 * (1.0 - epoch / self.options.epochs))
            rate = factor * self.options.learning_rate
            self.model.optimizer.learning_rate = rate

    def on_epoch_end(self, epoch, logs=None):
        if not self.options.leads:
            return
        self.logs = logs
        if logs["val_bleu"] >= self.best:
            self.best = logs["val_bleu"]
            replace_file(self.options.output / "model.keras", self.text.save)
        replace_file(self.options.output / "history.csv", self.write_history)
        self.model.stop_training = time.monotonic() > self.end_time

    def keep_average(self):
        """Makes `model.keras` the mean of the last epochs' weights."""
        weights = []
        for path in self.options.output.glob("epoch-*.weights.h5"):
            self.model.load_weights(path)
            weights.append(self.model.get_weights())
        means = [sum(part) / len(part) for part in zip(*weights)]
        self.model.set_weights(means)
        replace_file(self.options.output / "model.keras", self.text.save)


def train(options):
    options.output.mkdir(parents=True, exist_ok=True)
    if (options.output / "history.csv").exists() and not options.resume:
        sys.exit(f"{options.output} holds a run: --resume it, or choose anew.")
    sources, targets = read_split("train", options)
    sources = sources[: options.examples]
    targets = targets[: options.examples]
    tokenizers = build_tokenizers(sources, targets, options)
    data = build_data(sources, targets, tokenizers, options)
    num_updates = options.epochs * len(data)
    with options.strategy.scope():
        model, optimizer = translators.build_model(*tokenizers, options)
    search = s2s.decoding.BeamSearch(
        beam_size=options.beam_size, length_penalty="power", alpha=options.alpha
    )
    text, greedy = (
        s2s.models.TextToText(
            s2s.models.InferenceModel(
                model, search, max_length=options.max_length
            ),
            *tokenizers,
        )
        for search in (search, s2s.decoding.GreedySearch())
    )
    validation = read_split("val", options)
    scores = s2s.callbacks.GenerationMetrics(
        greedy,
        *validation,
        every_epochs=options.score_every,
        tokenize="none" if options.tokenized else "13a",
    )
    progress = Progress(text, options)
    resume = s2s.callbacks.Resume(
        options.output, data, [progress], keep=options.average
    )
    callbacks = [s2s.callbacks.FiniteLoss(data), scores, progress, resume]
    validation_data = s2s.data.TextPairs(
        *validation, *tokenizers, shuffle=False
    )
    for epochs, r_drop in translators.list_stages(options):
        with options.strategy.scope():
            translators.compile_model(
                model, optimizer, num_updates, r_drop, options
            )
        model.fit(
            data,
            epochs=epochs,
            shuffle=False,  # the data shuffles itself, by seed and epoch
            validation_data=validation_data,
            callbacks=callbacks,
        )
        if model.stop_training:
            break
    if options.average > 1 and options.leads:
        progress.keep_average()
        print(
            f"Average of epochs: val_bleu {scores.evaluate()['val_bleu']:.2f}"
        )


def join_workers():
    """Returns the strategy of the workers that TF_CONFIG names, if any."""
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def evaluate(options):
    text = keras.saving.load_model(options.output / "model.keras")
    sources, references = read_split("test_2016_flickr", options)
    answers = text.generate(sources, verbose=1)
    metric = sacrebleu.BLEU(
        tokenize="none" if options.tokenized else "13a", force=True
    )
    score = metric.corpus_score(answers, [references])
    print(score.format(signature=str(metric.get_signature())))


def translate(options):
    text = keras.saving.load_model(options.translate)
    print(*text.generate(sys.stdin.read().splitlines()), sep="\n")


def main():
    options = parse_options()
    if os.cpu_count() == 2 and (options.translate or not options.jit):
        # Each core then has half of a batch, and not half of an operation.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    if options.translate:
        translate(options)
        return
    options.strategy = join_workers()
    options.leads = options.strategy.extended.should_checkpoint
    keras.utils.set_random_seed(options.seed)
    if options.mixed_precision:
        print("Products are in bfloat16, with --no-mixed-precision in float32.")
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        train(options)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command with --resume goes on.")
    except ConnectionError as error:
        sys.exit(f"{error} The same commands with --resume go on.")
    if options.leads:
        evaluate(options)


if __name__ == "__main__":
    main()
