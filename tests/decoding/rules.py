"""Constraints, and what they say in slow NumPy, alone and together."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_s2s.decoding import Constraint
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import MaximumLength
from keras_s2s.decoding import MinimumLength
from keras_s2s.decoding import NoRepeatNgrams
from keras_s2s.decoding import RepetitionPenalty
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.decoding import Shortlist
from tests.decoding.oracles import EOS
from tests.decoding.oracles import PAD


def holds(ids, phrase):
    """Whether the phrase stands somewhere in a sequence."""
    size = len(phrase)
    return any(
        tuple(ids[start : start + size]) == tuple(phrase)
        for start in range(len(ids) - size + 1)
    )


def without(is_wrong):
    """Forbids each next token with which a sequence would be wrong."""

    def restrict(log_probs, prefix):
        ranks = np.array(log_probs)
        for token in range(len(ranks)):
            if is_wrong((*prefix, token)):
                ranks[token] = -math.inf
        return ranks

    return restrict


def repeats(size):
    def is_wrong(ids):
        grams = [ids[start : start + size] for start in range(len(ids))]
        grams = [gram for gram in grams if len(gram) == size]
        return len(set(grams)) < len(grams)

    return without(is_wrong)


def penalized(factor):
    def restrict(log_probs, prefix):
        factors = np.ones(len(log_probs))
        factors[list(prefix)] = factor
        return log_probs * factors

    return restrict


def begins(prefix):
    return without(
        lambda ids: list(ids) != prefix[: len(ids)] + [*ids[len(prefix) :]]
    )


def only(tokens):
    return without(lambda ids: len(tokens) > 0 and ids[-1] not in tokens)


def holds_none(phrases):
    return without(lambda ids: any(holds(ids, phrase) for phrase in phrases))


def reached(ids, phrase):
    """How many tokens of a phrase a sequence ends with; all, if it has it."""
    if holds(ids, phrase):
        return len(phrase)
    return max(
        count
        for count in range(len(phrase))
        if count <= len(ids) and list(ids[len(ids) - count :]) == phrase[:count]
    )


def missing(ids, phrases):
    """How many tokens are enough to have all phrases."""
    unmet = [phrase for phrase in phrases if not holds(ids, phrase)]
    begun = max((reached(ids, phrase) for phrase in unmet), default=0)
    return sum(len(phrase) for phrase in unmet) - begun


def advances(ids, phrases):
    """Whether its last token takes a sequence further with some phrase."""
    return any(
        reached(ids, phrase) > reached(ids[:-1], phrase) for phrase in phrases
    )


def holds_all(phrases, max_length):
    def is_wrong(ids):
        unmet = [one for one in phrases if not holds(ids[:-1], one)]
        if ids[-1] == EOS or not unmet:
            return bool(unmet)
        room = max_length - len(ids) - 1  # before an end token
        if sum(len(phrase) for phrase in unmet) <= room:
            return False
        fits = missing(ids, phrases) <= max(room, 0)
        return not (fits and advances(ids, phrases))

    return without(is_wrong)


def share_out(phrases, beam_size):
    """Orders candidates, best first, as banks of beams take their turns."""

    def arrange(candidates):
        kept, seen = [], {}
        for entry in candidates:
            parent = entry[0][:-1]
            seen[parent] = seen.get(parent, 0) + 1
            if seen[parent] <= 2 * beam_size or advances(entry[0], phrases):
                kept.append(entry)
        turns, banks = [], {}
        for entry in kept:
            bank = missing(entry[0], phrases)
            banks[bank] = banks.get(bank, 0) + 1
            turns.append((banks[bank], bank))
        order = sorted(range(len(kept)), key=lambda place: turns[place])
        return [kept[place] for place in order]

    return arrange


@dataclasses.dataclass
class Rule:
    """A constraint and what it says.

    Attributes:
        constraint: Constraint.
        make: callable `make(value, max_length)`. Returns `restrict`.
        values: list. What it says of all sentences; or several, by turns
            that of one, if it is told of each.
        name: str. As what it is told.
    """

    constraint: Constraint
    make: Callable
    values: list
    name: str = ""

    def value(self, sentence, place):
        """What it says of a sentence; nothing of every other one."""
        if not self.name:
            return self.values[0]
        number = sentence // 2**place
        return self.values[number // 2 % len(self.values)] if number % 2 else []


def same(constraint, restrict):
    """A rule that is the same for all sentences."""
    return Rule(constraint, lambda value, max_length: restrict, [None])


PHRASES = [[4], [3, 3], [0, 3, 1]]
RULES = {
    "no token twice": same(NoRepeatNgrams(1), repeats(1)),
    "no bigram twice": same(NoRepeatNgrams(2), repeats(2)),
    "no trigram twice": same(NoRepeatNgrams(3), repeats(3)),
    "no such size": same(NoRepeatNgrams(9), repeats(9)),
    "rarer": same(RepetitionPenalty(1.8), penalized(1.8)),
    "more frequent": same(RepetitionPenalty(0.4), penalized(0.4)),
    "phrases": same(ForbiddenPhrases(PHRASES), holds_none(PHRASES)),
    "not short": same(
        MinimumLength(4),
        without(lambda ids: ids[-1] == EOS and len(ids) < 4),
    ),
    "not long": same(
        MaximumLength(3),
        without(lambda ids: ids[-1] != EOS and len(ids) >= 3),
    ),
    "prefix": same(ForcedPrefix([3, 1]), begins([3, 1])),
    "shortlist": same(Shortlist([3, EOS, 0]), only([3, EOS, 0])),
    "required": Rule(
        RequiredPhrases([[1, 1], [3]]), holds_all, [[[1, 1], [3]]]
    ),
}
TOLD = [
    Rule(
        ForcedPrefix(),
        lambda prefix, max_length: begins(prefix),
        [[3], [4, 1], [1, 3, 4]],
        "prefix_ids",
    ),
    Rule(
        RequiredPhrases(),
        holds_all,
        [
            [[3, 4]],
            [[1], [4]],
            [[4, 4, 3]],
            [[3, 1], [1]],
            [[1, 1, 3], [3]],
        ],
        "required_ids",
    ),
    Rule(
        ForbiddenPhrases(),
        lambda phrases, max_length: holds_none(phrases),
        [[[3], [1, 4]], [[4, 1, 1]], [[1], [4, EOS]]],
        "forbidden_ids",
    ),
    Rule(
        Shortlist(),
        lambda tokens, max_length: only(tokens),
        [[EOS, 3, 1], [1, EOS, 3, 4], [4, EOS]],
        "shortlist_ids",
    ),
]


class Together:
    """Several rules at once, and the arguments of searches with them.

    `"told"` is all that are told of each sentence, so that any 16 sentences
    in a row have every set of them.
    """

    def __init__(self, names, max_length):
        self.rules = []
        for name in names:
            self.rules += TOLD if name == "told" else [RULES[name]]
        self.max_length = max_length
        self.constraints = [rule.constraint for rule in self.rules]

    def values(self, sentence):
        """What each rule says of a sentence."""
        return [
            rule.value(sentence, TOLD.index(rule) if rule.name else 0)
            for rule in self.rules
        ]

    def restrict(self, sentence):
        """What ranks instead of the log-probabilities of a sentence."""
        rules = [
            rule.make(value, self.max_length)
            for rule, value in zip(self.rules, self.values(sentence))
        ]

        def restrict(log_probs, prefix):
            for rule in rules:
                log_probs = rule(log_probs, prefix)
            return log_probs

        return restrict

    def arrange(self, sentence, beam_size):
        """What comes first among the candidates of a beam search."""
        phrases = [
            phrase
            for rule, value in zip(self.rules, self.values(sentence))
            if rule.make is holds_all
            for phrase in value
        ]
        return share_out(phrases, beam_size)

    def inputs(self, count, wider=0):
        """What constraints are told of so many sentences.

        Args:
            count: int.
            wider: int. Places of padding too many on each axis.
        """
        rows = [self.values(sentence) for sentence in range(count)]
        return {
            rule.name: pad(
                [row[number] for row in rows],
                rule.constraint.inputs[rule.name],
                wider,
            )
            for number, rule in enumerate(self.rules)
            if rule.name
        }


def pad(rows, axes, wider=0):
    """Returns lists, or lists of lists, as one array of 2 or 3 axes."""
    count = max(map(len, rows), default=0)
    shape = [max(count, 1) + wider]
    if axes == 3:
        width = max((len(one) for row in rows for one in row), default=0)
        shape.append(max(width, 1) + wider)
    padded = np.full((len(rows), *shape), PAD, "int32")
    for row, own in zip(rows, padded):
        if axes == 2:
            own[: len(row)] = row
            continue
        for one, place in zip(row, own):
            place[: len(one)] = one
    return padded
