"""What replaces old functions gives their numbers, recomputed in NumPy.

Held elsewhere: the check values of the losses of legacy_seq2seq
(`test_losses.py`), tied cells (`models/test_sharing.py`), additive and
multiplicative scores (`layers/test_attention.py`), and the three modes of
monotonic attention (`layers/test_monotonic_attention.py`).
"""

import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.losses import SequenceLoss
from keras_s2s.losses import sequence_loss_by_example
from tests import laws
from tests import numerics
from tests import pairs
from tests.examples.test_coming_from_elsewhere import README
from tests.examples.test_coming_from_elsewhere import code_blocks
from tests.layers.recurrences import sigmoid

V, E, U, D, HEADS = 11, 4, 5, 3, 2  # D: size of the memory and of its keys


def legacy_weights(random):
    """Those of `attention_decoder`, with names of its source."""
    sizes = {
        "embedding": (V, E),
        "input": (E + HEADS * D, E),
        "input_bias": (E,),
        "cell": (E + U, 4 * U),
        "cell_bias": (4 * U,),
        "output": (U + HEADS * D, V),
        "output_bias": (V,),
    }
    for head in range(HEADS):
        sizes[f"w_{head}"] = (D, D)
        sizes[f"v_{head}"] = sizes[f"query_bias_{head}"] = (D,)
        sizes[f"query_{head}"] = (2 * U, D)
    return {name: random.normal(size=size) for name, size in sizes.items()}


def attend(weights, h, c, memory):
    """Each head: a softmax of v . tanh(W memory + linear(h and c))."""
    contexts = []
    for head in range(HEADS):
        y = np.concatenate([h, c]) @ weights[f"query_{head}"]
        y = y + weights[f"query_bias_{head}"]
        hidden = np.tanh(memory @ weights[f"w_{head}"] + y)
        scores = np.exp(hidden @ weights[f"v_{head}"])
        contexts.append(scores / np.sum(scores) @ memory)
    return np.concatenate(contexts)


def attention_decoder(weights, ids, h, c, memory, initial_state_attention):
    """`tf.contrib.legacy_seq2seq.attention_decoder` of one row."""
    contexts, outputs = np.zeros(HEADS * D), []
    if initial_state_attention:
        contexts = attend(weights, h, c, memory)
    for token in ids:
        x = np.concatenate([weights["embedding"][token], contexts])
        x = x @ weights["input"] + weights["input_bias"]
        gates = np.concatenate([x, h]) @ weights["cell"] + weights["cell_bias"]
        i, f, o, candidate = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
        h = sigmoid(o) * np.tanh(c)
        contexts = attend(weights, h, c, memory)
        seen = np.concatenate([h, contexts])
        outputs.append(seen @ weights["output"] + weights["output_bias"])
    return np.stack(outputs)


def set_weights(decoder, weights):
    """Where each of the old weights goes."""
    decoder.embedding.embeddings.assign(weights["embedding"])
    token, contexts = np.split(weights["input"], [E])
    x, h = np.split(weights["cell"], [E])
    (cell,) = decoder.stack.cells
    cell.kernel.assign(token @ x)
    cell.bias.assign(weights["input_bias"] @ x + weights["cell_bias"])
    # What a step is fed is h and the contexts of the one before.
    fed = np.concatenate([np.zeros((U, 4 * U)), contexts @ x])
    cell.recurrent_kernel.assign(np.concatenate([h, fed]))
    for head, layer in enumerate(decoder.attention_layer.attentions):
        layer.query_kernel.assign(weights[f"query_{head}"])
        layer.bias.assign(weights[f"query_bias_{head}"])
        layer.value_kernel.assign(weights[f"w_{head}"])
        layer.score_vector.assign(weights[f"v_{head}"])
    both = np.eye(U + HEADS * D)
    decoder.readout_layer.state_kernel.assign(both[:U])
    decoder.readout_layer.context_kernel.assign(both[U:])
    decoder.output_layer.kernel.assign(weights["output"])
    decoder.output_layer.bias.assign(weights["output_bias"])


@pytest.mark.parametrize("attends_first", [False, True])
def test_heads_over_raw_states_give_the_old_logits(attends_first):
    scope = {"s2s": s2s}
    for block in code_blocks():
        if "class AttendsFirst" in block:
            imports = "import keras\nfrom keras import ops\n"
            exec(compile(imports + block, str(README), "exec"), scope)
    kind = scope["AttendsFirst"] if attends_first else s2s.layers.RNNDecoder
    heads = [
        s2s.layers.AdditiveAttention(D, use_bias=True, dtype="float64")
        for _ in range(HEADS)
    ]
    decoder = kind(
        V,
        E,
        U,
        attention=s2s.layers.ParallelAttention(heads, dtype="float64"),
        bridge="pass",
        readout="linear",
        readout_units=U + HEADS * D,
        query="states",
        dtype="float64",
    )
    random = np.random.default_rng(0)
    outputs, h, c = (
        random.normal(size=size) for size in ((2, 3, D), (2, U), (2, U))
    )
    memory = {"outputs": outputs, "mask": np.ones((2, 3), "bool")}
    memory["state"] = [h, c]
    ids = np.array([[2, 5, 7, 4], [2, 9, 9, 3]], "int32")
    decoder(ids, memory)
    weights = legacy_weights(random)
    set_weights(decoder, weights)
    whole = numerics.numpy(decoder(ids, memory))
    steps = numerics.numpy(laws.run_steps(decoder, ids[:, None], memory))
    for row in range(2):
        expected = attention_decoder(
            weights, ids[row], h[row], c[row], outputs[row], attends_first
        )
        np.testing.assert_allclose(whole[row], expected, rtol=1e-9)
        np.testing.assert_allclose(steps[row, 0], expected, rtol=1e-9)


def test_feed_previous_is_teacher_forcing_on_its_own_argmaxes():
    model, source_ids = pairs.model_of("default"), pairs.sentences()[0]
    # The old loop: each output's argmax is the next input.
    fed = np.full((3, 1), pairs.BOS, "int32")
    for _ in range(6):
        logits = model({"source_ids": source_ids, "target_ids": fed})
        logits = numerics.numpy(logits)
        own = np.argmax(logits, axis=-1)
        np.testing.assert_array_equal(own[:, :-1], fed[:, 1:])
        fed = np.concatenate([fed, own[:, -1:].astype("int32")], axis=1)
    greedy = s2s.decoding.GreedySearch()
    found = laws.search_with(model, greedy, source_ids, max_length=6)
    ids, lengths = found["ids"][:, 0], found["lengths"][:, 0]
    assert np.any(lengths > 1)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(ids[row, :length], own[row, :length])
    # And its inputs after the first one were not read.
    target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=2)
    again = model({"source_ids": source_ids, "target_ids": target_ids})
    again = numerics.numpy(again)
    for row, length in enumerate(lengths):
        numerics.assert_close(again[row, :length], logits[row, :length], 1e-5)


random = np.random.default_rng(0)
LOGITS = random.normal(size=(3, 4, 5))
LABELS = random.integers(0, 5, (3, 4))
WEIGHTS = np.array([[1.0, 0.5, 2.0, 0.25], [1, 1, 0, 0], [0.5, 0, 0, 0]])
MASK = np.array([[1.0, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])


def old_loss(weights, average=(), total=()):
    """`tfa.seq2seq.sequence_loss`: over which axes it averages or sums."""
    exp = np.exp(LOGITS)
    probabilities = exp / np.sum(exp, axis=-1, keepdims=True)
    chosen = np.take_along_axis(probabilities, LABELS[..., None], 2)[..., 0]
    losses = -np.log(chosen) * weights
    if average != ():
        return np.sum(losses, average) / np.sum(weights, average)
    if total != ():
        return np.sum(losses, total) / np.sum(weights != 0, total)
    return losses


def by_token(weights):
    rows = sequence_loss_by_example(
        LOGITS.reshape(-1, 1, 5),
        LABELS.reshape(-1, 1),
        weights.reshape(-1, 1),
        average_across_timesteps=False,
    )
    return numerics.numpy(rows).reshape(3, 4)


def by_position(weights):
    arrays = (np.swapaxes(x, 0, 1) for x in (LOGITS, LABELS, weights))
    return sequence_loss_by_example(*arrays)


def by_row(weights):
    return sequence_loss_by_example(LOGITS, LABELS, weights)


def tokens(weights):
    return SequenceLoss("tokens", ignore_id=None)(LABELS, LOGITS, weights)


def counted(weights):
    loss = SequenceLoss("none", ignore_id=None)(LABELS, LOGITS, weights)
    return loss / np.count_nonzero(weights)


@pytest.mark.parametrize(
    "weights, options, ours",
    [
        (WEIGHTS, {"average": (0, 1)}, tokens),
        (MASK, {"total": (0, 1)}, tokens),
        (WEIGHTS, {"total": (0, 1)}, counted),
        (WEIGHTS, {"average": 1}, by_row),
        (MASK, {"total": 1}, by_row),
        (WEIGHTS, {"average": 0}, by_position),
        (WEIGHTS, {}, by_token),
    ],
)
def test_each_flag_of_the_addons_has_its_number_here(weights, options, ours):
    expected = old_loss(weights, **options)
    numerics.assert_close(ours(weights), expected, 1e-6)
