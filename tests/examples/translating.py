"""`translate.py` as its tests run it: small, on sentences of three words."""

import sys

from examples import translate

ARTICLES = {"a": "ein", "the": "der", "one": "mancher"}
ANIMALS = {"dog": "hund", "bird": "vogel", "bear": "bär", "fish": "fisch"}
VERBS = {"runs": "rennt", "eats": "isst", "sleeps": "schläft", "sits": "sitzt"}
SMALL = [
    "--units=8",
    "--embedding-dim=8",
    "--vocabulary-size=60",
    "--dropout=0.5",
    "--max-length=4",
    "--beam-size=2",
    "--no-mixed-precision",
]


def write_data(folder):
    """Lays 48 sentences out as Multi30k is. Returns the folder."""
    (folder / "raw").mkdir()
    pairs = [
        (f"{article} {animal} {verb}", f"{article_de} {animal_de} {verb_de}")
        for article, article_de in ARTICLES.items()
        for animal, animal_de in ANIMALS.items()
        for verb, verb_de in VERBS.items()
    ]
    for split in ("train", "val", "test_2016_flickr"):
        for side, language in enumerate(("en", "de")):
            some = pairs if split == "train" else pairs[::5]
            lines = "".join(f"{pair[side]}\n" for pair in some)
            path = folder / "raw" / f"{split}.{language}"
            path.write_text(lines, encoding="utf-8")
    return folder


def command(*options):
    return [translate.__file__, *SMALL, *(str(option) for option in options)]


def parse(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", command(*options))
    return translate.parse_options()


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", command(*options))
    translate.main()
