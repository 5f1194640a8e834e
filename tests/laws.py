"""What every encoder, decoder and search keeps.

A law takes `make`, which returns a built encoder and decoder with weights of
its choice: `make(dtype)`. `pairs.pair(name)` makes those of the package. All
of it runs on every backend.
"""

import functools

import numpy as np
from keras import ops

import keras_s2s as s2s
from tests.numerics import EXACT
from tests.numerics import TENSORFLOW
from tests.numerics import TOLERANCE
from tests.numerics import assert_close
from tests.numerics import compiled
from tests.numerics import log_softmax
from tests.numerics import numpy
from tests.numerics import value_and_gradients
from tests.pairs import BOS
from tests.pairs import examples
from tests.pairs import is_real
from tests.pairs import loss_of
from tests.pairs import pad
from tests.pairs import sentences
from tests.pairs import weights_of

SEARCHES = {
    "greedy": s2s.decoding.GreedySearch,
    "beam": lambda: s2s.decoding.BeamSearch(3, num_hypotheses=3),
    "penalty": lambda: s2s.decoding.BeamSearch(4, "gnmt", 1.0),
}


def check_padding_changes_nothing(make, within=compiled):
    """More padding, of source, target and batch, changes no result.

    `within` may be `in_graph`, which takes inputs of unknown lengths.
    """
    encoder, decoder = make(EXACT)
    loss = loss_of(decoder)
    weights = weights_of(encoder, decoder)

    def run(source_ids, target_ids, labels):
        def value():
            results["memory"] = encoder(source_ids)
            results["logits"] = decoder(target_ids, results["memory"])
            return loss(labels, results["logits"])

        results = {}
        if TENSORFLOW:
            results["loss"] = value_and_gradients(value, weights)
        else:
            _, gradients = value_and_gradients(value, weights)
            results["loss"] = value(), gradients
        return results

    run = within(run)
    read = compiled(lambda source, target: decoder(target, encoder(source)))
    source_ids, target_ids, labels = examples(encoder, decoder)
    expected = numpy(run(source_ids, target_ids, labels))
    found = numpy(run(pad(source_ids, 3), pad(target_ids, 2), pad(labels, 2)))
    tolerance = TOLERANCE[EXACT]
    assert_close(found["loss"], expected["loss"], tolerance)
    real = is_real(target_ids)
    assert_close(
        found["logits"][:, :4][real], expected["logits"][real], tolerance
    )
    memory, padded = expected["memory"], found["memory"]
    real = memory["mask"]
    length = real.shape[1]
    more = padded["mask"].shape[1] - length
    np.testing.assert_array_equal(padded["mask"], pad(real, more))
    assert_close(
        padded["outputs"][:, :length][real], memory["outputs"][real], tolerance
    )
    assert_close(padded.get("state", []), memory.get("state", []), tolerance)
    for row in range(3):
        alone = read(source_ids[row : row + 1], target_ids[row : row + 1])
        length = np.sum(is_real(target_ids)[row])
        assert_close(
            alone[0, :length], expected["logits"][row, :length], tolerance
        )


def check_finite_differences(make, source=None):
    """Along random directions, a gradient is the slope of the loss."""
    encoder, decoder = make("float64")
    source_ids, target_ids, labels = examples(encoder, decoder, source)
    weights = weights_of(encoder, decoder)
    loss = loss_of(decoder)

    def value():
        return loss(labels, decoder(target_ids, encoder(source_ids)))

    _, gradients = value_and_gradients(value, weights)
    random = np.random.default_rng(0)
    start = [numpy(weight.value) for weight in weights]
    directions = [random.normal(size=w.shape) for w in weights]
    slope = sum(np.sum(numpy(g) * d) for g, d in zip(gradients, directions))
    step, values = 1e-5, []
    for sign in (1, -1):
        for weight, at, direction in zip(weights, start, directions):
            weight.assign(at + sign * step * direction)
        values.append(float(value()))
    for weight, at in zip(weights, start):
        weight.assign(at)
    found = (values[0] - values[1]) / (2 * step)
    assert abs(found - slope) <= 1e-6 * max(1.0, abs(slope))


def run_steps(decoder, target_ids, memory):
    """Loops `step` over targets `(B, K, T)`: logits `(B, K, T, V)`."""
    _, size, total = target_ids.shape[:3]
    state = decoder.initial_state(memory, size, total)
    context = decoder.prepare(memory)
    logits = []
    for time in range(total):
        position = ops.convert_to_tensor(time, "int32")
        ids = ops.convert_to_tensor(target_ids[:, :, time])
        step_logits, state = decoder.step(ids, state, context, position)
        logits.append(step_logits)
    return ops.stack(logits, axis=2)


def check_steps_equal_whole(make, source=None):
    """`step` in a plain loop is `call`: its logits and its gradients."""
    encoder, decoder = make(EXACT)
    source_ids, target_ids, labels = examples(encoder, decoder, source)
    weights = weights_of(encoder, decoder)
    real = np.expand_dims(is_real(target_ids), -1)
    random = np.random.default_rng(0)
    size = getattr(decoder, "vector_dim", None) or decoder.vocabulary_size
    weighing = real * random.normal(size=(*labels.shape[:2], size))

    def total(logits):
        return ops.sum(logits * ops.cast(weighing, logits.dtype))

    def whole():
        return total(decoder(target_ids, encoder(source_ids)))

    def steps():
        logits = run_steps(decoder, target_ids[:, None], encoder(source_ids))
        return total(ops.squeeze(logits, 1))

    expected = value_and_gradients(steps, weights)
    found = value_and_gradients(whole, weights)
    assert_close(found, expected, TOLERANCE[EXACT])


def check_beams_are_queries(make, source=None):
    """K hypotheses at once get the logits that each gets from `call`."""
    encoder, decoder = make(EXACT)
    source_ids, target_ids, _ = examples(encoder, decoder, source)
    other_ids = np.concatenate([target_ids[:, :1], target_ids[::-1, 1:]], 1)
    memory = encoder(source_ids)
    beams = np.stack([target_ids, other_ids, target_ids], axis=1)
    logits = numpy(run_steps(decoder, beams, memory))
    for beam in range(3):
        whole = numpy(decoder(beams[:, beam], memory))
        real = is_real(beams[:, beam])
        assert_close(logits[:, beam][real], whole[real], TOLERANCE[EXACT])


def search_with(model, search, source_ids, max_length=6, **options):
    inference = inference_of(model, search, max_length, **options)
    return numpy(inference(source_ids))


@functools.lru_cache(maxsize=1)
def inference_of(model, search, max_length, **options):
    """Kept for the next sources: making one traces its search."""
    inference = s2s.models.InferenceModel(
        model, search, max_length=max_length, **options
    )
    return compiled(inference)


def check_beam_of_one_is_greedy(model, source=None):
    """Bit for bit."""
    source_ids = sentences(source=source)[0]
    greedy, beam = (
        search_with(model, search, source_ids)
        for search in (s2s.decoding.GreedySearch(), s2s.decoding.BeamSearch(1))
    )
    for name, value in greedy.items():
        np.testing.assert_array_equal(beam[name], value)


def check_independent_of_batch(model, search):
    """A sentence alone, elsewhere, or padded further has the same result."""
    source_ids = examples(model.encoder, model.decoder)[0]
    expected = search_with(model, search, source_ids)

    def check(found, rows):
        for name in ("ids", "lengths"):
            np.testing.assert_array_equal(found[name], expected[name][rows])
        for name in ("scores", "token_scores"):
            assert_close(found[name], expected[name][rows], 1e-5)

    check(search_with(model, search, pad(source_ids, 4)[[2, 0, 1]]), [2, 0, 1])
    # Each length is compiled anew by JAX.
    for row in [0, 2] if TENSORFLOW else [2]:
        length = np.sum(is_real(source_ids)[row])
        alone = source_ids[row : row + 1, :length]
        check(search_with(model, search, alone), [row])


def check_scores_are_rescored(model, search, source=None):
    """`token_scores` are what the model's own `call` gives the ids."""
    source_ids = sentences(source=source)[0]
    result, score = search_with(model, search, source_ids), compiled(model)
    for n in range(result["ids"].shape[1]):
        ids, lengths = result["ids"][:, n], result["lengths"][:, n]
        target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=BOS)
        (name,) = model.input.keys() - {"target_ids"}
        logits = score({name: source_ids, "target_ids": target_ids})
        scores = np.take_along_axis(
            log_softmax(numpy(logits)), ids[:, :, None], axis=2
        )
        is_there = np.arange(ids.shape[1]) < lengths[:, None]
        expected = np.where(is_there, scores[:, :, 0], 0.0)
        assert_close(result["token_scores"][:, n], expected, 1e-5)


def check_a_search(model, search):
    """Both, with one search: to make a model of it is to trace it."""
    check_independent_of_batch(model, search)
    check_scores_are_rescored(model, search)


# What an encoder keeps together with a decoder, whatever they are.
LAWS = {
    "padding": check_padding_changes_nothing,
    "steps": check_steps_equal_whole,
    "slopes": check_finite_differences,
    "beams": check_beams_are_queries,
}
