"""A Transformer in slow NumPy, from the papers: one row without padding."""

import math

import numpy as np


def weights_of(layer):
    """Kernel and bias of a dense layer, float64."""
    return [np.asarray(w.numpy(), "float64") for w in layer.weights]


def dense(layer, x):
    kernel, bias = weights_of(layer)
    return x @ kernel + bias


def normalize(layer, x):
    """Ba et al., 2016, or Zhang and Sennrich, 2019, of each row."""
    rows = []
    for row in x:
        if len(layer.weights) == 1:
            (gain,), bias, mean = weights_of(layer), 0.0, 0.0
        else:
            (gain, bias), mean = weights_of(layer), np.mean(row)
        centred = row - mean
        deviation = math.sqrt(np.mean(centred**2) + 1e-5)
        rows.append(gain * centred / deviation + bias)
    return np.stack(rows)


def sinusoid(position, size):
    """tensor2tensor: all sines, then all cosines."""
    half = size // 2
    signal = np.zeros(size)
    for i in range(half):
        timescale = 10000 ** (i / max(half - 1, 1))
        signal[i] = math.sin(position / timescale)
        signal[half + i] = math.cos(position / timescale)
    return signal


def rotated(vector, position):
    """Su et al., 2021, eq. 34: column i turned with column i + d / 2."""
    half = len(vector) // 2
    turned = np.zeros(len(vector))
    for i in range(half):
        angle = position * 10000 ** (-2 * i / len(vector))
        x, y = vector[i], vector[half + i]
        turned[i] = x * math.cos(angle) - y * math.sin(angle)
        turned[half + i] = x * math.sin(angle) + y * math.cos(angle)
    return turned


def attend(queries, keys, values, num_heads, causal=False, rotary=False):
    """Vaswani et al., 2017, 3.2: `(T, H * d)` and the mean weights.

    Keys and values `(S, G * d)`: a group of H / G heads shares one of them.
    """
    size = queries.shape[1] // num_heads
    share = num_heads // (keys.shape[1] // size)
    results = np.zeros(queries.shape)
    mean = np.zeros((len(queries), len(keys)))
    for time, row in enumerate(queries):
        seen = time + 1 if causal else len(keys)
        for head in range(num_heads):
            own = slice(head * size, (head + 1) * size)
            group = slice(head // share * size, (head // share + 1) * size)
            query, scores = row[own], []
            for place in range(seen):
                key = keys[place, group]
                if rotary:
                    score = rotated(query, time) @ rotated(key, place)
                else:
                    score = query @ key
                scores.append(score / math.sqrt(size))
            weights = np.exp(scores - np.max(scores))
            weights = weights / np.sum(weights)
            results[time, own] = weights @ values[:seen, group]
            mean[time, :seen] += weights / num_heads
    return results, mean


def attend_self(layer, x, causal):
    groups = layer.num_kv_heads or layer.num_heads
    size = x.shape[1] // layer.num_heads
    ends = np.cumsum([layer.num_heads * size, groups * size])
    parts = np.split(dense(layer.input_dense, x), ends, axis=1)
    result, _ = attend(*parts, layer.num_heads, causal, layer.rotary)
    return dense(layer.output_dense, result)


def attend_memory(layer, x, memory):
    """Context and weights of `MultiHeadAttention`."""
    queries = dense(layer.query_dense, x)
    keys, values = np.split(dense(layer.memory_dense, memory), 2, axis=1)
    result, weights = attend(queries, keys, values, layer.num_heads)
    return dense(layer.output_dense, result), weights


def gelu(x):
    """Hendrycks and Gimpel, 2016: x times the normal distribution."""
    erf = np.vectorize(math.erf)
    return x * (1 + erf(x / math.sqrt(2))) / 2


def feed(layer, x):
    hidden = dense(layer.inner, x)
    if layer.activation == "swiglu":  # Shazeer, 2020, eq. 6
        gate, hidden = np.split(hidden, 2, axis=1)
        hidden = gate / (1 + np.exp(-gate)) * hidden
    elif layer.activation == "gelu":
        hidden = gelu(hidden)
    else:
        hidden = np.maximum(hidden, 0)
    return dense(layer.outer, hidden)


def run_stack(stack, x, memory=None, causal=False):
    """All layers over `(T, D)`."""
    for layer in stack.layers:
        parts = [
            (
                layer.self_norm,
                lambda y, layer=layer: attend_self(
                    layer.self_attention, y, causal
                ),
            ),
            (
                layer.feed_forward_norm,
                lambda y, layer=layer: feed(layer.feed_forward, y),
            ),
        ]
        if memory is not None:
            parts.insert(
                1,
                (
                    layer.memory_norm,
                    lambda y, layer=layer: attend_memory(
                        layer.memory_attention, y, memory
                    )[0],
                ),
            )
        for norm, function in parts:
            if stack.normalize_first:
                x = x + function(normalize(norm, x))
            else:
                x = normalize(norm, x + function(x))
    return normalize(stack.last_norm, x) if stack.normalize_first else x


def embed(layer, ids):
    """Embeddings and positions of an encoder or a decoder."""
    (table,) = weights_of(layer.embedding)
    rows = []
    for position, token in enumerate(ids):
        row = table[token]
        if layer.scale_embeddings:
            row = row * math.sqrt(len(row))
        if layer.stack.positions == "sinusoidal":
            row = row + sinusoid(position, len(row))
        elif layer.stack.positions == "learned":
            row = row + weights_of(layer.positions_layer)[0][position]
        rows.append(row)
    return np.stack(rows)


def encode(encoder, ids):
    """Ids -> outputs `(S, D)`."""
    return run_stack(encoder.stack, embed(encoder, ids))


def decode(decoder, ids, outputs=None):
    """Ids and a memory, if there is one -> logits `(T, V)`."""
    x = run_stack(decoder.stack, embed(decoder, ids), outputs, causal=True)
    if decoder.tie_embeddings:
        (bias,) = weights_of(decoder.output_layer)
        return x @ weights_of(decoder.embedding)[0].T + bias
    return dense(decoder.output_layer, x)
