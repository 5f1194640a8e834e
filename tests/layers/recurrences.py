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


def lstm_step(weights, x, h, c):
    gates = x @ weights["kernel"] + h @ weights["recurrent_kernel"]
    i, f, o, g = np.split(gates + weights["bias"], 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(weights, x, h):
    z, r, n = np.split(x @ weights["kernel"] + weights["bias"], 3, axis=-1)
    hz, hr, hn = np.split(h @ weights["recurrent_kernel"], 3, axis=-1)
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


def encode(encoder, ids):
    """Runs an encoder over one row without padding: outputs and states."""
    embeddings = encoder.embedding.embeddings.numpy().astype("float64")
    return encode_vectors(encoder, embeddings[ids])


def encode_vectors(encoder, x):
    """As `encode`, of what was embedded, `(S, E)`."""
    states = []
    for layer, cells in enumerate(encoder.cells):
        results = []
        for cell, order in zip(cells, (1, -1)):
            state = [np.zeros(encoder.units)] * cell.num_states
            outputs, last = run(cell, x[::order], state)
            results.append((outputs[::order], last))
        outputs = np.concatenate([outputs for outputs, _ in results], axis=-1)
        states += [
            np.concatenate(parts) for parts in zip(*[r[1] for r in results])
        ]
        x = outputs + x if layer > 0 and encoder.residual else outputs
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
