"""Batches of sources are searched side by side, and come out as alone."""

import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import decoding
from keras_s2s.models import InferenceModel
from keras_s2s.models import TextToText
from keras_s2s.models import sorted_search
from keras_s2s.recurrence import loop
from tests import numerics
from tests import pairs
from tests.models.texts import text_to_text
from tests.models.texts import tokenizer

WHO = ["a dog", "the cat", "two men", "a bird", "one bear", "the fish"]
DOES = ["runs", "sits", "eats", "sleeps", "sees a cat", "is here"]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(loop.os, "cpu_count", lambda: 2)


def inference_of(search=None):
    return InferenceModel(pairs.model_of("default"), search, max_length=5)


def test_two_are_searched_at_a_time_and_found_as_alone(two_cores, monkeypatch):
    random = np.random.default_rng(0)
    lists = [
        random.integers(4, 13, n).tolist() for n in random.integers(1, 7, 40)
    ]
    inference = inference_of()
    both, sizes = threading.Barrier(2, timeout=60), []
    search = inference.predict_on_batch

    def predict_on_batch(x):
        both.wait()  # in vain, if one came after the other
        sizes.append(len(x))
        return search(x)

    monkeypatch.setattr(inference, "predict_on_batch", predict_on_batch)
    found = inference.predict(lists, batch_size=10, verbose=0)
    assert sizes == [10] * 4
    # What one batch would hold is shared out.
    numerics.assert_close(inference.predict(lists, 64, verbose=0), found, 1e-5)
    assert sizes[4:] == [20, 20]
    monkeypatch.setattr(inference, "predict_on_batch", search)
    for row in (0, 17, 39):
        alone = inference.predict_on_batch(np.array([lists[row]]))
        part = {name: values[row : row + 1] for name, values in found.items()}
        numerics.assert_close(part, alone, 1e-5)


def test_few_sources_are_one_batch(two_cores, monkeypatch):
    inference, sizes = inference_of(), []

    def predict_on_batch(x):
        sizes.append(len(x))
        return {"ids": np.zeros((len(x), 1, 5))}

    monkeypatch.setattr(inference, "predict_on_batch", predict_on_batch)
    inference.predict(np.full((31, 2), 5), batch_size=64, verbose=0)
    inference.predict(np.full((33, 2), 5), batch_size=64, verbose=0)
    assert sizes[0] == 31 and sorted(sizes[1:]) == [16, 17]


def test_texts_are_searched_side_by_side_and_traced_once(
    two_cores, monkeypatch
):
    words = tokenizer()
    inference = text_to_text().inference.with_search(decoding.GreedySearch())
    text = TextToText(inference, words, words)
    both, sizes = threading.Barrier(2, timeout=60), []
    search = inference.predict_on_batch

    def predict_on_batch(x):
        both.wait()
        sizes.append(len(x))
        return search(x)

    make, made = inference.make_predict_function, []

    def make_predict_function():
        if inference.predict_function is None:
            made.append(threading.get_ident())
            time.sleep(0.2)  # in which the other comes, too, if it may
        return make()

    monkeypatch.setattr(inference, "predict_on_batch", predict_on_batch)
    monkeypatch.setattr(
        inference, "make_predict_function", make_predict_function
    )
    texts = [f"{who} {does} ." for who in WHO for does in DOES]
    found = text.generate([*texts, ""])
    assert sizes == [18, 18] and len(made) == 1
    function = inference.predict_function
    assert function.experimental_get_tracing_count() == 1
    monkeypatch.setattr(inference, "predict_on_batch", search)
    assert found == [*text.generate(texts, batch_size=7), ""]
    assert len(set(found)) > 5


@pytest.mark.parametrize("num_threads", [1, 2])
def test_items_keep_their_order_and_an_error_ends_them(num_threads):
    started, taken = [], []

    def take():
        for number in range(99):
            taken.append(number)
            yield number

    def double(number):
        started.append(number)
        time.sleep(0.05 if number == 0 else 0.01)
        if number == 3:
            raise MemoryError(number)
        return 2 * number

    found = sorted_search.map_by_threads(double, take(), num_threads)
    assert [next(found) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 3 + num_threads
    with pytest.raises(MemoryError):
        next(found)
    count = len(started)
    time.sleep(0.1)
    assert len(started) == count < 99


def test_what_has_to_be_alone_is(two_cores, monkeypatch):
    find = sorted_search.find_num_threads
    inference = inference_of()
    assert find(inference) == 2
    assert find(inference_of(decoding.RandomSampling())) == 1
    inference.run_eagerly = True
    assert find(inference) == 1
    inference.run_eagerly = False
    inference.compile(jit_compile=True)
    assert find(inference) == 1
    inference.compile()
    assert find(inference) == 2
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: ["one"]
    )
    assert find(inference) == 1


def test_replicas_and_one_core_search_alone(two_cores, monkeypatch):
    inference = inference_of()
    monkeypatch.setattr(loop.os, "cpu_count", lambda: None)
    assert sorted_search.find_num_threads(inference) == 1
    monkeypatch.setattr(loop.os, "cpu_count", lambda: 64)
    assert sorted_search.find_num_threads(inference) == 2
    monkeypatch.setattr(
        type(inference.distribute_strategy),
        "num_replicas_in_sync",
        property(lambda strategy: 2),
    )
    assert sorted_search.find_num_threads(inference) == 1
