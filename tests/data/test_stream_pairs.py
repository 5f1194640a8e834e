"""Sources and targets are cut at the same places."""

import numpy as np
import pytest

from keras_s2s.data import StreamPairs


def test_two_documents_are_cut_by_hand():
    sources = [[5, 6, 7], [8]]
    targets = [[15, 16, 17], np.array([18])]
    data = StreamPairs(sources, targets, 1, 2, bos_id=1)
    read = []
    for index in range(len(data)):
        inputs, labels, weights = data[index]
        sources = inputs["sources"]
        read.append(
            [
                sources["source_ids"][0].tolist(),
                inputs["target_ids"][0].tolist(),
                labels[0].tolist(),
                weights[0].tolist(),
                sources["resets"].item(),
            ]
        )
    assert read == [
        [[5, 6], [1, 15], [15, 16], [1, 1], True],
        [[7, 0], [16, 0], [17, 0], [1, 0], False],
        [[8, 0], [1, 0], [18, 0], [1, 0], True],
    ]
    assert (data.max_source_id, data.max_target_id) == (8, 18)


def test_rows_without_a_piece_count_nothing():
    inputs, labels, weights = StreamPairs([5, 6], [7, 8], 2, 3)[0]
    assert inputs["sources"]["source_ids"].tolist() == [[2, 0, 0], [5, 6, 0]]
    assert inputs["target_ids"].tolist() == [[2, 0, 0], [2, 7, 0]]
    assert weights.tolist() == [[0, 0, 0], [1, 1, 0]]


def test_sources_and_targets_have_one_length():
    rule = "`sources` must be as long as `targets`, document by document"
    for targets in ([[7], [8]], [[7, 8, 9]], [[7, 8], [9]]):
        with pytest.raises(ValueError, match=rule):
            StreamPairs([[5, 6]], targets, 1, 1)
