import numpy as np
import pytest

from examples import alignments
from examples import translate
from tests.examples.translating import parse
from tests.examples.translating import write_data


def align(sources, targets):
    return alignments.align(map_words(sources), map_words(targets))


def map_words(texts):
    return [text.split() for text in texts]


def test_words_are_aligned_in_both_directions():
    sources = ["house", "old house", "red house", "old car", "old red car"]
    targets = ["haus", "haus alt", "haus rot", "auto alt", "rot auto alt"]
    lines = align(sources, targets)
    assert lines[:4] == ["0-0", "0-1 1-0", "0-1 1-0", "0-1 1-0"]
    # Not its own inverse, which is "0-1 1-2 2-0".
    assert lines[4] == "0-2 1-0 2-1"


def test_a_word_that_becomes_two_has_one_link():
    sources = ["veo", "voy", "vera", "ire", "el"]
    targets = ["i see", "i go", "he will see", "i will go", "he"]
    counts = [line.count("-") for line in align(sources, targets)]
    assert counts == [1, 1, 1, 1, 1]


def test_nothing_is_in_common_with_nothing():
    assert align(["x", ""], ["y", "z"])[1] == ""


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """What `build_data` takes, of a run that is to guide its attention."""
    options = parse(
        monkeypatch,
        "--guided-alignment=0.5",
        "--batch-size=20",
        "--data",
        write_data(tmp_path),
        "--output",
        tmp_path,
    )
    texts = translate.read_split("train", options)
    return *texts, translate.build_tokenizers(*texts, options), options


def test_batches_are_the_same_and_have_alignments(pairs):
    guided = translate.build_data(*pairs)
    pairs[-1].guided_alignment = 0.0
    plain = translate.build_data(*pairs)
    assert len(guided) == len(plain) > 1
    for (inputs, labels, weights), expected in zip(guided, plain):
        found = inputs.pop("alignments")
        np.testing.assert_equal([inputs, labels, weights], [*expected])
        sources = inputs["source_ids"]
        assert found.shape == (*labels.shape, sources.shape[1])
        assert found.any()


def test_an_end_token_is_no_word_to_align(pairs, monkeypatch):
    seen = []

    def remember(*ids):
        seen.extend(ids)
        return [""] * len(ids[0])

    monkeypatch.setattr(translate.alignments, "align", remember)
    translate.build_data(*pairs)
    sources, targets, (source_tokenizer, target_tokenizer), _ = pairs
    assert seen == [
        source_tokenizer.encode(sources),
        target_tokenizer.encode(targets),
    ]


def test_alignments_that_are_there_are_taken(pairs):
    path = pairs[-1].output / "alignments.txt"
    path.write_text("0-1\n" + "\n" * 47)
    guided = translate.build_data(*pairs)
    assert sum(inputs["alignments"].sum() for inputs, _, _ in guided) == 1.0


def test_words_must_always_be_cut_alike(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        parse(monkeypatch, "--guided-alignment=0.5", "--sampling-alpha=0.1")
    assert "always cut alike" in capsys.readouterr().err
