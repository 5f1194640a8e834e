"""Constraints, and what they say in slow NumPy, alone and together."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_s2s.decoding import Constraint
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
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
    """A constraint and what it says: of a sentence, up to a length."""

    constraint: Constraint
    restrict: Callable
    told: dict = dataclasses.field(default_factory=dict)
    required: Callable = lambda sentence: []


def same(constraint, restrict):
    """A rule that is the same for all sentences."""
    return Rule(constraint, lambda sentence, max_length: restrict)


def of_each(constraint, name, rows, make):
    """A rule that is told of each sentence: one of `rows` in turn."""

    def restrict(sentence, max_length):
        return make(rows[sentence % len(rows)])

    return Rule(constraint, restrict, {name: rows})


PHRASES = [[4], [3, 3], [0, 3, 1]]
REQUIRED = [[1, 1], [3]]
TOLD = [[[3, 4]], [], [[1], [4]], [[4, 4, 3]], [[3, 1], [1, 3]]]
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
    "prefix": same(ForcedPrefix([3, 1]), begins([3, 1])),
    "shortlist": same(Shortlist([3, EOS, 0]), only([3, EOS, 0])),
    "prefixes": of_each(
        ForcedPrefix(), "prefix_ids", [[3], [4, 1], [], [1, 3, 4]], begins
    ),
    "shortlists": of_each(
        Shortlist(),
        "shortlist_ids",
        [[EOS, 3, 1], [4, EOS], [], [1, EOS, 3, 4]],
        only,
    ),
    "phrases of each": of_each(
        ForbiddenPhrases(),
        "forbidden_ids",
        [[[3], [1, 4]], [[4, 1, 1]], [], [[1], [4, EOS]]],
        holds_none,
    ),
    "required": Rule(
        RequiredPhrases(REQUIRED),
        lambda sentence, max_length: holds_all(REQUIRED, max_length),
        required=lambda sentence: REQUIRED,
    ),
    "required of each": Rule(
        RequiredPhrases(),
        lambda sentence, max_length: holds_all(
            TOLD[sentence % len(TOLD)], max_length
        ),
        {"required_ids": TOLD},
        lambda sentence: TOLD[sentence % len(TOLD)],
    ),
}


class Together:
    """Several rules at once, and the arguments of searches with them."""

    def __init__(self, names, max_length):
        self.rules = [RULES[name] for name in names]
        self.max_length = max_length
        self.constraints = [rule.constraint for rule in self.rules]

    def restrict(self, sentence):
        """What ranks instead of the log-probabilities of a sentence."""
        rules = [
            rule.restrict(sentence, self.max_length) for rule in self.rules
        ]

        def restrict(log_probs, prefix):
            for rule in rules:
                log_probs = rule(log_probs, prefix)
            return log_probs

        return restrict

    def arrange(self, sentence, beam_size):
        """What comes first among the candidates of a beam search."""
        phrases = [
            phrase for rule in self.rules for phrase in rule.required(sentence)
        ]
        return share_out(phrases, beam_size)

    def inputs(self, count, wider=0):
        """What constraints are told of so many sentences.

        Args:
            count: int.
            wider: int. Places of padding too many on each axis.
        """
        return {
            name: pad([rows[n % len(rows)] for n in range(count)], wider)
            for rule in self.rules
            for name, rows in rule.told.items()
        }


def pad(rows, wider=0):
    """Returns lists, or lists of lists, as one array."""
    if not any(isinstance(one, list) for row in rows for one in row):
        width = max(map(len, rows)) + wider
        padded = [row + [PAD] * (width - len(row)) for row in rows]
        return np.array(padded, "int32")
    count = max(map(len, rows)) + wider
    width = max(len(one) for row in rows for one in row) + wider
    padded = np.full((len(rows), count, width), PAD, "int32")
    for row, own in zip(rows, padded):
        for one, place in zip(row, own):
            place[: len(one)] = one
    return padded
