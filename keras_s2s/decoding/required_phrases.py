"""Phrases that every hypothesis that ends has to hold."""

from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.decoding.constraint import Constraint
from keras_s2s.decoding.constraint import Hypotheses
from keras_s2s.decoding.constraint import Limits
from keras_s2s.decoding.forbidden_phrases import ForbiddenPhrases
from keras_s2s.decoding.legality import allow_only
from keras_s2s.decoding.legality import forbid
from keras_s2s.decoding.phrases import check_phrases
from keras_s2s.decoding.phrases import check_told
from keras_s2s.decoding.phrases import check_words
from keras_s2s.decoding.phrases import find_parts
from keras_s2s.decoding.phrases import find_phrases
from keras_s2s.decoding.phrases import pad_phrases
from keras_s2s.decoding.progress import Progress
from keras_s2s.decoding.progress import measure

Tensor: TypeAlias = Any


@keras.saving.register_keras_serializable(package="keras_s2s")
class RequiredPhrases(Constraint):
    """Phrases that every hypothesis that ends has to hold.

    There is no end token before all are held. Once the tokens left before
    `max_length` may not suffice for all that are missing, one after the
    other, and for an end token, only those follow that go on with a phrase:
    so whatever the model would rather say, a hypothesis can end in time. A
    phrase that is interrupted begins anew; tokens may count for several
    phrases, which may overlap, and a phrase within another is held with it.

    Beam search looks for good places too: it considers, beside the best
    2K tokens of each hypothesis, those that go on with a phrase, and shares
    its beams out among hypotheses that miss as many tokens. In turn, the
    best of those that miss fewest comes first, then the best of those that
    miss one more, to the best of those that miss most, then the second best
    of each, and so on; with `num_groups`, in each group. With one beam, as in
    greedy search and in sampling, phrases come where the model prefers them,
    or else at the end.

    A search takes one such constraint. Where other constraints leave no room
    for a phrase, there is no hypothesis.

    Args:
        phrases: list of lists of int >= 0, or None. The ids of each phrase.
            None: those of each sentence are told as the input
            `required_ids`, int `(B, C, L)`, padding behind each.
            Default: None.

    Raises:
        ValueError: the phrases, one after the other, and an end token are
            more than `max_length` tokens; one holds eos, padding, or a
            phrase that is forbidden.

    Example:

    >>> import keras_s2s as s2s
    >>> constraints = [s2s.decoding.RequiredPhrases([[7], [12, 5]])]
    >>> search = s2s.decoding.BeamSearch(8, constraints=constraints)

    Source: Post and Vilar, 2018, https://arxiv.org/abs/1804.06609 (banks);
    Hu et al., 2019, https://aclanthology.org/N19-1090 (as tensors)
    """

    def __init__(self, phrases: Sequence[Sequence[int]] | None = None):
        self.phrases = None if phrases is None else check_phrases(phrases)
        self.inputs = {"required_ids": 3} if phrases is None else {}

    def check_together(self, constraints: Sequence[Constraint]) -> None:
        """Refuses what is forbidden as well, and more than one such."""
        several = [one for one in constraints if isinstance(one, type(self))]
        if len(several) > 1:
            rule = "a list with one `RequiredPhrases` at most"
            checks.fail("constraints", rule, len(several))
        for other in constraints:
            if isinstance(other, ForbiddenPhrases) and None not in (
                self.phrases,
                other.phrases,
            ):
                required = pad_phrases(self.phrases)
                _refuse_forbidden("phrases", required, other.array({}, -1))

    def check(self, limits: Limits) -> None:
        """Refuses phrases that no hypothesis can hold."""
        if self.phrases is not None:
            for index, phrase in enumerate(self.phrases):
                check_words(f"phrases[{index}]", phrase, limits)
            _check_lengths("phrases", pad_phrases(self.phrases), limits)

    def check_inputs(self, inputs: dict[str, Any], limits: Limits) -> None:
        """Refuses phrases that no hypothesis can hold."""
        if self.phrases is not None:
            name, required = "phrases", pad_phrases(self.phrases)
        else:
            name, told = "required_ids", inputs["required_ids"]
            check_told(name, told, limits)
            if np.any(told == limits.eos_id):
                rule = f"without eos_id, {limits.eos_id}"
                checks.fail(name, rule, told.tolist())
            required = np.where(told == limits.pad_id, -1, told)
            _check_lengths(name, required, limits)
        for other in limits.constraints:
            if isinstance(other, ForbiddenPhrases):
                forbidden = other.array(inputs, limits.pad_id)
                _refuse_forbidden(name, required, forbidden)

    def progress(self, hypotheses: Hypotheses) -> Progress:
        """Returns how far hypotheses are with their phrases."""
        phrases = find_phrases(self.phrases, "required_ids", hypotheses)
        return measure(phrases, hypotheses)

    def restrict(self, log_probs: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Returns `log_probs`, -inf for what would leave a phrase out."""
        progress = self.progress(hypotheses)
        is_unmet = ops.any(progress.unmet, axis=-1)
        ends = ops.full_like(hypotheses.ids[:, :, :1], hypotheses.eos_id)
        log_probs = forbid(log_probs, ends, ops.expand_dims(is_unmet, -1))
        # What is left behind the next token and before an end token.
        room = hypotheses.max_length - hypotheses.position - 2
        enough = ops.less_equal(progress.count_anew(), room)
        enough = ops.logical_or(enough, ops.logical_not(is_unmet))

        def go_on() -> Tensor:
            tokens = progress.next_tokens()
            missing = progress.count_missing(tokens)
            fits = ops.less_equal(missing, ops.maximum(room, 0))
            tokens = ops.where(fits, tokens, -1)
            return allow_only(log_probs, tokens, enough)

        return ops.cond(ops.all(enough), lambda: log_probs, go_on)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"phrases": self.phrases}


def _check_lengths(name: str, phrases: np.ndarray, limits: Limits) -> None:
    """Refuses phrases `(B, C, L)` that do not fit, one after the other."""
    totals = np.sum(phrases >= 0, axis=(1, 2))
    if np.any(totals >= limits.max_length):
        rule = (
            "of fewer tokens than max_length, "
            f"{limits.max_length}, together for a sentence"
        )
        checks.fail(name, rule, f"{totals.max()} tokens")


def _refuse_forbidden(
    name: str, required: np.ndarray, forbidden: np.ndarray
) -> None:
    is_within = find_parts(required, forbidden)
    if is_within.any():
        row, place, _ = np.argwhere(is_within)[0]
        phrase = required[min(row, len(required) - 1), place]
        rule = "without a phrase that is forbidden"
        checks.fail(name, rule, phrase[phrase >= 0].tolist())
