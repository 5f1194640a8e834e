"""LSTM, GRU, encoder and decoder in slow NumPy, from the papers."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def values(layer):
    """Weights by name, float64."""
    return {
        weight.name: np.asarray(weight.numpy(), "float64")
        for weight in layer.weights
    }


def normalize(x, groups):
    """Ba et al., 2016, eq. 4, of each group of a vector."""
    parts = np.split(x, np.cumsum(groups)[:-1])
    return np.concatenate(
        [(p - np.mean(p)) / np.sqrt(np.var(p) + 1e-5) for p in parts]
    )


def products(weights, x, h, groups):
    """What the input and the previous state make of the gates."""
    x, h = x @ weights["kernel"], h @ weights["recurrent_kernel"]
    if "input_gamma" in weights:
        x = normalize(x, groups) * weights["input_gamma"]
        h = normalize(h, groups) * weights["recurrent_gamma"]
    return x + weights["bias"], h


def lstm_step(weights, x, h, c):
    gates = sum(products(weights, x, h, [4 * len(h)]))
    i, f, o, g = np.split(gates, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    seen = c
    if "state_gamma" in weights:
        seen = normalize(c, [len(c)]) * weights["state_gamma"]
        seen = seen + weights["state_beta"]
    return sigmoid(o) * np.tanh(seen), c


def gru_step(weights, x, h):
    x, recurrent = products(weights, x, h, [2 * len(h), len(h)])
    z, r, n = np.split(x, 3, axis=-1)
    hz, hr, hn = np.split(recurrent, 3, axis=-1)
    z, r = sigmoid(z + hz), sigmoid(r + hr)
    n = np.tanh(n + r * (hn + weights["candidate_bias"]))
    return (z * h + (1 - z) * n,)


def run(cell, inputs, state):
    """Runs a cell over one row `(S, D)`: `(S, U)` and the last state."""
    weights, outputs = values(cell), []
    step = {"LSTMCell": lstm_step, "GRUCell": gru_step}[type(cell).__name__]
    for x in inputs:
        state = step(weights, x, *state)
        outputs.append(state[0])
    return np.stack(outputs), state


def run_both(cells, x):
    """Runs the cells of a layer, side by side: outputs and last states."""
    results = []
    for cell, order in zip(cells, (1, -1)):
        state = [np.zeros(cell.units)] * cell.num_states
        outputs, last = run(cell, x[::order], state)
        results.append((outputs[::order], last))
    outputs = np.concatenate([outputs for outputs, _ in results], axis=-1)
    last = zip(*[last for _, last in results])
    return outputs, [np.concatenate(parts) for parts in last]


def encode(encoder, ids):
    """Runs an encoder over one row without padding: outputs and states."""
    embeddings = encoder.embedding.embeddings.numpy().astype("float64")
    return encode_vectors(encoder, embeddings[ids])


def encode_vectors(encoder, x):
    """As `encode`, of what was embedded, `(S, E)`."""
    states = []
    for layer, cells in enumerate(encoder.cells):
        outputs, last = run_both(cells, x)
        states += last
        if layer > 0 and encoder.residual and outputs.shape == x.shape:
            outputs = outputs + x
        x = outputs
    return x, states


def decode(decoder, ids, outputs, states):
    """Logits of one row: LSTM, additive attention, input feeding."""
    embeddings = decoder.embedding.embeddings.numpy().astype("float64")
    joined = np.concatenate(states)
    h, c = (
        np.tanh(joined @ dense.kernel.numpy() + dense.bias.numpy())
        for dense in decoder.bridge_layer.dense
    )
    attention = values(decoder.attention_layer)
    readout = values(decoder.readout_layer)
    output = values(decoder.output_layer)
    cell = values(decoder.stack.cells[0])
    feed, logits = np.zeros(decoder.units), []
    for token in ids:
        gates = (
            embeddings[token] @ cell["kernel"]
            + np.concatenate([h, feed]) @ cell["recurrent_kernel"]
            + cell["bias"]
        )
        i, f, o, g = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        scores = [
            attention["score_vector"]
            @ np.tanh(
                h @ attention["query_kernel"]
                + value @ attention["value_kernel"]
            )
            for value in outputs
        ]
        weights = np.exp(scores) / np.sum(np.exp(scores))
        feed = np.tanh(
            h @ readout["state_kernel"]
            + (weights @ outputs) @ readout["context_kernel"]
            + readout["bias"]
        )
        logits.append(feed @ output["kernel"] + output["bias"])
    return np.stack(logits)
