"""The conditional GRU against a loop in NumPy."""

import numpy as np

from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from tests import laws
from tests import numerics
from tests import pairs
from tests.layers import recurrences


def decode(decoder, ids, outputs):
    """Logits of one row: Nematus, with a readout of state and context."""
    embeddings = numerics.numpy(decoder.embedding.embeddings.value)
    first, second, attention, readout, output = (
        recurrences.values(layer)
        for layer in (
            decoder.stack.cells[0],
            decoder.stack.context_cell,
            decoder.attention_layer,
            decoder.readout_layer,
            decoder.output_layer,
        )
    )
    state, logits = np.zeros(decoder.units), []
    for token in ids:
        (middle,) = recurrences.gru_step(first, embeddings[token], state)
        scores = middle @ (outputs @ attention["value_kernel"]).T
        weights = np.exp(scores) / np.sum(np.exp(scores))
        context = weights @ outputs
        (state,) = recurrences.gru_step(second, context, middle)
        seen = np.tanh(
            state @ readout["state_kernel"]
            + context @ readout["context_kernel"]
            + readout["bias"]
        )
        logits.append(seen @ output["kernel"] + output["bias"])
    return np.stack(logits)


def make_pair(dtype, **options):
    return pairs.build(
        RNNEncoder(pairs.SOURCE_SIZE, 4, 5, dtype=dtype),
        RNNDecoder(
            pairs.TARGET_SIZE,
            4,
            5,
            cell="conditional_gru",
            attention="general",
            bridge="zero",
            dtype=dtype,
            **options,
        ),
    )


def test_it_equals_a_slow_loop():
    encoder, decoder = make_pair("float64")
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    logits = numerics.numpy(decoder(target_ids, memory))
    outputs = numerics.numpy(memory["outputs"])
    for row in range(3):
        real = source_ids[row] != 0
        target = target_ids[row][target_ids[row] != 0]
        expected = decode(decoder, target, outputs[row][real])
        numerics.assert_close(logits[row, : len(target)], expected, 1e-12)


def test_more_layers_with_dropout_between_them_are_steps_of_a_whole():
    encoder, decoder = make_pair("float32", num_layers=2, dropout=0.5)
    source_ids, target_ids, _ = pairs.sentences()
    memory = encoder(source_ids)
    plain, trained = (
        numerics.numpy(decoder(target_ids, memory, training=training))
        for training in (False, True)
    )
    assert np.any(plain != trained)
    steps = laws.run_steps(decoder, target_ids[:, None], memory)[:, 0]
    is_real = target_ids != 0
    numerics.assert_close(numerics.numpy(steps)[is_real], plain[is_real], 1e-5)
