import argparse
import gzip
import io
import random
import re
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from examples import converse

ORDER = r"(small|medium|large) (\w+) with (\w+)"
DRINKS = {"tea": 2, "coffee": 3, "cocoa": 4, "latte": 5}  # euros, small
DRINKS |= {"lemonade": 6, "punch": 7}
HOURS = "one two three four five six seven eight nine ten eleven".split()
TOLD = {fact for facts in converse.FACTS.values() for fact in facts} - {*HOURS}


def make(held_out):
    chance = random.Random(0)
    return [converse.make_dialogue(held_out, chance) for _ in range(400)]


def words_of(*turns):
    return set(re.findall(r"\w+", " ".join(turns)))


def test_what_is_tested_was_never_together_in_training():
    trained, tested = (
        {
            order
            for turns, _ in make(held_out)
            for order in re.findall(ORDER, " ".join(turns))
        }
        for held_out in (False, True)
    )
    # Of 3 sizes, 6 drinks and 6 things in them.
    assert len(trained | tested) == 108 and not trained & tested
    for trained_facts, tested_facts in zip(zip(*trained), zip(*tested)):
        assert set(tested_facts) <= set(trained_facts)


def test_a_right_reply_needs_turns_before_the_last_and_no_more_than_five():
    for turns, right in make(held_out=True):
        for place, replies in right.items():
            before = turns[max(place - 5, 0) : place]
            assert turns[place] in replies
            assert not replies & set(turns[:place])
            for reply in replies:
                facts = words_of(reply) & TOLD
                assert facts <= words_of(*before)
                assert not facts or facts - words_of(before[-1])


def test_prices_and_hours_are_worked_out():
    seen = set()
    for turns, _ in make(held_out=False):
        hour = None
        for turn in turns:
            size, drink, _ = (re.findall(ORDER, turn) or [(None,) * 3])[0]
            if found := re.search(r"(\d+) euros", turn):
                more = ["small", "medium", "large"].index(size)
                assert int(found[1]) == DRINKS[drink] + more
            hour = re.search(r"(?i)train.* at (\w+)|at (\w+) i", turn) or hour
            if found := re.search(r"half past (\w+)", turn):
                leaves = HOURS.index(hour[1] or hour[2])
                assert HOURS[leaves - 1] == found[1]
                seen.add(found[1])
    assert seen == set(HOURS[:-1])


def test_dialogues_are_read_turn_by_turn(tmp_path, capsys):
    path = tmp_path / "dialogues"
    lines = "\n\nHello!\n Hi,  you. \n\n\nAlone.\n\nOne <turn> two\nYes\nNo\n"
    path.write_bytes(gzip.compress(lines.encode()))
    dialogues = converse.read_dialogues(path)
    assert dialogues == [["Hello!", "Hi, you."], ["One two", "Yes", "No"]]
    assert capsys.readouterr().out.endswith(
        "dialogues: 1 dialogues of one turn are skipped.\n"
    )
    assert list(converse.make_pairs(dialogues, 1)) == [
        ("Hello!", "One two", "Yes"),
        ("Hi, you.", "Yes", "No"),
    ]
    sources, _ = converse.make_pairs(dialogues, 2)
    assert sources[-1] == "One two<turn> Yes"


@pytest.mark.parametrize(
    ("lines", "received"),
    [
        ("a\n\nb\n\nc\nd\n", "1 of them, and 2 of one turn"),
        ("", "0 of them, and 0 of one turn"),
    ],
)
def test_a_file_without_dialogues_is_named(tmp_path, lines, received):
    path = tmp_path / "dialogues"
    path.write_text(lines)
    rule = f"dialogues must have two dialogues of two .* Received: {received}"
    with pytest.raises(ValueError, match=rule):
        converse.read_dialogues(path)


def test_some_dialogues_of_a_file_are_held_out(tmp_path):
    path = tmp_path / "dialogues"
    path.write_text("".join(f"{n} a\n{n} b\n{n} c\n\n" for n in range(40)))
    options = argparse.Namespace(dialogues=path, seed=0)
    dialogues, held_out, tests = converse.make_data(options)
    assert len(dialogues) == 37 and len(held_out) == 3
    assert not {turns[0] for turns in dialogues} & {
        turns[0] for turns in held_out
    }
    assert tests == [(turns[:2], {turns[2]}) for turns in held_out]


class Parrot:
    """Has the same three samples for all that is said."""

    samples = ["yes", "No.", "perhaps"]

    def __init__(self):
        self.heard = []
        self.source_tokenizer = self.target_tokenizer = self.inference = self

    def encode(self, texts, add_eos):
        self.heard += texts
        return [[3]] * len(texts)

    def predict(self, source_ids, batch_size, verbose):
        return {"ids": np.zeros((len(source_ids), 3, 1), int)}

    def decode(self, ids):
        return self.samples


def test_the_best_sample_that_was_not_said_is_the_reply():
    said = [["Hm"], ["YES", "hm"], ["yes", "no.", "hm"]]
    replies = converse.reply(Parrot(), said, 2)
    assert replies == ["yes", "No.", "perhaps"]
    everything = [["yes", "no.", "perhaps", "hm"]]
    assert converse.reply(Parrot(), everything, 2) == ["yes"]


@pytest.mark.parametrize("end", ["", "\nnever read\n"])
def test_a_talk_goes_on_until_nothing_is_said(monkeypatch, capsys, end):
    parrot = Parrot()
    monkeypatch.setattr(keras.saving, "load_model", lambda path: parrot)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Hello\n you? \n{end}"))
    converse.talk("model.keras", 3)
    assert capsys.readouterr().out == "yes\nNo.\n"
    assert parrot.heard == ["Hello", "Hello<turn> yes<turn> you?"]


def test_who_sits_at_a_terminal_is_asked(monkeypatch):
    asked = []
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or "")
    assert converse.ask() == "" and asked == ["you: "]


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["converse.py", *options])
    converse.main()


def test_a_reply_needs_a_turn(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--turns=0")
    assert "--turns must be at least 1." in capsys.readouterr().err


@pytest.mark.slow
def test_the_example_runs(briefly, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(converse, "NUM_HELD_OUT", 2)
    options = ["--examples=8", "--epochs=1", "--units=8", "--samples=2"]
    run(monkeypatch, *options, f"--output={tmp_path}")
    assert re.search(r"Right, of \d+ held-out", capsys.readouterr().out)
    assert (tmp_path / "alignment.png").stat().st_size > 1000
    text = keras.saving.load_model(tmp_path / "model.keras")
    ids = text.source_tokenizer.encode(["WHO am I?<turn> you"])
    assert text.source_tokenizer.decode(ids) == ["who am i?<turn> you"]
    assert text.inference.search.num_samples == 2
