"""Small talk in a café, in which what was said before is not forgotten.

"A large tea with mint, please." -- "Coming right up." -- "What does it cost?"
-- "Your large tea with mint is 4 euros." The last reply cannot be read off the
last question. The model reads the last five turns, joined by a symbol that
the tokenizer keeps whole, and writes the next one.

By default the dialogues are made up here. Guests say who they are, what they
want and when their train leaves, and the café is asked about it one to three
turns later. It is scored on held-out guests, whose name and city, order, or
town and hour were never together in training, and only where the last turn
alone does not tell the reply: right is the right fact in any of its wordings.
With `--turns 1` the same model reads nothing but the last turn. Four minutes
of processor time, on two cores:

    python examples/converse.py --output runs/converse
    python examples/converse.py --output runs/one-turn --turns 1

Replies are sampled, several at a time, none with three words twice, and the
likeliest that was not said before in this conversation is taken: who asks
twice hears it in other words.
What was said more than five turns ago is forgotten, and made up.

The output folder holds `model.keras`, with the tokenizers inside, and
`alignment.png`, which shows the words of the earlier turns that each word of
a reply was read from. Then, to talk with it, until an empty line:

    python examples/converse.py --talk runs/converse/model.keras

Dialogues of your own are read from a file, plain or .gz, one turn a line and
an empty line between dialogues; every turn but the first is a reply to learn.

    python examples/converse.py --dialogues dialogues.txt
"""

import argparse
import pathlib
import random
import sys

import keras

import keras_s2s as s2s

SEPARATOR = "<turn>"
FACTS = {
    "name": "Ada Bruno Clara Dario Elsa Felix Greta Hugo Ines Jonas Katja Leo "
    "Mira Nils Olga Pablo Rosa Simon Thea Viktor".split(),
    "city": "Athens Berlin Cairo Dublin Florence Geneva Helsinki Istanbul "
    "Krakow Lisbon Madrid Naples Oslo Paris Riga Seville Turin Vienna".split(),
    "size": ["small", "medium", "large"],
    "drink": "tea coffee cocoa latte lemonade punch".split(),
    "extra": "milk honey lemon mint ginger cream".split(),
    "town": "Bristol Calais Dresden Ghent Hull Kiel Lyon Malmo Nice Porto "
    "Salzburg Zurich".split(),
    "hour": "two three four five six seven eight nine ten eleven".split(),
}
# A topic has a paragraph: what a guest tells, what the café says to that, and
# questions with the replies that are right.
SCRIPT = """
Hello, I am {name} from {city}. | I live in {city}, my name is {name}.
Nice to meet you! | Welcome to our café! | How do you do?
Do you remember my name? | Who am I?
You are {name}. | Your name is {name}. | I think that you are {name}.
Where do I come from? | What was my city again?
From {city}. | You come from {city}. | Your city is {city}.

Could I have a {order}? | A {order}, please. | I would like a {order}.
Of course. | Coming right up. | It will only be a minute.
What did I order? | Did you get my order?
A {order}. | You ordered a {order}. | I heard a {order}.
What does it cost? | How much is that?
Your {order} is {price} euros. | A {order} costs {price} euros.
Make it a {drink} with {extra}. | No, a {drink} with {extra}, please.
So a {order}. | Then it is a {order}. | No problem, a {order}.

My train to {town} leaves at {hour}. | At {hour} I have a train to {town}.
You have time. | Have a good trip! | The station is close.
When should I go? | How long can I stay?
Until half past {before}. | You should go at half past {before}.
Do you know where I am going? | Where will I be tonight?
In {town}. | You will be in {town}. | You are going to {town}.
"""
TOPICS = [
    [line.split(" | ") for line in topic.strip().split("\n")]
    for topic in SCRIPT.split("\n\n")
]
GROUPS = [("name", "city"), ("size", "drink", "extra"), ("town", "hour")]
AGAIN = ["Sorry, what was that?", "Could you say that again?", "Pardon?"]
PARTING = ["Thank you, goodbye.", "I have to go.", "See you tomorrow."]
FAREWELLS = ["Goodbye!", "Come back soon!", "It was good to see you."]
NUM_HELD_OUT = 500


def draw_facts(names, held_out, chance, **known):
    """Returns facts that go together in training, or else never do there."""
    while True:
        facts = {name: chance.choice(FACTS[name]) for name in names} | known
        places = {name: FACTS[name].index(facts[name]) for name in names}
        if (sum(places.values()) % 5 == 0) == held_out:
            break
    if "hour" in facts:
        facts["before"] = ["one", *FACTS["hour"]][places["hour"]]
    if "drink" in facts:
        facts["order"] = "{size} {drink} with {extra}".format(**facts)
        facts["price"] = 2 + places["size"] + places["drink"]
    return facts


def make_dialogue(held_out, chance):
    """Returns turns, and the right replies where the last turn is too little.

    Guest and café take turns; the replies are a dict from the place of a turn
    to all that would be right there and were not said before.
    """
    turns, right = [], {}
    for names, topic in chance.sample(list(zip(GROUPS, TOPICS)), 2):
        facts = draw_facts(names, held_out, chance)
        turns += [chance.choice(line).format(**facts) for line in topic[:2]]
        questions = list(zip(topic[2::2], topic[3::2]))
        for asked, answers in chance.sample(questions, chance.randint(1, 2)):
            before = facts
            while "{drink}" in asked[0] and facts["order"] == before["order"]:
                # A new order, and its size need not be told again.
                facts = draw_facts(names, held_out, chance, size=before["size"])
            replies = [answer.format(**facts) for answer in answers]
            chance.shuffle(replies)
            turns.append(chance.choice(asked).format(**facts))
            right[len(turns)] = set(replies)
            turns.append(replies.pop())
        if chance.random() < 0.3:
            turns.append(chance.choice(AGAIN))
            right[len(turns)] = set(replies)
            turns.append(replies.pop())
    return [*turns, chance.choice(PARTING), chance.choice(FAREWELLS)], right


def read_dialogues(path):
    """Returns the dialogues of a file, lists of turns, of two or more."""
    dialogues = [[]]
    for line in s2s.data.read_lines(path):
        turn = " ".join(line.replace(SEPARATOR, " ").split())
        if turn:
            dialogues[-1].append(turn)
        elif dialogues[-1]:
            dialogues.append([])
    kept = [turns for turns in dialogues if len(turns) > 1]
    skipped = sum(len(turns) == 1 for turns in dialogues)
    if skipped:
        print(f"{path}: {skipped} dialogues of one turn are skipped.")
    if len(kept) < 2:
        raise ValueError(
            f"{path} must have two dialogues of two turns or more, one turn a "
            "line and an empty line between dialogues. "
            f"Received: {len(kept)} of them, and {skipped} of one turn."
        )
    return kept


def make_data(options):
    """Returns dialogues, others that are held out, and tests on these.

    A test is some turns, and the set of replies that are right.
    """
    chance = random.Random(options.seed)
    if options.dialogues is None:
        dialogues = [
            make_dialogue(False, chance)[0] for _ in range(options.examples)
        ]
        made = [make_dialogue(True, chance) for _ in range(NUM_HELD_OUT)]
        tests = [
            (turns[:place], replies)
            for turns, right in made
            for place, replies in right.items()
        ]
        return dialogues, [turns for turns, _ in made], tests
    dialogues = read_dialogues(options.dialogues)
    chance.shuffle(dialogues)
    size = min(NUM_HELD_OUT, len(dialogues) // 20 + 1)
    tests = [(turns[:-1], {turns[-1]}) for turns in dialogues[:size]]
    return dialogues[size:], dialogues[:size], tests


def make_source(turns, num_turns):
    return f"{SEPARATOR} ".join(turns[-num_turns:])


def make_pairs(dialogues, num_turns):
    """Returns the turns before each reply, joined, and the reply."""
    return zip(
        *[
            (make_source(turns[:place], num_turns), turns[place])
            for turns in dialogues
            for place in range(1, len(turns))
        ]
    )


def reply(text, contexts, num_turns, verbose=0):
    """Returns the likeliest sample after each list of turns, if it is new.

    Case aside, what anyone said in these turns is not said again, unless
    there is nothing else.
    """
    sources = [make_source(turns, num_turns) for turns in contexts]
    source_ids = text.source_tokenizer.encode(sources, add_eos=True)
    result = text.inference.predict(source_ids, 64, verbose=verbose)
    replies = []
    for turns, ids in zip(contexts, result["ids"]):
        samples = text.target_tokenizer.decode(ids)  # the best first
        said = {turn.casefold() for turn in ["", *turns]}
        new = [one for one in samples if one.casefold() not in said]
        replies.append((new or samples)[0])
    return replies


def build_model(source_size, target_size, options):
    encoder = s2s.layers.RNNEncoder(
        source_size,
        options.embedding_dim,
        options.units // 2,  # in each of two directions
        cell="gru",
        dropout=options.dropout,
    )
    decoder = s2s.layers.RNNDecoder(
        target_size,
        options.embedding_dim,
        options.units,
        cell="gru",
        dropout=options.dropout,
    )
    return s2s.models.Seq2Seq(encoder, decoder)


def train(dialogues, held_out, options):
    """Returns a `TextToText` that has learnt from dialogues."""
    sources, targets = make_pairs(dialogues, options.turns)
    train_tokenizer = s2s.tokenizers.SentencePieceTokenizer.train
    sizes = {
        "model_type": "bpe",  # leaves frequent words whole
        "vocabulary_size": options.vocabulary_size,
        "hard_vocab_limit": False,  # fewer, where the text has no more
    }
    texts = [turn for turns in dialogues for turn in turns]
    tokenizers = [
        train_tokenizer(
            texts,
            user_defined_symbols=[SEPARATOR],
            normalization="nmt_nfkc_cf",  # however a person types it
            **sizes,
        ),
        train_tokenizer(targets, **sizes),
    ]
    limits = {"max_source_length": 256, "max_target_length": 64}
    data = s2s.data.TextPairs(
        sources, targets, *tokenizers, seed=options.seed, **limits
    )
    model = build_model(*(one.vocabulary_size for one in tokenizers), options)
    rate = keras.optimizers.schedules.CosineDecay(
        options.learning_rate, options.epochs * len(data)
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate, clipnorm=1.0),
        loss=s2s.losses.SequenceLoss(),
        weighted_metrics=[s2s.metrics.Perplexity()],
    )
    model.fit(
        data,
        epochs=options.epochs,
        shuffle=False,
        validation_data=s2s.data.TextPairs(
            *make_pairs(held_out, options.turns), *tokenizers, **limits
        ),
    )
    search = s2s.decoding.RandomSampling(
        temperature=options.temperature,
        top_p=options.top_p,
        num_samples=options.samples,
        constraints=[s2s.decoding.NoRepeatNgrams(3)],
    )
    inference = s2s.models.InferenceModel(
        model, search, max_length=64, return_alignments=True
    )
    return s2s.models.TextToText(inference, *tokenizers)


def ask():
    """Returns the next line of standard input, "" where there is none."""
    try:
        return input("you: " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""


def talk(path, num_turns):
    text = keras.saving.load_model(path)
    turns = []
    for line in iter(ask, ""):
        turns.append(line)
        turns += reply(text, [turns], num_turns)
        print(turns[-1])


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add("--talk", type=path, help="talk on standard input with a model")
    add("--dialogues", type=path, help="file to learn from; default: make up")
    add("--turns", type=int, default=5, help="to read; with --talk as trained")
    add("--examples", type=int, default=5000, help="dialogues to make up")
    add("--epochs", type=int, default=3, help="passes over them")
    add("--vocabulary-size", type=int, default=8000, help="at most")
    add("--embedding-dim", type=int, default=64)
    add("--units", type=int, default=128, help="size of the recurrent states")
    add("--dropout", type=float, default=0.1)
    add("--learning-rate", type=float, default=3e-3, help="at first")
    add("--temperature", type=float, default=0.7, help="of the samples")
    add("--top-p", type=float, default=0.9, help="probability to draw from")
    add("--samples", type=int, default=8, help="drawn for each reply")
    add("--seed", type=int, default=0, help="of dialogues, weights, samples")
    add("--output", type=path, default=path("runs/converse"))
    options = parser.parse_args()
    if options.turns < 1:
        parser.error("--turns must be at least 1.")
    return options


def main():
    options = parse_options()
    if options.talk:
        talk(options.talk, options.turns)
        return
    keras.utils.set_random_seed(options.seed)
    dialogues, held_out, tests = make_data(options)
    options.output.mkdir(parents=True, exist_ok=True)
    text = train(dialogues, held_out, options)
    text.save(options.output / "model.keras")
    contexts, right = zip(*tests)
    replies = reply(text, contexts, options.turns, verbose=1)
    for context, one in list(zip(contexts, replies))[:5]:
        print("", *context[-options.turns :], f"-> {one}", sep="\n")
    print()
    if not options.dialogues:
        share = sum(a in b for a, b in zip(replies, right)) / len(replies)
        print(
            f"Right, of {len(replies)} held-out replies that need what was "
            f"said before the last turn: {share:.1%}"
        )
    picture = options.output / "alignment.png"
    source = make_source(contexts[0], options.turns)
    s2s.plots.plot_text_alignment(text, source, picture)
    print(f"Saved model.keras and {picture.name} in {options.output}")


if __name__ == "__main__":
    main()
