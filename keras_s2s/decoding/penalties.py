"""Length penalties: what the score of a hypothesis is divided by."""

import numpy as np

from keras_s2s import checks


def no_penalty(length: np.ndarray, alpha: float, offset: float) -> np.ndarray:
    """Returns 1 for every length: scores stay log-probabilities."""
    return np.ones_like(length)


def gnmt_penalty(length: np.ndarray, alpha: float, offset: float) -> np.ndarray:
    """Returns ((offset + length) / (offset + 1)) ** alpha; Wu et al. add 5.

    Source: Wu et al., 2016, equation 14, https://arxiv.org/abs/1609.08144
    """
    return ((offset + length) / (offset + 1.0)) ** alpha


def power_penalty(
    length: np.ndarray, alpha: float, offset: float
) -> np.ndarray:
    """Returns length ** alpha, a length of 0 counting as 1."""
    return np.maximum(length, 1.0) ** alpha


LENGTH_PENALTIES = {
    "none": no_penalty,
    "gnmt": gnmt_penalty,
    "power": power_penalty,
}


def length_penalty_table(
    name: str,
    alpha: float,
    max_length: int,
    count_eos: bool = True,
    offset: float = 5.0,
) -> np.ndarray:
    """Returns the divisor of a finished hypothesis of each length.

    Args:
        name: str. `"none"`, `"gnmt"` or `"power"`.
        alpha: float. Exponent; above 0 it favours long hypotheses, below 0
            short ones.
        max_length: int > 0. Longest hypothesis, in generated tokens, the end
            token included.
        count_eos: bool. Whether the length in the formula counts the end
            token. Default: True.
        offset: float > 0, tokens. What `"gnmt"` adds to the length.
            Default: 5.0.

    Returns:
        Float32 `(max_length + 1,)`, each value > 0. Entry n belongs to n
        generated tokens, the end token included.

    Raises:
        ValueError: `name` is not a length penalty.

    Example:

    >>> length_penalty_table("power", 1.0, 3, count_eos=False)
    array([1., 1., 1., 2.], dtype=float32)
    """
    checks.check_option("length_penalty", name, LENGTH_PENALTIES)
    length = count_lengths(max_length, count_eos)
    return LENGTH_PENALTIES[name](length, alpha, offset).astype("float32")


def count_lengths(max_length: int, count_eos: bool) -> np.ndarray:
    """Returns float64 `(max_length + 1,)`: what a length counts as."""
    generated = np.arange(max_length + 1, dtype="float64")
    return generated if count_eos else np.maximum(generated - 1.0, 0.0)


def reachable_penalty_table(penalties: np.ndarray) -> np.ndarray:
    """Returns the largest divisor that an open hypothesis can still reach.

    A log-probability is at most 0 and only falls, so the largest divisor
    gives the best score that an open hypothesis can still finish with,
    whatever the sign of the exponent.

    Args:
        penalties: float `(max_length + 1,)`, from `length_penalty_table`.

    Returns:
        Float `(max_length,)`. Entry n belongs to n generated tokens, which
        leaves n + 1 to `max_length` to finish with.
    """
    return np.maximum.accumulate(penalties[::-1])[::-1][1:]
