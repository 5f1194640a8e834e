"""What every encoder, decoder and search keeps.

A law takes `make`, which returns a built encoder and decoder with weights of
its choice: `make(dtype)`. `pair(name)` makes those of the package. All of it
runs on every backend.
"""

import functools
import json

import keras
import numpy as np
from keras import ops

import keras_s2s as s2s
from keras_s2s.models.seq2seq import share_embedding

TENSORFLOW = keras.backend.backend() == "tensorflow"
# JAX has no float64 unless told at its start; on torch Keras makes float32
# of it here and there.
EXACT = "float64" if TENSORFLOW else "float32"
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
SOURCE_SIZE, TARGET_SIZE = 13, 11
BOS, EOS = 2, 3

# Encoder and decoder options: each value of each option is in one of them.
PAIRS = {
    "default": ({}, {}),
    "luong": (
        {"cell": "gru", "num_layers": 2},
        {"cell": "gru", "num_layers": 2, "attention": "general"},
    ),
    "unfed": (
        {"cell": "gru", "bidirectional": False},
        {
            "num_layers": 2,
            "attention": "scaled",
            "input_feeding": False,
            "readout": "deep",
            "residual": False,
        },
    ),
    "dot": (
        {"num_layers": 2, "bidirectional": False},
        {
            "num_layers": 2,
            "attention": "dot",
            "bridge": "pass",
            "tie_embeddings": True,
        },
    ),
    "bahdanau": (
        {"cell": "gru"},
        {"cell": "gru", "readout": "deep", "bridge": "zero"},
    ),
    "normalized": (
        {"num_layers": 2, "residual": False},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.AdditiveAttention(4, True, **o),
            "readout": "state",
        },
    ),
    "sutskever": (
        {"num_layers": 2, "bidirectional": False},
        {"num_layers": 2, "attention": None, "bridge": "pass"},
    ),
    "cho": (
        {"cell": "gru", "bidirectional": False},
        {"cell": "gru", "attention": None, "context": "state"},
    ),
    "mean": (
        {},
        {"attention": None, "context": "mean", "input_feeding": False},
    ),
}
# The same of attentions with a state, or of what they are made of.
ATTENTION_PAIRS = {
    "coverage": (
        {"bidirectional": False},
        {
            "attention": lambda **o: s2s.layers.CoverageAttention(4, **o),
            "readout": "state",
        },
    ),
    "predictive": (
        {"cell": "gru", "bidirectional": False},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.LocalAttention(2, **o),
            "input_feeding": False,
        },
    ),
    "conditional": (
        {"cell": "gru", "bidirectional": False},
        {
            "cell": "conditional_gru",
            "attention": lambda **o: s2s.layers.LocalAttention(
                1, "monotonic", "additive", **o
            ),
            "readout": "deep",
        },
    ),
    "chunkwise": (
        {"cell": "gru", "bidirectional": False},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.MonotonicChunkwiseAttention(
                score="dot", **o
            ),
            "input_feeding": False,
        },
    ),
}
RNN_PAIRS = {**PAIRS, **ATTENTION_PAIRS}
GROUPED = {
    "num_heads": 4,
    "num_kv_heads": 2,
    "activation": "gelu",
    "positions": "learned",
    "max_positions": 12,
    "scale_embeddings": False,
}
LLAMA = {
    "num_kv_heads": 1,
    "activation": "swiglu",
    "normalization": "rms",
    "positions": "rotary",
}
# The same of Transformers.
TRANSFORMER_PAIRS = {
    "transformer": ({"num_layers": 2}, {"num_layers": 2}),
    "vaswani": (
        {"normalize_first": False},
        {"normalize_first": False, "tie_embeddings": True},
    ),
    "grouped": (GROUPED, {**GROUPED, "tie_embeddings": True}),
    "llama": (LLAMA, LLAMA),
    "unplaced": (
        {"positions": None},
        {
            "positions": None,
            "normalize_first": False,
            "normalization": "rms",
        },
    ),
}
# One of each kind.
MIXED_PAIRS = {
    "rnn over transformer": ({}, {"attention": "general"}),
    "heads over transformer": (
        {},
        {
            "cell": "gru",
            "attention": lambda **o: s2s.layers.MultiHeadAttention(5, **o),
        },
    ),
    "transformer over rnn": ({"cell": "gru"}, {}),
}
# The same of vectors, read or written or both, by R, an RNN, or T.
VECTOR_PAIRS = {
    "R to R": ({"cell": "gru", "bidirectional": False}, {}),
    "T to T": ({}, {"positions": "rotary"}),
    "words to R": ({}, {"cell": "gru", "attention": None, "context": "mean"}),
    "R to words": ({"cell": "gru"}, {"cell": "gru", "attention": "scaled"}),
}
EVERY_PAIR = {
    **RNN_PAIRS,
    **TRANSFORMER_PAIRS,
    **MIXED_PAIRS,
    **VECTOR_PAIRS,
}
# Encoder and decoder have one vocabulary and one embedding.
SHARED = ("grouped",)
VECTOR_DIM = 3
SIZES = {"embedding_dim": 4, "units": 5}
TRANSFORMER_SIZES = {
    "embedding_dim": 8,
    "hidden_dim": 6,
    "num_layers": 1,
    "num_heads": 2,
}
SEARCHES = {
    "greedy": s2s.decoding.GreedySearch,
    "beam": lambda: s2s.decoding.BeamSearch(3, num_hypotheses=3),
    "penalty": lambda: s2s.decoding.BeamSearch(4, "gnmt", 1.0),
}


def make_layers(name, **options):
    """Returns the encoder and the decoder of a name, not built."""
    encoder, decoder = (
        make_encoder(name, **options),
        make_decoder(name, **options),
    )
    if name in SHARED:
        share_embedding(encoder, decoder)
    return encoder, decoder


def make_encoder(name, **options):
    options = {**EVERY_PAIR[name][0], **options}
    if name in VECTOR_PAIRS and not name.startswith("words"):
        return make_vector_layer(name[0], "Encoder", options)
    if name in RNN_PAIRS or name.endswith("over rnn") or name in VECTOR_PAIRS:
        return s2s.layers.RNNEncoder(SOURCE_SIZE, **{**SIZES, **options})
    options = {**TRANSFORMER_SIZES, **options}
    return s2s.layers.TransformerEncoder(SOURCE_SIZE, **options)


def make_decoder(name, **options):
    given = {**EVERY_PAIR[name][1], **options}
    if callable(given.get("attention")):
        given["attention"] = given["attention"](**options)
    if name in VECTOR_PAIRS and not name.endswith("words"):
        return make_vector_layer(name[-1], "Decoder", given)
    if (
        name in RNN_PAIRS
        or name.endswith("over transformer")
        or name in VECTOR_PAIRS
    ):
        return s2s.layers.RNNDecoder(TARGET_SIZE, **{**SIZES, **given})
    size = SOURCE_SIZE if name in SHARED else TARGET_SIZE
    return s2s.layers.TransformerDecoder(size, **{**TRANSFORMER_SIZES, **given})


def make_vector_layer(letter, side, options):
    if letter == "R":
        kind = getattr(s2s.layers, f"RNNVector{side}")
        return kind(VECTOR_DIM, **{**SIZES, **options})
    kind = getattr(s2s.layers, f"TransformerVector{side}")
    return kind(VECTOR_DIM, **{**TRANSFORMER_SIZES, **options})


@functools.cache
def pair(name, dtype="float32"):
    """Returns a built encoder and decoder with random weights."""
    return build(*make_layers(name, dtype=dtype))


def build(encoder, decoder, seed=0, source=None):
    """Builds both, and draws all weights: no bias is 0, no scale 1."""
    source, target, _ = examples(encoder, decoder, source)
    decoder(target, encoder(source))
    random = np.random.default_rng(seed)
    for variable in weights_of(encoder, decoder):
        variable.assign(random.normal(size=variable.shape, scale=0.7))
    if hasattr(decoder, "vector_dim"):
        return encoder, decoder
    # A model that has learnt never writes padding.
    # One that copies has another decoder inside.
    bias = getattr(decoder, "decoder", decoder).output_layer.bias
    values = numpy(bias.value)
    bias.assign(np.where(np.arange(len(values)) == 0, -30.0, values))
    return encoder, decoder


@functools.cache
def model_of(name):
    return s2s.models.Seq2Seq(*pair(name))


def sentences(seed=1, source=None):
    """Returns three sources, targets and labels, int32, padded.

    `source` replaces the sources, three of them.
    """
    random = np.random.default_rng(seed)
    lengths = np.array([[5, 4], [1, 1], [3, 2]])
    source_ids = random.integers(4, SOURCE_SIZE, (3, 5))
    words = random.integers(4, TARGET_SIZE, (3, 4))
    target_ids = np.concatenate([np.full((3, 1), BOS), words[:, 1:]], axis=1)
    labels = np.concatenate([words[:, 1:], np.full((3, 1), EOS)], axis=1)
    source_ids[np.arange(5) >= lengths[:, :1]] = 0
    padding = np.arange(4) >= lengths[:, 1:]
    target_ids[padding] = labels[padding] = 0
    source_ids, target_ids, labels = (
        ids.astype("int32") for ids in (source_ids, target_ids, labels)
    )
    return source_ids if source is None else source, target_ids, labels


def examples(encoder, decoder, source=None):
    """Returns `sentences`, as vectors where a layer reads them."""
    found = list(sentences(source=source))
    for number, layer in enumerate((encoder, decoder, decoder)):
        if hasattr(layer, "vector_dim"):
            found[number] = as_vectors(found[number], seed=number)
    return found


def as_vectors(ids, seed):
    """Draws a vector for each id; one value is missing, padding is NaN."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(*ids.shape, VECTOR_DIM)).astype("float32")
    vectors[ids == 0] = vectors[0, 1, 2] = np.nan
    return vectors


def loss_of(decoder):
    if hasattr(decoder, "vector_dim"):
        return s2s.losses.SequenceRegressionLoss("huber", delta=0.5)
    return s2s.losses.SequenceLoss()


def is_real(inputs):
    """Bool `(B, S)`, of ids or of vectors."""
    if inputs.dtype.kind == "f":
        return ~np.all(np.isnan(inputs), axis=-1)
    return inputs != 0


def pad(inputs, count):
    """Pads ids with 0, vectors with NaN."""
    rest = [(0, 0)] * (inputs.ndim - 2)
    value = np.nan if inputs.dtype.kind == "f" else 0
    return np.pad(inputs, [(0, 0), (0, count), *rest], constant_values=value)


def numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def assert_close(found, expected, tolerance):
    """Compares nested arrays, relative to the largest value of each."""
    found, expected = (
        [np.asarray(part) for part in keras.tree.flatten(numpy(structure))]
        for structure in (found, expected)
    )
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one.shape == other.shape
        scale = np.max(np.abs(other), initial=1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def value_and_gradients(function, variables):
    """Returns `function()`, a scalar, and its gradients, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        values = [variable.value for variable in variables]
        return value, [
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(
                value, values, unconnected_gradients="zero"
            )
        ]
    if backend == "torch":
        import torch

        value = function()
        return value, torch.autograd.grad(
            value,
            [variable.value for variable in variables],
            allow_unused=True,
            materialize_grads=True,
        )
    import jax

    def run(values):
        with keras.StatelessScope(list(zip(variables, values))):
            return function()

    # As a whole: JAX would compile each of its operations alone.
    values = [variable.value for variable in variables]
    return jax.jit(jax.value_and_grad(run))(values)


def compiled(function):
    """As a whole on JAX, which would compile each operation alone."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def in_graph(function, *arguments):
    """Runs on inputs of unknown lengths, in a graph where there is one."""
    if not TENSORFLOW:
        return compiled(function)(*arguments)
    import tensorflow as tf

    if not hasattr(function, "graph"):
        signature = [
            tf.TensorSpec((None, None, *one.shape[2:]), one.dtype)
            for one in arguments
        ]
        function.graph = tf.function(function, input_signature=signature)
    return function.graph(*arguments)


def weights_of(*layers):
    """Returns each weight once, though layers share it."""
    weights = [w for layer in layers for w in layer.trainable_weights]
    return list({id(weight): weight for weight in weights}.values())


def check_padding_changes_nothing(make):
    """More padding, of source, target and batch, changes no result."""
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

    source_ids, target_ids, labels = examples(encoder, decoder)
    expected = numpy(in_graph(run, source_ids, target_ids, labels))
    found = numpy(
        in_graph(run, pad(source_ids, 3), pad(target_ids, 2), pad(labels, 2))
    )
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
        ids = [source_ids[row : row + 1], target_ids[row : row + 1]]
        length = np.sum(is_real(target_ids)[row])
        alone = in_graph(run, *ids, labels[row : row + 1])["logits"]
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
    inference = s2s.models.InferenceModel(
        model, search, max_length=max_length, **options
    )
    return numpy(compiled(inference)(source_ids))


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

    check(search_with(model, search, pad(source_ids, 4)), [0, 1, 2])
    check(search_with(model, search, source_ids[[2, 0, 1, 0]]), [2, 0, 1, 0])
    for row in range(3):
        length = np.sum(is_real(source_ids)[row])
        alone = source_ids[row : row + 1, :length]
        check(search_with(model, search, alone), [row])


def log_softmax(logits):
    logits = logits.astype("float64")
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.sum(np.exp(logits), -1, keepdims=True))


def check_scores_are_rescored(model, search, source=None):
    """`token_scores` are what the model's own `call` gives the ids."""
    source_ids = sentences(source=source)[0]
    result = search_with(model, search, source_ids)
    for n in range(result["ids"].shape[1]):
        ids, lengths = result["ids"][:, n], result["lengths"][:, n]
        target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=BOS)
        (name,) = model.input.keys() - {"target_ids"}
        logits = model({name: source_ids, "target_ids": target_ids})
        scores = np.take_along_axis(
            log_softmax(numpy(logits)), ids[:, :, None], axis=2
        )
        is_there = np.arange(ids.shape[1]) < lengths[:, None]
        expected = np.where(is_there, scores[:, :, 0], 0.0)
        assert_close(result["token_scores"][:, n], expected, 1e-5)


def floats(structure):
    return [
        np.asarray(numpy(tensor))
        for tensor in keras.tree.flatten(structure)
        if keras.backend.is_float_dtype(dtype_of(tensor))
    ]


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def spec_of(structure, free_axes=0):
    """Returns symbolic inputs with the first `free_axes` axes unknown."""

    def spec(tensor):
        free = min(free_axes, len(tensor.shape) - 1)
        shape = (None,) * free + tuple(tensor.shape)[free:]
        return keras.KerasTensor(shape, dtype=dtype_of(tensor))

    return keras.tree.map_structure(spec, structure)


def cast_floats(structure, dtype):
    return keras.tree.map_structure(
        lambda x: ops.cast(x, dtype) if dtype_of(x)[:5] == "float" else x,
        keras.tree.map_structure(ops.convert_to_tensor, structure),
    )


def check_layer(make, *inputs, build=None, free_axes=1):
    """What every layer keeps, whatever it does.

    Its config survives a round trip through JSON, and makes an equal layer;
    symbolic and eager shapes agree; the policy says the dtype of each float
    result; and nothing is NaN.

    Args:
        make: callable `make(dtype=...)`, returns the layer.
        inputs: what it is called with, arrays; floats get the policy's dtype.
        build: tuple or None. Arguments of `build`, where the layer's inputs
            do not tell them.
        free_axes: int. How many axes the layer takes without their size.
    """

    def start(layer):
        if build is not None and not layer.built:
            layer.build(*build)
        return layer

    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        layer = start(make(dtype=policy))
        arguments = cast_floats(list(inputs), layer.compute_dtype)
        results = layer(*arguments)
        for tensor in keras.tree.flatten(results):
            if keras.backend.is_float_dtype(dtype_of(tensor)):
                assert dtype_of(tensor) == layer.compute_dtype
                assert np.all(np.isfinite(numpy(ops.cast(tensor, "float32"))))
        for weight in layer.weights:
            assert dtype_of(weight) == layer.variable_dtype
    layer = start(make(dtype="float32"))
    arguments = cast_floats(list(inputs), "float32")
    results = layer(*arguments)
    for free in {0, free_axes}:
        symbolic = layer(*spec_of(arguments, free))
        keras.tree.map_structure(check_spec, symbolic, results)

    config = as_json(keras.saving.serialize_keras_object(layer))
    copy = start(keras.saving.deserialize_keras_object(config))
    copy(*arguments)
    assert as_json(copy.get_config()) == as_json(layer.get_config())
    copy.set_weights(layer.get_weights())
    for one, other in zip(floats(copy(*arguments)), floats(results)):
        np.testing.assert_array_equal(one, other)


def as_json(config):
    return json.loads(json.dumps(config))


def check_spec(symbolic, tensor):
    assert dtype_of(symbolic) == dtype_of(tensor)
    assert len(symbolic.shape) == len(tensor.shape)
    for size, expected in zip(symbolic.shape, tensor.shape):
        assert size in (None, expected)
