import sys

import keras
import pytest

from examples import multilingual

ENGLISH = ["a dog runs", "a bird sits", "the dog sits", "the bird runs"]
LINES = {
    "en": ENGLISH,
    "de": ["ein hund rennt", "ein vogel sitzt", "der hund sitzt", "er rennt"],
    "fr": ["un chien court", "un oiseau", "le chien", "il court"],
}
SMALL = [
    "--embedding-dim=8",
    "--hidden-dim=8",
    "--encoder-layers=1",
    "--num-heads=2",
    "--vocabulary-size=60",
    "--epochs=2",
    "--average=2",
    "--beam-size=1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder laid out as Multi30k is."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "raw").mkdir()
    for split in ("train", "val", "test_2016_flickr"):
        for language, lines in LINES.items():
            path = folder / "raw" / f"{split}.{language}"
            path.write_text("".join(f"{line}\n" for line in lines))
    return folder


def parse(monkeypatch, *options):
    options = [*SMALL, *(str(option) for option in options)]
    monkeypatch.setattr(sys, "argv", ["multilingual.py", *options])
    return multilingual.parse_options()


@pytest.mark.slow
def test_it_trains_scores_and_saves(
    briefly, data, tmp_path, monkeypatch, capsys
):
    parse(monkeypatch, "--data", data, "--output", tmp_path)
    multilingual.main()
    output = capsys.readouterr().out
    assert "seconds an epoch" in output
    for language in ("de", "fr"):
        assert f"\n{language} BLEU = " in output
    found = sorted(path.stem for path in tmp_path.iterdir())
    assert found == ["en-de", "en-fr"]
    text = keras.saving.load_model(tmp_path / "en-de.keras")
    assert len(text.generate(ENGLISH)) == 4


def test_a_language_is_asked_for_by_one_token(data, monkeypatch):
    options = parse(monkeypatch, "--language-token", "--data", data)
    sources, targets = multilingual.read_pairs("train", options)
    assert sources[0] == "<2de> a dog runs" and targets[0] == LINES["de"][0]
    assert sources[4] == "<2fr> a dog runs" and targets[4] == LINES["fr"][0]
    source, target = multilingual.train_tokenizers(sources, targets, options)
    german, french = source.encode([sources[0], sources[4]])
    assert len(german) == len(french)
    differs = [one != other for one, other in zip(german, french)]
    assert sum(differs) == 1 and source.unk_id not in german
    assert target.decode(target.encode(targets)) == targets


def test_one_pair_is_read_alone(data, monkeypatch):
    options = parse(monkeypatch, "--single=fr", "--data", data, "--examples=2")
    pairs = multilingual.read_pairs("train", options)
    assert pairs == (ENGLISH[:2], LINES["fr"][:2])
