"""What ranks hypotheses, by definition."""

import math


def penalty(name, alpha, num_generated, finished=True, count_eos=True):
    """Returns the divisor of a hypothesis of `num_generated` tokens."""
    length = num_generated - (1 if finished and not count_eos else 0)
    if name == "gnmt":
        return ((5 + length) / 6) ** alpha
    if name == "power":
        return max(length, 1) ** alpha
    return 1.0


def add_up(total, length, finished, setting):
    """Returns a score without coverage: of name, alpha, count_eos and, last,
    a dict of `word_reward` and `coverage_penalty`, if there is one."""
    name, alpha, count_eos, *more = setting
    score = total / penalty(name, alpha, length, finished, count_eos)
    for extras in more:
        counted = length - (1 if finished and not count_eos else 0)
        score += extras.get("word_reward", 0.0) * counted
    return score


def score_of(model, sentence, ids, total, finished, setting):
    """Returns what ranks a hypothesis of a sum of log-probabilities."""
    score = add_up(total, len(ids), finished, setting)
    for extras in setting[3:]:
        if "coverage_penalty" not in extras:
            continue
        steps = range(len(ids))
        attention = sum(model.alignment(sentence, ids[:n]) for n in steps)
        for value, real in zip(attention, model.mask[sentence]):
            if real:
                logarithm = math.log(min(value, 1.0))
                score += extras["coverage_penalty"] * logarithm
    return score


def reachable(total, lengths, setting):
    """Returns the best that an open hypothesis may score with `lengths`."""
    return max(
        (add_up(total, length, True, setting) for length in lengths),
        default=-1e9,
    )
