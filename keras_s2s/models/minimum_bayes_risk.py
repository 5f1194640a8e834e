"""The text that is most like all that a model might have written."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import numpy as np

from keras_s2s import checks
from keras_s2s.text_metrics import import_sacrebleu

Utility: TypeAlias = Callable[[str, str], float]


def _chrf() -> Utility:
    metric = import_sacrebleu().CHRF()
    return lambda text, other: metric.sentence_score(text, [other]).score


def _bleu() -> Utility:
    # Of a text of three words 4-grams say nothing.
    metric = import_sacrebleu().BLEU(effective_order=True)
    return lambda text, other: metric.sentence_score(text, [other]).score


# The utilities that have a name.
UTILITIES = {"chrf": _chrf, "bleu": _bleu}


def minimum_bayes_risk(
    hypotheses: Sequence[str],
    utility: str | Utility = "chrf",
    weights: Sequence[float] | None = None,
) -> int:
    """Returns the place of the hypothesis of the highest expected utility.

    Each hypothesis is scored against all of them, itself included, as if
    they were references, in proportion to their weights. Of samples of a
    model, each drawn as likely as it is, the weights are alike; of an N-best
    list they are probabilities. Texts that come twice count twice, and are
    compared once. Of equals the first is chosen.

    Args:
        hypotheses: list of str, N of them, of one source.
        utility: "chrf" (chrF2) or "bleu", both by sacreBLEU, of sentences; or
            a function `utility(hypothesis, reference)` that returns a number,
            higher for a better hypothesis. Default: "chrf".
        weights: list of float >= 0, one for each, in proportion to each
            other. Default: None, all alike.

    Returns:
        Int in [0, N).

    Raises:
        ValueError: there is no hypothesis; `utility` is no name of one, or
            returns what is not finite; there are not as many weights, one is
            negative, or all are 0.
        TypeError: a hypothesis is no str.
        ImportError: a named utility needs sacrebleu, which is not installed.

    Example:

    >>> texts = ["a cat sat", "a dog runs", "a dog ran", "a dog ran home"]
    >>> texts[minimum_bayes_risk(texts, "chrf")]
    'a dog ran home'

    Source: Kumar and Byrne, 2004, https://aclanthology.org/N04-1022; Eikema
    and Aziz, 2020, section 5 (samples), https://arxiv.org/abs/2005.10283
    """
    expected = expected_utilities(hypotheses, utility, weights)
    return int(np.argmax(expected))


def expected_utilities(
    hypotheses: Sequence[str],
    utility: str | Utility = "chrf",
    weights: Sequence[float] | None = None,
) -> np.ndarray:
    """Returns float64 `(N,)`: what `minimum_bayes_risk` takes the best of."""
    hypotheses = checks.check_texts("hypotheses", hypotheses)
    if not hypotheses:
        checks.fail("hypotheses", "a list of at least one text", hypotheses)
    function = find_utility(utility)
    texts = list(dict.fromkeys(hypotheses))
    places = [texts.index(text) for text in hypotheses]
    shares = np.bincount(
        places, _check_weights(weights, len(hypotheses)), len(texts)
    )
    counts = np.flatnonzero(shares)
    expected = [
        sum(
            shares[number] * _evaluate(function, text, texts[number])
            for number in counts
        )
        for text in texts
    ]
    return np.array(expected)[places] / shares.sum()


def find_utility(utility: str | Utility) -> Utility:
    """Returns a utility, which may have a name."""
    if callable(utility):
        return utility
    checks.check_option("utility", utility, UTILITIES)
    return UTILITIES[utility]()


def choose_texts(
    texts: Sequence[Sequence[str]],
    result: dict[str, Any],
    utility: Utility,
    are_drawn: bool,
) -> list[str]:
    """Returns the best of the N texts of each source.

    Args:
        texts: N lists of B str.
        result: dict, what an `InferenceModel` returned.
        utility: function.
        are_drawn: bool. Whether they are samples, else an N-best list, whose
            log-probabilities weigh them.
    """
    log_probs = np.sum(result["token_scores"], axis=-1, dtype="float64")
    chosen = []
    for row, candidates in enumerate(zip(*texts)):
        there = np.flatnonzero(result["lengths"][row])
        if not len(there):
            chosen.append(candidates[0])
            continue
        weights = None
        if not are_drawn:
            own = log_probs[row, there]
            weights = np.exp(own - own.max())
        found = [candidates[number] for number in there]
        chosen.append(found[minimum_bayes_risk(found, utility, weights)])
    return chosen


def _check_weights(weights: Any, count: int) -> Any:
    if weights is None:
        return np.ones(count)
    if len(weights) != count:
        checks.fail("weights", f"one for each of {count} hypotheses", weights)
    for number, weight in enumerate(weights):
        name = f"weights[{number}]"
        checks.check_number(name, weight, 0.0, open_maximum=True)
    if not np.sum(weights) > 0:
        checks.fail("weights", "not all 0", weights)
    return np.array(weights, "float64")


def _evaluate(utility: Utility, text: str, other: str) -> float:
    value = utility(text, other)
    if not np.isfinite(value):
        rule = "a function that returns a finite number"
        checks.fail("utility", rule, value)
    return value
