"""Optimizer updates on TensorFlow: compiled, and over replicas."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

# Options of an optimizer with which more is done than to update each weight
# by its own gradient.
JOINING = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "gradient_accumulation_steps",
    "inner_optimizer",
    "use_ema",
    "weight_decay",
)
MOST_PARTS = 16  # More brought nothing.

# What is raised where another worker of a strategy is gone.
LOST_WORKER_ERRORS = (tf.errors.UnavailableError,)


@contextlib.contextmanager
def fast_updates(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Has XLA compile updates of weights where a graph is made inside.

    An update is a dozen passes over all weights that XLA makes one: Adam on
    12.7 million weights takes 11 ms compiled and 27 ms otherwise, on 2 cores.
    Weights do not change their shapes, so it is compiled once. Not where
    there are replicas, which trace this in threads, one waiting for another.

    Parts of the weights are compiled each for itself, where that is possible:
    the first are updated while gradients of others are computed, side by
    side where operations have one thread. Steps of recurrent models then take
    92 % of the time that they take with one update of all, on 2 cores.
    """
    if tf.distribute.has_strategy():
        yield
        return
    if any(getattr(optimizer, option, None) for option in JOINING):
        name, fast = "apply", _compiled
    else:
        name, fast = "_distributed_tf_update_step", _compiled_in_parts
    setattr(optimizer, name, fast(getattr(optimizer, name)))
    try:
        yield
    finally:
        delattr(optimizer, name)


def _compiled(apply: Callable) -> Callable:
    """Returns the `apply` of an optimizer, compiled as a whole."""

    def run(gradients: Any, variables: Any = None) -> None:
        gradients = list(gradients)
        if _can_compile(gradients):
            _compile(lambda dense: apply(dense, variables))(gradients)
        else:
            apply(gradients, variables)

    return run


def _compiled_in_parts(update: Callable) -> Callable:
    """Returns that which updates each weight of a list, compiled in parts."""

    def run(strategy: Any, pairs: Sequence, learning_rate: Any) -> None:
        if not _can_compile([gradient for gradient, _ in pairs]):
            update(strategy, pairs, learning_rate)
            return
        rate = tf.convert_to_tensor(learning_rate)
        for part in _split(pairs):
            gradients, variables = zip(*part)

            def update_part(
                gradients: tuple, rate: Any, variables: tuple = variables
            ) -> None:
                update(strategy, list(zip(gradients, variables)), rate)

            _compile(update_part)(gradients, rate)

    return run


def _can_compile(gradients: list) -> bool:
    dense = [gradient for gradient in gradients if gradient is not None]
    return not tf.executing_eagerly() and all(
        isinstance(gradient, tf.Tensor) for gradient in dense
    )


def _compile(function: Callable) -> Callable:
    return tf.function(function, jit_compile=True, autograph=False)


def _split(pairs: Sequence) -> list[list]:
    """Gradients and their variables, in parts of about the same size."""
    sizes = [variable.shape.num_elements() for _, variable in pairs]
    whole = max(sum(sizes), 1)
    parts, before = {}, 0
    for pair, size in zip(pairs, sizes):
        middle = before + size / 2
        number = int(middle / whole * MOST_PARTS)
        parts.setdefault(number, []).append(pair)
        before += size
    return list(parts.values())


def num_replicas() -> int:
    """How many replicas of a `tf.distribute` strategy train in step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def of_first_replica(model: keras.Model, batches: Iterator) -> Iterator:
    """Yields what the first replica of a model has of nested batches."""
    results = model.distribute_strategy.experimental_local_results
    for batch in batches:
        yield keras.tree.map_structure(lambda part: results(part)[0], batch)


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The sum of what each replica has."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def leads_workers(model: keras.Model) -> bool:
    """Whether this is the one of the workers of a model that writes files."""
    return model.distribute_strategy.extended.should_checkpoint


def show_to_workers(logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns what a step shows, such that workers can take its mean.

    Keras takes it over axis 0, which a scalar has not.
    Source: https://github.com/tensorflow/tensorflow/issues/72388
    """
    if not _has_workers():
        return logs
    return keras.tree.map_structure(lambda one: tf.reshape(one, (1,)), logs)


def _has_workers() -> bool:
    strategy = tf.distribute.get_strategy()
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and strategy.extended._in_multi_worker_mode()
    )
