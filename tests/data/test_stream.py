"""Documents to contiguous batches: every label once, in order, by row."""

import numpy as np
import pytest

from keras_s2s.data import Stream

DOCUMENTS = [
    [10, 11, 12, 13, 14],
    [20],
    [30, 31, 32],
    [40, 41, 42, 43, 44, 45, 46],
]


def rows_of(stream):
    """What each row reads from batch to batch: `(fed, label, reset)`."""
    rows = [[] for _ in range(stream.batch_size)]
    for index in range(len(stream)):
        inputs, labels, weights = stream[index]
        assert inputs["target_ids"].shape == labels.shape == weights.shape
        assert labels.shape == (stream.batch_size, stream.steps)
        for row, read in enumerate(rows):
            for step in np.flatnonzero(weights[row]):
                reset = step == 0 and bool(inputs["resets"][row])
                fed = int(inputs["target_ids"][row, step])
                read.append((fed, int(labels[row, step]), reset))
    return rows


def test_one_document_is_cut_by_hand():
    stream = Stream([5, 6, 7, 8, 9, 10, 11], 2, 2, bos_id=3, eos_id=None)
    # 56 78 | 9 10, 11: the pieces of each row.
    batches = [stream[index] for index in range(2)]
    fed = [inputs["target_ids"].tolist() for inputs, _, _ in batches]
    assert fed == [[[3, 5], [8, 9]], [[6, 7], [10, 0]]]
    labels = [labels.tolist() for _, labels, _ in batches]
    assert labels == [[[5, 6], [9, 10]], [[7, 8], [11, 0]]]
    resets = [inputs["resets"].tolist() for inputs, _, _ in batches]
    assert resets == [[True, True], [False, False]]
    assert batches[1][2].tolist() == [[1, 1], [1, 0]]
    assert stream.num_tokens == 7 and stream.max_target_id == 11
    assert "7 tokens in 1 documents, 2 batches of 2 x 2" in repr(stream)


@pytest.mark.parametrize("batch_size, steps", [(1, 3), (2, 3), (3, 2), (9, 4)])
def test_every_label_comes_once_in_order(batch_size, steps):
    stream = Stream(DOCUMENTS, batch_size, steps)
    read = [entry for row in rows_of(stream) for entry in row]
    labels = [label for _, label, _ in read]
    assert labels == [id_ for ids in DOCUMENTS for id_ in [*ids, 3]]
    assert [fed for fed, _, _ in read] == [
        id_ for ids in DOCUMENTS for id_ in [2, *ids]
    ]
    begins = [fed == 2 for fed, _, _ in read]
    # A row may also begin inside of a document.
    extra = [n for n, (*_, reset) in enumerate(read) if reset and not begins[n]]
    assert all(read[n][2] for n in np.flatnonzero(begins))
    starts = np.cumsum([len(row) for row in rows_of(stream)]).tolist()
    assert set(extra) <= set(starts)
    dtypes = [array.dtype for array in (*stream[0][0].values(), *stream[0][1:])]
    assert dtypes == ["int32", "bool", "int32", "float32"]


def test_rows_without_a_piece_count_nothing():
    inputs, labels, weights = Stream([[5, 6]], 3, 4)[0]
    assert inputs["target_ids"].tolist() == [[2, 0, 0, 0]] * 2 + [[2, 5, 6, 0]]
    assert inputs["resets"].all()
    assert labels.tolist() == [[0] * 4] * 2 + [[5, 6, 3, 0]]
    assert weights.tolist() == [[0] * 4] * 2 + [[1, 1, 1, 0]]


@pytest.mark.parametrize(
    "documents, options, message",
    [
        ([], {}, "`documents` must be at least one document"),
        ([[5], []], {}, r"`documents\[1\]` must be a list of at least one id"),
        (
            [[5, 0]],
            {},
            r"`documents\[0\]` must be of ids >= 0 without the spec",
        ),
        ([5], {"batch_size": 0}, "`batch_size` must be an integer >= 1"),
        ([5], {"steps": 0}, "`steps` must be an integer >= 1"),
        ([5], {"eos_id": -1}, "`eos_id` must be an integer >= 0"),
        ([5], {"pad_id": 2}, "`pad_id` must be neither bos_id nor eos_id"),
    ],
)
def test_what_cannot_be_is_named(documents, options, message):
    with pytest.raises(ValueError, match=message):
        Stream(documents, **options)


def test_what_is_of_another_type_is_named():
    for documents in ("abc", 5):
        with pytest.raises(TypeError, match="`documents` must be a list of d"):
            Stream(documents)
    with pytest.raises(
        TypeError, match=r"`documents\[0\]` must be a list of i"
    ):
        Stream([5.0, 6.5])
    with pytest.raises(IndexError, match=r"`index` must be in \[0, 1\)"):
        Stream([5], 1)[1]
