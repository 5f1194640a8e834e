"""The matrix products of a training step, counted, and the machine's own rate.

A product of `(M, K)` and `(K, N)` is 2 M K N floating-point operations; each
of a training step comes three times: forward, for the gradient of its inputs
and for that of its weights.
"""

import statistics
import time
from typing import NamedTuple


class Product(NamedTuple):
    """`count` products of `(rows, inner)` by `(inner, columns)`."""

    name: str
    count: int
    rows: int
    inner: int
    columns: int

    @property
    def flops(self):
        """Forward only."""
        return 2 * self.count * self.rows * self.inner * self.columns


class Sizes(NamedTuple):
    """Bidirectional LSTM, LSTM with additive attention, one layer each."""

    vocabulary: int
    embedding: int
    encoder: int
    decoder: int
    attention: int
    input_feeding: bool = True


def products(sizes, batch, source, target, tokens):
    """Returns the forward products of a step.

    Args:
        sizes: Sizes.
        batch: int. Sentences.
        source: int. Steps of the encoder: the longest source, in tokens.
        target: int. Steps of the decoder: the longest target, in tokens.
        tokens: int. Real target tokens, all that the output layer sees.
    """
    _, embedding, units, decoder, attention, feeding = sizes
    memory, feed = 2 * units, decoder if feeding else 0
    # With input feeding these run inside the loop, else for all steps at once.
    steps, rows = (target, batch) if feeding else (1, target * batch)
    pairs = batch * source
    return [
        Product("encoder input", 2, pairs, embedding, 4 * units),
        Product("encoder recurrence", 2 * source, batch, units, 4 * units),
        Product("keys", 1, pairs, memory, attention),
        Product("decoder input", 1, batch * target, embedding, 4 * decoder),
        Product(
            "decoder recurrence", target, batch, decoder + feed, 4 * decoder
        ),
        Product("query", steps, rows, decoder, attention),
        Product("scores", target, pairs, attention, 1),
        Product("attention context", target * batch, 1, source, memory),
        Product("readout of state", steps, rows, decoder, decoder),
        Product("readout of context", steps, rows, memory, decoder),
        Product("output", 1, tokens, decoder, sizes.vocabulary),
    ]


def training_gflop(products):
    return 3e-9 * sum(product.flops for product in products)


def median_seconds(function, repeats, least=0.02):
    """The median time of a call; each repeat lasts `least` s or more."""
    function()
    times = []
    for _ in range(repeats):
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < least:
            function()
            count += 1
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def make_products(count, rows, inner, columns):
    """Returns a function: `count` products in a loop, as a scan runs them.

    Where a scan shares out its rows, there are as many loops here.
    """
    import tensorflow as tf

    weights = tf.random.normal((inner, columns))
    parts = [tf.random.normal((count, n, inner)) for n in part_sizes(rows)]

    def run(x, weights):
        def body(number, _):
            return number + 1, tf.matmul(x[number], weights)

        first = tf.zeros((x.shape[1], columns))
        return tf.while_loop(lambda n, _: n < count, body, (0, first))[1]

    @tf.function(autograph=False)
    def multiply(parts, weights):
        return [run(x, weights) for x in parts]

    return lambda: multiply(parts, weights)


def make_sums(rows, inner, columns):
    """Returns a function: the product of a gradient of `(inner, columns)`."""
    import tensorflow as tf

    sizes = part_sizes(rows)
    x = [tf.random.normal((n, inner)) for n in sizes]
    y = [tf.random.normal((n, columns)) for n in sizes]

    @tf.function(autograph=False)
    def multiply(x, y):
        return sum(tf.matmul(a, b, transpose_a=True) for a, b in zip(x, y))

    return lambda: multiply(x, y)


def part_sizes(rows):
    """Of how many rows a scan of `rows` runs each loop."""
    from keras_s2s.recurrence.loop import num_parts

    count = num_parts()
    return [(rows + part) // count for part in range(count)]


def product_gflop_per_s(product, repeats=1):
    """The machine's rate for a product and both of its gradients."""
    count, rows, inner, columns = product[1:]
    functions = (
        make_products(count, rows, inner, columns),
        make_products(count, rows, columns, inner),
        make_sums(count * rows, inner, columns),
    )
    seconds = [median_seconds(function, repeats) for function in functions]
    return 3e-9 * product.flops / sum(seconds)


def peak_gflop_per_s(size=2048):
    """The machine's rate for one large product."""
    multiply = make_products(1, size, size, size)
    return 2e-9 * size**3 / median_seconds(multiply, repeats=5)
