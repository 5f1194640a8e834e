"""News about people nobody has heard of, in a line, with their names right.

"Bavo Lurtim , mayor of Kesado , opened a library on monday . ..." becomes
"Bavo Lurtim opens library in Kesado , Omi Derrask protests". A model that
chooses each word from a vocabulary cannot write such a name: it has never
seen it. A pointer-generator copies it, from where its attention looks.

By default the articles are made up here: five sentences in any order, about
four people and two towns, of which the summary names two and one. Every name
is new in every article, so no name that is tested on was ever trained on. The
names in the summaries of held-out articles are counted: right is the right
name in the right place. With `--no-copy` the same model learns without
copying, and writes "<unk>" instead. One to three minutes on two
processor cores:

    python examples/summarize.py
    python examples/summarize.py --no-copy

Articles of your own are read from files, plain or .gz, one a line, with a tab
between article and summary; the result is scored with ROUGE:

    python examples/summarize.py --train train.tsv --test test.tsv

The model is saved as `summarizer.keras`, one file with the vocabulary inside,
and `summarizer_alignment.png` shows which words of an article each word of
its summary was taken from.
"""

import argparse
import pathlib
import re

import keras
import numpy as np

import keras_s2s as s2s

ROLES = ["mayor", "president", "bishop", "governor", "sheriff", "duke"]
JOBS = ["teacher", "painter", "farmer", "lawyer", "critic", "neighbour"]
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "sunday"]
# As an article says it, and a summary.
DEEDS = [("opened", "opens"), ("sold", "sells"), ("visited", "visits")]
DEEDS += [("closed", "closes"), ("praised", "praises"), ("lost", "loses")]
THINGS = ["library", "bridge", "school", "museum", "garden", "theatre"]
THINGS += ["station", "harbour", "tower", "bakery", "market", "stadium"]
VIEWS = [
    ("called it a scandal", "protests"),
    ("said it was high time", "agrees"),
    ("had nothing to say", "is silent"),
    ("could not stop laughing", "laughs"),
]
NUM_HELD_OUT = 1000


def make_name(random, used):
    """Returns a capitalised name that is not in `used`, and adds it."""
    while True:
        syllables = [
            random.choice(list("bdfgklmnprstvz"))
            + random.choice(list("aeiou"))
            + random.choice(["", "", "l", "m", "n", "r", "sk", "t"])
            for _ in range(random.integers(2, 4))
        ]
        name = "".join(syllables).capitalize()
        if name not in used:
            used.add(name)
            return name


def make_pair(random, used):
    """Returns an article and its summary, with names that are new."""
    people = [
        f"{make_name(random, used)} {make_name(random, used)}" for _ in range(4)
    ]
    town, other_town = make_name(random, used), make_name(random, used)
    thing = random.choice(THINGS)
    did, does = DEEDS[random.integers(len(DEEDS))]
    said, says = VIEWS[random.integers(len(VIEWS))]
    role, job = random.choice(ROLES), random.choice(JOBS)
    sentences = [
        f"{people[0]} , {role} of {town} , {did} a {thing} "
        f"on {random.choice(DAYS)} .",
        f"{people[1]} , a {job} , {said} .",
        f"{people[2]} came all the way from {other_town} to see the {thing} .",
        f"last year the {role} was {people[3]} .",
        f"there are {random.integers(2, 10)} of the kind in {town} .",
    ]
    order = random.permutation(len(sentences))
    article = " ".join(sentences[place] for place in order)
    return article, f"{people[0]} {does} {thing} in {town} , {people[1]} {says}"


def make_pairs(count, random, used):
    return zip(*[make_pair(random, used) for _ in range(count)])


def read_pairs(path, max_words):
    """Returns articles, their first words, and summaries of a file."""
    pairs = []
    for number, line in enumerate(s2s.data.read_lines(path), start=1):
        texts = [split(text) for text in line.split("\t")]
        if len(texts) != 2 or not all(texts):
            raise ValueError(f"{path}, line {number}: no article TAB summary.")
        pairs.append([" ".join(texts[0][:max_words]), " ".join(texts[1])])
    return zip(*pairs)


def split(text):
    """Returns words, in lower case, and marks."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def share_of_names_right(answers, references, tokenizer):
    """Returns how many unknown words of the references are in their place."""
    right = []
    for answer, reference in zip(answers, references):
        (names,) = tokenizer.unknown_words([reference], max_copied=1000)
        words = answer.split()
        for place, word in enumerate(reference.split()):
            if word in names:
                right.append(words[place : place + 1] == [word])
    return np.mean(right)


def print_rouge(answers, references):
    from rouge_score import rouge_scorer

    names = ["rouge1", "rouge2", "rougeL"]
    scorer = rouge_scorer.RougeScorer(names, use_stemmer=True)
    scores = [scorer.score(*pair) for pair in zip(references, answers)]
    for name in names:
        mean = np.mean([score[name].fmeasure for score in scores])
        print(f"{name}: {100 * mean:.2f}")


def build_model(size, options):
    encoder = s2s.layers.RNNEncoder(
        size,
        options.embedding_dim,
        options.units // 2,  # in each of two directions
        cell="gru",
        unk_id=1,
    )
    decoder = s2s.layers.RNNDecoder(
        size, options.embedding_dim, options.units, cell="gru"
    )
    if options.max_copied:
        decoder = s2s.layers.PointerGenerator(decoder, options.max_copied)
    return s2s.models.Seq2Seq(encoder, decoder, share_embeddings=True)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add("--train", type=path, help="file of article TAB summary")
    add("--test", type=path, help="likewise; needed with --train")
    add("--no-copy", action="store_true", help="choose from the vocabulary")
    add("--examples", type=int, default=10000, help="articles to make up")
    add("--epochs", type=int, default=3, help="passes over them")
    add("--max-words", type=int, default=400, help="of an article in a file")
    add("--max-copied", type=int, default=50, help="unknown words of one")
    add("--min-count", type=int, default=20, help="of a word that is known")
    add("--embedding-dim", type=int, default=64)
    add("--units", type=int, default=128, help="size of the recurrent states")
    add("--seed", type=int, default=0, help="of the articles and the weights")
    add("--output", type=path, default=".", help="folder to save in")
    options = parser.parse_args()
    if (options.train is None) != (options.test is None):
        parser.error("--train and --test belong together")
    if options.no_copy:
        options.max_copied = 0
    return options


def main():
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    random, used = np.random.default_rng(options.seed), set()
    if options.train:
        sources, targets = read_pairs(options.train, options.max_words)
        test_sources, references = read_pairs(options.test, options.max_words)
    else:
        sources, targets = make_pairs(options.examples, random, used)
        test_sources, references = make_pairs(NUM_HELD_OUT, random, used)

    tokenizer = s2s.tokenizers.WordTokenizer.train(
        [*sources, *targets], min_count=options.min_count
    )
    model = build_model(tokenizer.vocabulary_size, options)
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3, clipnorm=1.0),
        loss=s2s.losses.SequenceLoss(),
        weighted_metrics=[s2s.metrics.TokenAccuracy()],
    )
    data = s2s.data.TextPairs(
        sources,
        targets,
        tokenizer,
        tokenizer,
        max_copied=options.max_copied,
        seed=options.seed,
    )
    model.fit(data, epochs=options.epochs, shuffle=False)

    inference = s2s.models.InferenceModel(
        model,
        search=s2s.decoding.BeamSearch(beam_size=4),
        max_length=100 if options.train else 20,
        return_alignments=True,
    )
    text = s2s.models.TextToText(inference, tokenizer, tokenizer)
    answers = text.generate(test_sources, verbose=1)
    for article, answer in list(zip(test_sources, answers))[:5]:
        print(f"\n{article}\n-> {answer}")
    print()
    if options.train:
        print_rouge(answers, references)
    else:
        right = share_of_names_right(answers, references, tokenizer)
        print(f"Names right in {len(answers)} held-out summaries: {right:.1%}")
        exact = np.mean([a == r for a, r in zip(answers, references)])
        print(f"Summaries exactly right: {exact:.1%}")

    text.save(options.output / "summarizer.keras")
    picture = options.output / "summarizer_alignment.png"
    s2s.plots.plot_text_alignment(text, test_sources[0], picture)
    print(f"Saved summarizer.keras and {picture.name} in {options.output}")


if __name__ == "__main__":
    main()
