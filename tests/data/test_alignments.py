"""Alignments beside the pairs that they are of, by hand."""

import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.data import AlignedPairs
from keras_s2s.data import SequencePairs

SOURCES = [[5, 6, 3], [7, 3], [8, 9, 4, 3], [6, 3]]
TARGETS = [[8, 9], [4], [5, 6, 7], [5, 5]]
# Lines, an empty one, and pairs; the last word of the third has two sources.
LINES = ["0-1 1-0", "", "0-0 2-2 1-2", np.array([(0, 0), (0, 1)])]


EXPECTED = [
    {(1, 0): 1, (0, 1): 1},
    {},
    {(0, 0): 1, (2, 2): 0.5, (2, 1): 0.5},
    {(0, 0): 1, (1, 0): 1},
]


def check_batches(data, plain):
    """Returns the rows; each has its own alignment, the rest is as without."""
    seen = []
    for index in range(len(data)):
        inputs, *rest = data[index]
        alignments = inputs.pop("alignments")
        for one, other in zip((inputs, *rest), plain[index], strict=True):
            np.testing.assert_equal(one, other)
        shape = (*rest[0].shape, inputs["source_ids"].shape[1])
        assert alignments.shape == shape and alignments.dtype == "float32"
        for place, row in enumerate(data.pair_indices(index)):
            found = {
                (target, source): alignments[place, target, source]
                for target, source in np.argwhere(alignments[place]).tolist()
            }
            assert found == EXPECTED[row]
            seen.append(int(row))
    return sorted(seen)


def test_each_label_has_its_sources_wherever_its_pair_is():
    options = {"batch_size": 2, "seed": 3}
    data = AlignedPairs(SOURCES, TARGETS, LINES, **options)
    plain = SequencePairs(SOURCES, TARGETS, **options)
    for epoch in range(2):
        data.epoch = plain.epoch = epoch
        assert check_batches(data, plain) == [0, 1, 2, 3]


def test_pairs_are_dropped_with_their_alignments():
    with pytest.warns(UserWarning, match="1 of 4 pairs"):
        data, plain = (
            kind(*sides, max_source_length=3)
            for kind, sides in (
                (AlignedPairs, (SOURCES, TARGETS, LINES)),
                (SequencePairs, (SOURCES, TARGETS)),
            )
        )
    assert check_batches(data, plain) == [0, 1, 3]


def test_a_model_trains_on_them():
    data = AlignedPairs(SOURCES, TARGETS, LINES)
    model = s2s.models.Seq2Seq(
        s2s.layers.TransformerEncoder(10, 8, 6, 1, 2),
        s2s.layers.TransformerDecoder(10, 8, 6, 1, 2),
    )
    model.compile(
        "sgd",
        loss=s2s.losses.SequenceLoss(),
        guided_alignment=1.0,
        run_eagerly=True,
    )
    guided = model.train_on_batch(*data[0])
    model.compile("sgd", loss=s2s.losses.SequenceLoss(), run_eagerly=True)
    assert model.test_on_batch(*data[0]) < guided - 0.1


@pytest.mark.parametrize(
    "bad, message",
    [
        ("0-0 1", r"`alignments\[2\]` must be pairs such as '0-0 2-1'"),
        ("0-3", r"`alignments\[2\]` must be pairs of positions in \[0, 4\) a"),
        ([(-1, 0)], r"positions in \[0, 4\) and \[0, 3\). Received"),
        (None, r"must be pairs \(source position, target position\)"),
        ([(0.5, 1.0)], r"must be pairs \(source position, target position\)"),
        ([(0, 0, 1)], r"must be pairs \(source position, target position\)"),
    ],
)
def test_what_is_no_alignment_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        AlignedPairs(SOURCES, TARGETS, [*LINES[:2], bad, LINES[3]])


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`len\(alignments\)` must be len"):
        AlignedPairs(SOURCES, TARGETS, LINES[:3])
    with pytest.raises(ValueError, match="`target_ids` must be one list where"):
        AlignedPairs(SOURCES, {"de": TARGETS}, LINES)
