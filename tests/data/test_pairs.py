"""Every pair once an epoch, in batches that a seed and an epoch determine."""

import itertools
import pickle
import re
import warnings

import numpy as np
import pytest

from keras_s2s import batching
from keras_s2s.data import SequencePairs
from keras_s2s.data import TextPairs
from keras_s2s.tokenizers import SentencePieceTokenizer


def random_pairs(num_pairs=200, longest=30, seed=1):
    """Pairs whose first source id tells which pair it is."""
    generator = np.random.default_rng(seed)
    source, target = [], []
    for pair in range(num_pairs):
        lengths = generator.integers(1, longest + 1, 2)
        source.append([10 + pair] * lengths[0])
        target.append(generator.integers(4, 99, lengths[1]).tolist())
    return source, target


def spell(data):
    """All that a data set serves in its epoch, as plain lists."""
    return [
        [
            inputs["source_ids"].tolist(),
            inputs["target_ids"].tolist(),
            labels.tolist(),
            weights.tolist(),
        ]
        for inputs, labels, weights in data
    ]


def served(data):
    """The pairs that a data set serves in its epoch, batch by batch."""
    return [data.pair_indices(i).tolist() for i in range(len(data))]


# What is in a batch.


def test_a_batch_by_hand():
    data = SequencePairs([[5, 3], [6, 7, 3]], [[8], [9, 10]], shuffle=False)
    inputs, labels, weights = data[0]
    assert inputs["source_ids"].tolist() == [[5, 3, 0], [6, 7, 3]]
    assert inputs["target_ids"].tolist() == [[2, 8, 0], [2, 9, 10]]
    assert labels.tolist() == [[8, 3, 0], [9, 10, 3]]
    assert weights.tolist() == [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    assert len(data) == 1


def test_dtypes_are_int32_and_float32():
    inputs, labels, weights = SequencePairs([[5]], [[8]])[0]
    assert inputs["source_ids"].dtype == inputs["target_ids"].dtype == "int32"
    assert labels.dtype == "int32" and weights.dtype == "float32"


def test_special_ids_may_be_others():
    data = SequencePairs(
        [[0], [2, 3]],
        [[0], [2, 3]],
        shuffle=False,
        pad_id=9,
        bos_id=7,
        eos_id=8,
    )
    inputs, labels, weights = data[0]
    assert inputs["source_ids"].tolist() == [[0, 9], [2, 3]]
    assert inputs["target_ids"].tolist() == [[7, 0, 9], [7, 2, 3]]
    assert labels.tolist() == [[0, 8, 9], [2, 3, 8]]
    assert weights.tolist() == [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"batch_size": 7},
        {"batch_size": 1},
        {"batch_tokens": 128},
        {"bucket_lengths": [40]},
    ],
)
def test_every_pair_comes_once_and_whole(options):
    source, target = random_pairs()
    data = SequencePairs(source, target, **options)
    seen = []
    for index, (inputs, labels, weights) in enumerate(data):
        for row, pair in enumerate(data.pair_indices(index)):
            length = len(target[pair]) + 1
            padding = [0] * (labels.shape[1] - length)
            target_ids = inputs["target_ids"][row].tolist()
            assert target_ids == [2, *target[pair], *padding]
            assert labels[row].tolist() == [*target[pair], 3, *padding]
            assert weights[row].sum() == weights[row, :length].sum() == length
            ids = inputs["source_ids"][row]
            assert ids[: len(source[pair])].tolist() == source[pair]
            assert not ids[len(source[pair]) :].any()
            seen.append(int(pair))
    assert sorted(seen) == list(range(200))


def test_arrays_of_ids_are_as_good_as_lists():
    source, target = random_pairs()
    arrays = [[np.array(row) for row in side] for side in (source, target)]
    assert spell(SequencePairs(*arrays)) == spell(SequencePairs(source, target))
    data = SequencePairs(np.array([[5, 6]]), np.array([[7]], "uint8"))
    assert data[0][1].tolist() == [[7, 3]]


# Batches and their shapes.


def test_batches_are_full_but_for_the_last():
    data = SequencePairs(*random_pairs(), batch_size=64, shuffle=False)
    assert sorted(len(labels) for _, labels, _ in data) == [8, 64, 64, 64]


@pytest.mark.parametrize("batch_tokens", [40, 100, 1000, 10**6])
def test_token_batches_keep_to_their_bound_and_fill_it(batch_tokens):
    data = SequencePairs(*random_pairs(), batch_tokens=batch_tokens)
    sizes = [
        max(inputs["source_ids"].size, labels.size)
        for inputs, labels, _ in data
    ]
    assert max(sizes) <= batch_tokens
    # Two batches that both fit into one would have been one, nearly always.
    assert len(sizes) <= 2 * sum(sizes) // batch_tokens + 1


def test_lengths_are_padded_to_four_in_each_doubling():
    buckets = batching.make_buckets(None, 33).tolist()
    ones = [1, 2, 3, 4, 5, 6, 7, 8]
    assert buckets == [*ones, 10, 12, 14, 16, 20, 24, 28, 32, 40]


def test_lengths_are_padded_to_those_given():
    data = SequencePairs(*random_pairs(), bucket_lengths=[31, 8, 16])
    assert {length for shape in data.shapes for length in shape[1:]} <= {
        8,
        16,
        31,
    }
    one = SequencePairs(*random_pairs(), batch_size=50, bucket_lengths=[64])
    assert one.shapes == [(50, 64, 64)]


def test_padding_ends_at_the_maximum_length():
    # 9 would be padded to 10.
    data = SequencePairs([[5] * 9], [[5] * 8], max_source_length=9)
    assert data.shapes == [(1, 9, 10)]
    data = SequencePairs([[5] * 9], [[5] * 8], max_target_length=9)
    assert data.shapes == [(1, 10, 9)]


@pytest.mark.parametrize("options", [{}, {"batch_tokens": 200}])
def test_shapes_are_the_ones_served_in_every_epoch(options):
    data = SequencePairs(*random_pairs(), batch_size=16, **options)
    for epoch in range(4):
        data.epoch = epoch
        shapes = {
            (*inputs["source_ids"].shape, labels.shape[1])
            for inputs, labels, _ in data
        }
        assert sorted(shapes) == data.shapes


def test_padding_is_counted_as_it_is_served():
    data = SequencePairs(*random_pairs(), batch_size=16)
    weights = np.concatenate([weights.ravel() for _, _, weights in data])
    assert data.target_padding == pytest.approx(1 - weights.mean())
    ids = np.concatenate(
        [inputs["source_ids"].ravel() for inputs, _, _ in data]
    )
    assert data.source_padding == pytest.approx(np.mean(ids == 0))


def test_padding_is_small():
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.normal(15, 5, 8000), 2, 40).astype(int)
    source = [[5] * max(1, n + generator.integers(-2, 3)) for n in lengths]
    data = SequencePairs(source, [[5] * n for n in lengths])
    assert data.source_padding < 0.1 and data.target_padding < 0.1


# Order.


def test_the_same_seed_gives_the_same_batches():
    pairs = random_pairs()
    first, second, other = (
        spell(SequencePairs(*pairs, batch_size=16, seed=seed))
        for seed in (3, 3, 4)
    )
    assert first == second != other


def test_every_epoch_has_an_order_of_its_own():
    data = SequencePairs(*random_pairs(2000, 8), batch_size=16)
    epochs = []
    for _ in range(3):
        epochs.append(served(data))
        data.on_epoch_end()
    for first, second in itertools.combinations(epochs, 2):
        mates = {frozenset(batch) for batch in first}
        kept = sum(frozenset(batch) in mates for batch in second)
        assert kept <= 0.1 * len(first)
        positions = [min(batch) for batch in first]
        assert positions != [min(batch) for batch in second]


def test_batches_are_not_sorted_by_length():
    data = SequencePairs(*random_pairs(2000), batch_size=16)
    lengths = [labels.shape[1] for _, labels, _ in data]
    ups = sum(a < b for a, b in itertools.pairwise(lengths))
    downs = sum(a > b for a, b in itertools.pairwise(lengths))
    assert 0.3 * len(lengths) < ups < 0.7 * len(lengths)
    assert 0.3 * len(lengths) < downs < 0.7 * len(lengths)


def test_setting_the_epoch_brings_its_batches_back():
    data = SequencePairs(*random_pairs(), batch_size=16)
    for _ in range(5):
        data.on_epoch_end()
    assert data.epoch == 5
    fifth = spell(data)
    fresh = SequencePairs(*random_pairs(), batch_size=16)
    fresh.epoch = 5
    assert spell(fresh) == fifth
    fresh.epoch = 0
    assert spell(fresh) != fifth


def test_without_shuffling_every_epoch_is_the_same_short_first():
    data = SequencePairs(*random_pairs(), batch_size=16, shuffle=False)
    first = spell(data)
    data.on_epoch_end()
    assert spell(data) == first
    lengths = [len(labels[0]) for _, _, labels, _ in first]
    # The second one is put there so that Keras sees both lengths vary.
    rest = lengths[:1] + lengths[2:]
    assert rest == sorted(rest)


def test_a_pickled_copy_goes_on_alike():
    data = SequencePairs(*random_pairs(), batch_size=16)
    data.epoch = 2
    assert spell(pickle.loads(pickle.dumps(data))) == spell(data)


# Shards.


@pytest.mark.parametrize("options", [{}, {"batch_tokens": 200}])
@pytest.mark.parametrize("num_shards", [2, 3, 7, 200])
def test_shards_are_disjoint_complete_and_equally_long(options, num_shards):
    pairs = random_pairs()
    shards = [
        SequencePairs(
            *pairs, num_shards=num_shards, shard_index=index, **options
        )
        for index in range(num_shards)
    ]
    for epoch in range(2):
        for shard in shards:
            shard.epoch = epoch
        seen = [served(shard) for shard in shards]
        assert len({len(batches) for batches in seen}) == 1
        rows = [row for batches in seen for batch in batches for row in batch]
        assert sorted(rows) == list(range(200))


def test_shards_keep_to_the_token_bound():
    for index in range(3):
        data = SequencePairs(
            *random_pairs(), batch_tokens=90, num_shards=3, shard_index=index
        )
        assert all(labels.size <= 90 for _, labels, _ in data)


def test_shards_that_cannot_be_equal_are_refused():
    rule = "`num_shards` must be a divisor of the number of pairs, 3.*=2"
    with pytest.raises(ValueError, match=rule):
        SequencePairs([[5]] * 3, [[5]] * 3, batch_size=1, num_shards=2)
    with pytest.raises(ValueError, match="`num_shards` must be a divisor"):
        SequencePairs([[5]] * 3, [[5]] * 3, num_shards=4)


# Maximum lengths.


def test_long_pairs_are_dropped_with_one_warning():
    source, target = [[5], [5] * 3, [5], [5]], [[6], [6], [6] * 3, [6, 6]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = SequencePairs(
            source, target, max_source_length=2, max_target_length=3
        )
        spell(data)
    (warning,) = caught
    assert "2 of 4 pairs are over max_source_length=2" in str(warning.message)
    assert warning.filename == __file__
    assert data.dropped == 2 and data.num_pairs == 2
    assert sorted(sum(served(data), [])) == [0, 3]


def test_maximum_target_length_counts_the_end_token():
    data = SequencePairs([[5]], [[6, 6]], max_target_length=3)
    assert data.dropped == 0 and data[0][1].tolist() == [[6, 6, 3]]
    with pytest.raises(ValueError, match="long enough for one pair"):
        SequencePairs([[5]], [[6, 6]], max_target_length=2)


# Facts about the data.


def test_largest_ids_are_known():
    data = SequencePairs([[5, 12], [9]], [[1], [1]])
    assert (data.max_source_id, data.max_target_id) == (12, 3)
    assert type(data.max_source_id) is int
    assert SequencePairs([[5]], [[77]]).max_target_id == 77


def test_the_repr_tells_what_a_run_will_cost():
    data = SequencePairs([[5, 3], [6, 7, 3]], [[8], [9, 10]])
    # 5 of 6 source places and 5 of 6 target places are real.
    assert repr(data) == (
        "SequencePairs(2 pairs, 0 dropped, 1 batches, 1 shapes, padding: "
        "16.7% of the source, 16.7% of the target)"
    )


@pytest.mark.parametrize("thing", [SequencePairs, TextPairs])
def test_examples_run(thing):
    (code,) = re.findall(r"```python\n(.*?)```", thing.__doc__, re.DOTALL)
    names = {
        "SequencePairs": SequencePairs,
        "TextPairs": TextPairs,
        "SentencePieceTokenizer": SentencePieceTokenizer,
    }
    exec("if True:\n" + code, names)
