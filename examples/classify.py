"""Which of eight made-up languages is a word from?

This example makes up eight languages. Each has its own taste of which letter
follows which; all use the same letters, and prefer vowels behind consonants
and consonants behind vowels. A word is a walk of 5 to 16 letters, so the
data is ragged. A classifier is an encoder, `MemoryPooling`, which makes one
vector of what the encoder wrote and never sees padding, and a dense layer:
a plain functional `keras.Model`, trained with `model.fit`.

As the languages are made up, the probability of each word in each language
is known, and with it the best that any classifier can do: words of five
letters may be at home in two languages. Both figures are printed, for words
that were not seen in training. The result is saved as `classify.keras`, and
one picture, `classify.png`, shows which languages are taken for which. Less
than a minute on two processor cores:

    python examples/classify.py

To use what it saved, on arrays of letters as numbers from 1, 0 behind them:

    import keras
    import keras_s2s
    model = keras.saving.load_model("classify.keras")
    model.predict(keras_s2s.data.pad_rows(ids))
"""

import argparse
import pathlib

import keras
import numpy as np

import keras_s2s as s2s

LETTERS = "abdefgiklmnoprstuvz"
VOWELS = "aeiou"
LANGUAGES = [
    "Arvish",
    "Belian",
    "Corsk",
    "Dunic",
    "Elmari",
    "Fennian",
    "Gotrish",
    "Halveq",
]
SHORTEST, LONGEST = 5, 16  # letters in a word
NUM_HELD_OUT = 4000
BATCH_SIZE = 64


def make_languages(random):
    """Returns the probability of each letter, float `(8, L + 1, L)`.

    Of language, letter before it and letter; the last "letter before" is the
    start of a word.
    """
    is_vowel = np.array([letter in VOWELS for letter in LETTERS])
    size = len(LETTERS)
    weights = random.gamma(0.3, size=(len(LANGUAGES), size + 1, size))
    same_kind = is_vowel[:, None] == is_vowel
    weights[:, :size] *= np.where(same_kind, 0.15, 1.0)
    weights += 1e-4  # nothing is impossible
    return weights / weights.sum(axis=-1, keepdims=True)


def make_words(languages, count, random):
    """Returns `count` different words, and the language of each, int."""
    words = {}
    bounds = np.cumsum(languages, axis=-1)[..., :-1]
    while len(words) < count:
        label = int(random.integers(len(languages)))
        last, letters = len(LETTERS), []
        for _ in range(random.integers(SHORTEST, LONGEST + 1)):
            last = np.searchsorted(bounds[label, last], random.random())
            letters.append(LETTERS[last])
        words.setdefault("".join(letters), label)
    return list(words), np.array(list(words.values()))


def encode(words):
    """Returns int32 `(B, S)`: letters from 1, 0 on padding."""
    return s2s.data.pad_rows(
        [[LETTERS.index(letter) + 1 for letter in word] for word in words]
    )


def guess_best(words, languages):
    """Returns the language in which each word is likeliest, int."""
    guesses = []
    for word in words:
        ids = [len(LETTERS), *(LETTERS.index(letter) for letter in word)]
        chances = languages[:, ids[:-1], ids[1:]]
        guesses.append(np.argmax(np.log(chances).sum(axis=1)))
    return np.array(guesses)


def make_model(units):
    encoder = s2s.layers.RNNEncoder(
        vocabulary_size=len(LETTERS) + 1,
        embedding_dim=32,
        units=units // 2,  # in each of two directions
        cell="gru",
    )
    source = encoder.make_input()
    pooled = s2s.layers.MemoryPooling("mean")(encoder(source))
    logits = keras.layers.Dense(len(LANGUAGES))(pooled)
    return keras.Model(source, logits)


def draw_picture(labels, guesses, path):
    """Saves a picture of which languages are taken for which."""
    from matplotlib.figure import Figure

    counts = np.zeros((len(LANGUAGES), len(LANGUAGES)), int)
    np.add.at(counts, (labels, guesses), 1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(np.sqrt(counts), cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if row == column else "black"
        axes.text(column, row, count, ha="center", va="center", color=color)
    ticks = range(len(LANGUAGES))
    axes.set_xticks(ticks, LANGUAGES, rotation=45)
    axes.set_yticks(ticks, LANGUAGES)
    axes.set_xlabel("what the model says")
    axes.set_ylabel("what the word is")
    figure.savefig(path, dpi=120)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--words", type=int, default=60000, help="words to train on")
    add("--epochs", type=int, default=4, help="passes over them")
    add("--units", type=int, default=128, help="size of the recurrent states")
    add("--seed", type=int, default=0, help="of the words and the weights")
    add("--output", type=pathlib.Path, default=".", help="folder to save in")
    return parser.parse_args()


def main():
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    languages = make_languages(random)
    words, labels = make_words(languages, options.words + NUM_HELD_OUT, random)
    test_words, test_labels = words[-NUM_HELD_OUT:], labels[-NUM_HELD_OUT:]

    model = make_model(options.units)
    num_steps = options.epochs * options.words // BATCH_SIZE
    schedule = keras.optimizers.schedules.CosineDecay(4e-3, num_steps)
    model.compile(
        keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    source_ids = encode(words[:-NUM_HELD_OUT])
    model.fit(
        source_ids,
        labels[:-NUM_HELD_OUT],
        batch_size=BATCH_SIZE,
        epochs=options.epochs,
    )

    guesses = np.argmax(model.predict(encode(test_words)), axis=-1)
    for word, guess in list(zip(test_words, guesses))[:10]:
        print(f"{word:>16}  {LANGUAGES[guess]}")
    best = np.mean(guess_best(test_words, languages) == test_labels)
    right = np.mean(guesses == test_labels)
    print(
        f"Right on {len(guesses)} held-out words: {right:.1%}; the best that "
        f"anyone could do: {best:.1%}"
    )

    model.save(options.output / "classify.keras")
    picture = options.output / "classify.png"
    draw_picture(test_labels, guesses, picture)
    print(f"Saved classify.keras and classify.png in {options.output}")


if __name__ == "__main__":
    main()
