"""Pairs and options that cannot be are refused, with their line."""

import numpy as np
import pytest

from keras_s2s.data import SequencePairs


def test_an_empty_side_is_named_with_its_line():
    rule = r"`source_ids\[1\]` must be a list of at least one id.*line 2\."
    with pytest.raises(ValueError, match=rule):
        SequencePairs([[5], []], [[5], [5]])
    rule = r"`target_ids\[2\]` must be a list of at least one id.*line 3\."
    with pytest.raises(ValueError, match=rule):
        SequencePairs([[5]] * 3, [[5], [5], np.zeros(0, "int32")])


def test_unequal_sides_are_named_with_the_line():
    rule = r"`len\(target_ids\)` must be len\(source_ids\), 3. .*Line 3 has no"
    with pytest.raises(ValueError, match=rule):
        SequencePairs([[5]] * 3, [[5]] * 2)
    with pytest.raises(ValueError, match="Line 2 has no partner"):
        SequencePairs([[5]], [[5]] * 4)


def test_no_pairs_are_refused():
    rule = r"`len\(source_ids\)` must be at least 1"
    with pytest.raises(ValueError, match=rule):
        SequencePairs([], [])


@pytest.mark.parametrize("side", ["abc", 5, iter([[5]])])
def test_sides_that_are_no_lists_are_refused(side):
    with pytest.raises(TypeError, match="`target_ids` must be a list"):
        SequencePairs([[5]], side)


@pytest.mark.parametrize(
    "row", [[5.0], [5, 6.5], ["5"], "5", 5, [[5]], [2**70]]
)
def test_ids_that_are_no_integers_are_named_with_their_line(row):
    rule = r"`source_ids\[1\]` must be a list of integer ids.*line 2\."
    with pytest.raises(TypeError, match=rule):
        SequencePairs([[5], row], [[5], [5]])


@pytest.mark.parametrize("bad", [-1, 0, 2, 3, 2**31])
def test_ids_that_may_not_be_are_named_with_their_line(bad):
    rule = "` must be of ids >= 0 without the special 0 and 2 and 3.*line "
    with pytest.raises(ValueError, match=r"`target_ids\[1\]" + rule + "2"):
        SequencePairs([[5], [5]], [[5, 6, 7], [bad, 8]])
    with pytest.raises(ValueError, match=r"`target_ids\[0\]" + rule + "1"):
        SequencePairs([[5], [5]], [[5, 6, bad], [8, 9]])


def test_padding_in_a_source_is_refused_but_an_end_token_is_not():
    assert SequencePairs([[2, 5, 3]], [[5]]).num_pairs == 1
    rule = r"`source_ids\[0\]` must be of ids >= 0 without the special 0\. "
    with pytest.raises(ValueError, match=rule):
        SequencePairs([[5, 0]], [[5]])


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("batch_size", 0, "an integer >= 1"),
        ("batch_tokens", 0, "an integer >= 1"),
        ("batch_tokens", 3, "at least the longest padded length, 4"),
        ("max_source_length", 0, "an integer >= 1"),
        ("max_target_length", -1, "an integer >= 1"),
        ("bucket_lengths", [], "up to the longest sequence, 4"),
        ("bucket_lengths", [2, 3], "up to the longest sequence, 4"),
        ("bucket_lengths", [0, 8], "an integer >= 1"),
        ("num_shards", 0, "an integer >= 1"),
        ("shard_index", 1, "less than num_shards=1"),
        ("shard_index", -1, "an integer >= 0"),
        ("seed", -1, "an integer >= 0"),
        ("pad_id", 2, "neither bos_id nor eos_id"),
        ("eos_id", -1, "an integer >= 0"),
    ],
)
def test_options_out_of_range_are_refused(name, value, rule):
    with pytest.raises(ValueError, match=f"`{name}` must be {rule}.*Received"):
        SequencePairs([[5]], [[5, 6, 7]], **{name: value})


@pytest.mark.parametrize("name", ["batch_size", "num_shards", "seed"])
def test_options_of_another_type_are_refused(name):
    with pytest.raises(TypeError, match=f"`{name}` must be an integer"):
        SequencePairs([[5]], [[5]], **{name: 2.5})


def test_the_epoch_is_checked():
    with pytest.raises(ValueError, match="`epoch` must be an integer >= 0"):
        SequencePairs([[5]], [[5]]).epoch = -1


@pytest.mark.parametrize("index", [-1, 1])
def test_there_is_no_batch_outside(index):
    with pytest.raises(IndexError, match=r"`index` must be in \[0, 1\)"):
        SequencePairs([[5]], [[5]])[index]
