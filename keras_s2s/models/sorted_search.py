"""Batches of sources of like lengths, searched side by side."""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from keras_s2s.decoding.random_search import RandomSearch
from keras_s2s.models.scoring import find_lengths
from keras_s2s.recurrence import num_side_by_side

# What one batch could hold is shared out from so many sources a thread.
LEAST_ROWS = 16


def predict_sorted(
    inference: keras.Model,
    source: np.ndarray,
    told: dict[str, np.ndarray],
    batch_size: int,
    verbose: Any,
) -> dict[str, np.ndarray]:
    """Searches sources of like lengths together.

    Args:
        inference: `InferenceModel`, ready to predict.
        source: int32 `(B, S)`.
        told: dict of `(B, ...)`. What constraints are told.
        batch_size: int > 0. At most.
        verbose: "auto", 0, 1 or 2.

    Returns:
        What `inference` returns, in the order of the sources.
    """
    encoder = inference.encoder
    # A source ends with its last token, though padding were inside.
    lengths = find_lengths(source, getattr(encoder, "pad_id", 0))
    # The longest first: what does not fit into memory fails at once.
    order = np.argsort(-lengths, kind="stable")
    batch_size = share_out(inference, len(order), batch_size)
    batches = [
        order[start : start + batch_size]
        for start in range(0, len(order), batch_size)
    ]
    verbose = {"auto": 1}.get(verbose, verbose)
    bar = keras.utils.Progbar(len(batches), verbose=verbose)
    memory_length = encoder.memory_length(source.shape[1])

    def search(rows: np.ndarray) -> dict[str, np.ndarray]:
        batch = inference.join_inputs(
            source[rows, : lengths[rows].max()],
            {name: values[rows] for name, values in told.items()},
        )
        found = inference.predict_on_batch(batch)
        if "alignments" in found:
            missing = memory_length - found["alignments"].shape[-1]
            found["alignments"] = np.pad(
                found["alignments"], [(0, 0)] * 3 + [(0, missing)]
            )
        return found

    results = []
    num_threads = find_num_threads(inference)
    for found in map_by_threads(search, batches, num_threads):
        results.append(found)
        bar.update(len(results))
    places = np.argsort(order)
    return {
        key: np.concatenate([found[key] for found in results])[places]
        for key in results[0]
    }


def share_out(inference: keras.Model, count: int, batch_size: int) -> int:
    """Returns a size of batches, at most `batch_size`, such that each of the
    threads has some of `count` sources, if they are not very few."""
    num_threads = find_num_threads(inference)
    if count < num_threads * LEAST_ROWS:
        return batch_size
    return min(batch_size, -(-count // num_threads))


def find_num_threads(inference: keras.Model) -> int:
    """How many batches are searched at a time."""
    # The random state would tell which batch was the first.
    if isinstance(inference.search, RandomSearch):
        return 1
    if inference.run_eagerly or inference.jit_compile:
        return 1
    return num_side_by_side(inference)


def map_by_threads(
    function: Callable, items: Iterable, num_threads: int
) -> Iterator[Any]:
    """As `map`, by so many threads. What one raises ends the others.

    One item more than there are threads is taken before its turn.
    """
    if num_threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(num_threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
