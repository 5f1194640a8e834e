"""Random sampling, of the whole distribution or of its likeliest part."""

import math
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.candidates import SMALLEST_SPLIT_ROW
from keras_s2s.decoding.candidates import best_of_classes
from keras_s2s.decoding.candidates import top_candidates
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.distribution import Distribution
from keras_s2s.decoding.random_search import RandomSearch
from keras_s2s.decoding.rows import search_rows
from keras_s2s.decoding.search import Stepper
from keras_s2s.decoding.search import Task
from keras_s2s.maxima import block_width
from keras_s2s.maxima import split_rows
from keras_s2s.recurrence import gather_beams
from keras_s2s.recurrence import take

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class RandomSampling(RandomSearch):
    """Draws each token at random, N independent hypotheses a sentence.

    Logits are divided by `temperature`, then all but the `top_k` likeliest
    tokens are dropped, then all but the smallest set of the likeliest whose
    probability is at least `top_p`, then those whose probability, among what
    is left, is below `epsilon`; the likeliest stays. The score of a
    hypothesis is its log-probability under the model itself: with
    temperature 1 and nothing dropped. Hypotheses come best first, those with
    an end token before those without.

    With a seed every sentence meets the same random numbers: a result depends
    on its own sentence alone, on no batch, and two equal sentences have the
    same samples. Without one, each sentence has numbers of its own.

    Args:
        temperature: float > 0. Below 1 sharper, above 1 flatter than the
            model. Default: 1.0.
        top_k: int > 0 or None. How many tokens to draw from. Default: all.
        top_p: float in (0, 1] or None. The probability to keep. Default:
            all.
        num_samples: int > 0. N, and K: hypotheses a sentence. Default: 1.
        seed: int >= 0 or None. With a seed every call draws the same; with
            None each draws afresh, and `seed_generator` holds the state (a
            `keras.random.SeedGenerator`; on JAX what jit-compiles must treat
            it as state). Default: None.
        constraints: list of `Constraint`, or None. What may be drawn, before
            `temperature`. Default: None, anything.
        epsilon: float in (0, 1) or None. The least probability of a token
            to be drawn. Default: None, any.

    Raises:
        ValueError, TypeError: an argument is not as stated above.

    Example:

    >>> logits = np.log([[0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    >>> def step(token_ids, state, context, position):
    ...     return ops.take(logits, token_ids, axis=0), state
    >>> result = RandomSampling(num_samples=3, seed=0).search(
    ...     step, {}, batch_size=1, max_length=5, bos_id=2, eos_id=0, pad_id=0
    ... )

    Source: Holtzman et al., 2020, section 3.1,
    https://arxiv.org/abs/1904.09751 (`top_p`); Hewitt et al., 2022, section
    4, https://arxiv.org/abs/2210.15191 (`epsilon`)
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        num_samples: int = 1,
        seed: int | None = None,
        constraints: Sequence[Constraint] | None = None,
        epsilon: float | None = None,
    ):
        super().__init__(temperature, seed, constraints)
        if top_k is not None:
            checks.check_positive("top_k", top_k)
        if top_p is not None:
            checks.check_number("top_p", top_p, 0.0, 1.0, open_minimum=True)
        if epsilon is not None:
            checks.check_number(
                "epsilon",
                epsilon,
                0.0,
                1.0,
                open_minimum=True,
                open_maximum=True,
            )
        checks.check_positive("num_samples", num_samples)
        self.top_k = top_k
        self.top_p = top_p
        self.num_samples = num_samples
        self.epsilon = epsilon
        self.beam_size = num_samples
        self.num_hypotheses = num_samples

    def run(self, stepper: Stepper, task: Task) -> dict[str, Tensor]:
        """Returns what `search` returns, its arguments being checked."""
        rows = task.batch_size * task.beam_size
        noise = ops.reshape(self.draw_uniform(task), (task.max_length, rows, 1))

        def choose(distribution, position):
            return self._draw(distribution, take(noise, position))

        result = search_rows(stepper, choose, task)
        finished = ops.cast(result.pop("finished"), "float32")
        order = best_of_classes(finished, result["scores"], task.beam_size)
        return {
            name: gather_beams(part, order) for name, part in result.items()
        }

    def _draw(
        self, distribution: Distribution, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns a token of each row, and its log-probability twice."""
        logits = distribution.logits
        maximum = ops.max(logits, axis=-1, keepdims=True)
        size = logits.shape[-1]
        kept, ids = logits, None
        if self.top_k is not None or self.top_p is not None:
            count = size if self.top_k is None else min(self.top_k, size)
            kept, ids = top_candidates(logits, count)
        highest = ops.where(ops.isfinite(maximum), maximum, 0.0)
        weights = ops.exp((kept - highest) / self.temperature)
        if self.top_p is not None:
            weights = keep_nucleus(weights, self.top_p)
        if self.epsilon is not None:
            weights = keep_likely(weights, self.epsilon)
        places = draw_places(weights, noise)
        tokens = places if ids is None else gather_beams(ids, places)
        values = gather_beams(kept, places)
        added, token_scores = distribution.score(values, tokens, maximum)
        # Weights say what is drawn, but are no part of its probability.
        is_legal = ops.greater(added, -math.inf)
        return (
            tokens,
            ops.where(is_legal, token_scores, -math.inf),
            token_scores,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {
            "top_k": self.top_k,
            "top_p": self.top_p,
            "num_samples": self.num_samples,
            "epsilon": self.epsilon,
        }
        return {**config, **super().get_config()}


def keep_nucleus(weights: Tensor, top_p: float) -> Tensor:
    """Zeroes all but the smallest set that has `top_p` of each row's sum.

    Args:
        weights: float `(R, C)`, >= 0, largest first.
        top_p: float in (0, 1].
    """
    cumulative = ops.cumsum(weights, axis=-1)
    before = cumulative - weights
    return ops.where(before < top_p * cumulative[:, -1:], weights, 0.0)


def keep_likely(weights: Tensor, epsilon: float) -> Tensor:
    """Zeroes what has less than `epsilon` of each row's sum.

    The largest of a row stays.

    Args:
        weights: float `(R, C)`, >= 0.
        epsilon: float in (0, 1).
    """
    least = epsilon * ops.sum(weights, axis=-1, keepdims=True)
    least = ops.minimum(least, ops.max(weights, axis=-1, keepdims=True))
    return ops.where(weights < least, 0.0, weights)


def draw_places(weights: Tensor, noise: Tensor) -> Tensor:
    """Draws a column of each row, with probabilities as its `weights`.

    A long row is cut into blocks: first a block is drawn, then a column of
    it, as a sum over a row costs a fraction of a cumulative one.

    Args:
        weights: float `(R, C)`, >= 0.
        noise: float `(R, 1)` in [0, 1), uniform.

    Returns:
        Int32 `(R, 1)`. A column of weight 0 only if the row has no other.
    """
    size = weights.shape[-1]
    if size < SMALLEST_SPLIT_ROW:
        return draw_column(weights, noise)[0]
    width = block_width(size, 1)
    blocks = split_rows(weights, width, 0.0)
    chosen, noise = draw_column(ops.sum(blocks, axis=-1), noise)
    kept = ops.squeeze(gather_beams(blocks, chosen), axis=1)
    return chosen * width + draw_column(kept, noise)[0]


def draw_column(weights: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a column of each row, and what is left of the noise."""
    cumulative = ops.cumsum(weights, axis=-1)
    target = noise * cumulative[:, -1:]
    reached = ops.greater(cumulative, target)
    reached = ops.logical_and(reached, ops.greater(weights, 0.0))
    # Rounding can leave nothing reached: then the heaviest.
    drawn = ops.where(
        ops.any(reached, axis=-1, keepdims=True),
        ops.cast(reached, "float32"),
        weights,
    )
    column = ops.cast(ops.argmax(drawn, axis=-1, keepdims=True), "int32")
    weight = gather_beams(weights, column)
    missing = gather_beams(cumulative, column) - target
    left = 1.0 - missing / ops.maximum(weight, 1e-30)
    return column, ops.clip(left, 0.0, 1.0)
