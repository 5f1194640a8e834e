"""Greedy search: the likeliest token at each step."""

from typing import Any
from typing import TypeAlias

import keras

from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.rows import search_rows
from keras_s2s.decoding.search import Search
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task
from keras_s2s.maxima import first_maximum

Tensor: TypeAlias = Any


def choose_best(
    distribution: Distribution, position: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the best token of each row, the lowest id among equals."""
    maximum, tokens = first_maximum(distribution.logits)
    return tokens, *distribution.score(maximum, tokens)


@keras.saving.register_keras_serializable(package="keras_s2s")
class GreedySearch(Search):
    """Takes the likeliest token at each step, until it is the end token.

    The score of a hypothesis is its log-probability in nats, as `BeamSearch`
    ranks it. Of equally likely tokens, the one with the lowest id is taken.

    Args:
        constraints: list of `Constraint`, or None. What may be generated.
            Default: None, anything.

    Example:

    >>> from keras import ops
    >>> logits = np.log([[0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    >>> def step(token_ids, state, context, position):
    ...     return ops.take(logits, token_ids, axis=0), state
    >>> result = GreedySearch().search(
    ...     step, {}, batch_size=1, max_length=5, bos_id=2, eos_id=0, pad_id=0
    ... )
    """

    beam_size = 1
    num_hypotheses = 1

    def run(self, stepper: Stepper, task: Task) -> dict[str, Tensor]:
        """Returns what `search` returns, its arguments being checked."""
        result = search_rows(stepper, choose_best, task)
        del result["finished"]
        return result
