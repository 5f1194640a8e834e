"""What a loss cannot take is refused."""

import pytest

from keras_s2s.losses import SequenceLoss
from keras_s2s.losses import sequence_loss
from tests.test_losses import LABELS
from tests.test_losses import LOGITS
from tests.test_losses import MASK


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"normalizer": "mean"},
            ValueError,
            r"`normalizer` must be one of \['tokens', 'sequences', 'batch', "
            r"'none'\]. Received: normalizer='mean'.",
        ),
        (
            {"label_smoothing": 1.0},
            ValueError,
            r"`label_smoothing` must be a number in \[0.0, 1.0\). Received: "
            "label_smoothing=1.0.",
        ),
        (
            {"label_smoothing": "0.1"},
            TypeError,
            "`label_smoothing` must be a number .* label_smoothing='0.1'.",
        ),
        (
            {"ignore_id": 0.5},
            TypeError,
            "`ignore_id` must be an integer .* ignore_id=0.5.",
        ),
        (
            {"chunk_size": 0},
            ValueError,
            "`chunk_size` must be an integer >= 1. Received: chunk_size=0.",
        ),
        (
            {"chunk_size": "all"},
            TypeError,
            "`chunk_size` must be an integer .* chunk_size='all'.",
        ),
    ],
)
def test_refuses_arguments(options, error, message):
    with pytest.raises(error, match=message):
        SequenceLoss(**options)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            (LABELS[..., None], LOGITS),
            r"`y_true` must be int ids of shape \(B, T\). Received: "
            r"y_true=\(3, 4, 1\).",
        ),
        (
            (LABELS, LOGITS[0]),
            r"`y_pred` must be logits of shape \(B, T, V\). Received: "
            r"y_pred=\(4, 5\).",
        ),
        (
            (LABELS, LOGITS, MASK[..., None]),
            r"`sample_weight` must be of shape \(B,\), \(B, 1\) or \(B, T\). "
            r"Received: sample_weight=\(3, 4, 1\).",
        ),
    ],
)
def test_refuses_other_ranks(arrays, message):
    with pytest.raises(ValueError, match=message):
        SequenceLoss()(*arrays)


def test_legacy_refuses_other_shapes():
    message = r"`targets` must be of shape \(B, T\) = \(3, 4\). .*\(3, 3\)"
    with pytest.raises(ValueError, match=message):
        sequence_loss(LOGITS, LABELS[:, :3], MASK)
    message = r"`weights` must be of shape \(B, T\) = \(3, 4\). .*\(3,\)"
    with pytest.raises(ValueError, match=message):
        sequence_loss(LOGITS, LABELS, MASK[:, 0])
