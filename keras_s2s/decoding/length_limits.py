"""Constraints of length: so many tokens, or so many for each of the source."""

import math
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.constraint import Limits
from keras_s2s.decoding.legality import forbid

Tensor: TypeAlias = Any

# So that 0.1 * 30 is 3 tokens in float32 as well.
ROUNDING = 1e-4


class LengthLimit(Constraint):
    """Base class of limits of `ratio` * S + `length` tokens.

    Args:
        length: int >= 0, tokens, the end token included, as in `max_length`.
            Above 0 where `ratio` is 0.
        ratio: float >= 0. Tokens more for each of the S of the source, its
            end token included, padding not.

    Raises:
        ValueError, TypeError: an argument is not as stated above; in a
            search, there is a `ratio`, but nobody knows how long sources are.
    """

    def __init__(self, length: int = 0, ratio: float = 0.0):
        checks.check_number("ratio", ratio, 0.0, open_maximum=True)
        checks.check_integer("length", length, 0 if ratio else 1)
        self.length = length
        self.ratio = ratio

    def find_limit(self, hypotheses: Hypotheses) -> Tensor:
        """Returns the limit before it is rounded, `(B, 1, 1)` or a scalar."""
        if not self.ratio:
            return ops.convert_to_tensor(float(self.length))
        if hypotheses.source_lengths is None:
            rule = f"known to {type(self).__name__} with a `ratio`"
            cure = "Hand them to `search`."
            checks.fail("source_lengths", rule, None, cure)
        lengths = ops.cast(hypotheses.source_lengths, "float32")
        limits = self.ratio * lengths + float(self.length)
        return ops.reshape(limits, (-1, 1, 1))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"length": self.length, "ratio": self.ratio}


@keras.saving.register_keras_serializable(package="keras_s2s")
class MinimumLength(LengthLimit):
    """No hypothesis ends before it has `ratio` * S + `length` tokens.

    A minimum above the search's `max_length` is that.

    Args:
        length: int >= 0. Tokens, the end token included, as in `max_length`;
            above 0 where `ratio` is 0. Default: 0.
        ratio: float >= 0. Tokens more for each of the S of the source, its
            end token included, padding not. Default: 0.0.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.MinimumLength(3, ratio=0.5)]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)
    """

    def check(self, limits: Limits) -> None:
        """Refuses a length that no hypothesis can have."""
        if self.length > limits.max_length:
            rule = f"at most max_length, {limits.max_length}"
            checks.fail("length", rule, self.length)

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for an end token that comes too early."""
        least = ops.ceil(self.find_limit(hypotheses) - ROUNDING)
        least = ops.minimum(ops.cast(least, "int32"), hypotheses.max_length)
        too_early = ops.less(hypotheses.position + 1, least)
        ends = ops.full_like(hypotheses.ids[:, :, :1], hypotheses.eos_id)
        too_early = ops.broadcast_to(too_early, ops.shape(ends))
        return forbid(log_probs, ends, too_early)


@keras.saving.register_keras_serializable(package="keras_s2s")
class MaximumLength(LengthLimit):
    """Every hypothesis ends with the last of `ratio` * S + `length` tokens.

    At that place nothing but the end token may follow, and what had better
    gone on competes with that ending. A maximum below 1 is 1; one above the
    search's `max_length` says nothing.

    Args:
        length: int >= 0. Tokens, the end token included, as in `max_length`;
            above 0 where `ratio` is 0. Default: 0.
        ratio: float >= 0. Tokens more for each of the S of the source, its
            end token included, padding not. Default: 0.0.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.MaximumLength(10, ratio=1.5)]
    >>> search = s2s.decoding.BeamSearch(constraints=constraints)
    """

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, at the last place -inf but for the end."""
        most = ops.floor(self.find_limit(hypotheses) + ROUNDING)
        most = ops.maximum(ops.cast(most, "int32"), 1)
        is_last = ops.greater_equal(hypotheses.position + 1, most)
        tokens = ops.arange(log_probs.shape[-1], dtype="int32")
        goes_on = ops.not_equal(tokens, hypotheses.eos_id)
        too_long = ops.logical_and(is_last, goes_on)
        return ops.where(too_long, -math.inf, log_probs)
