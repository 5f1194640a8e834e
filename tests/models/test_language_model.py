"""A decoder alone: pieces are the whole, and prompts go on."""

import keras
import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s.data import Stream
from keras_s2s.data import pad_rows
from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import GreedySearch
from keras_s2s.losses import SequenceLoss
from keras_s2s.metrics import Perplexity
from keras_s2s.models import InferenceModel
from keras_s2s.models import LanguageModel
from keras_s2s.models import ScheduledSampling
from keras_s2s.models import TextToText
from keras_s2s.tokenizers import WordTokenizer
from tests import laws
from tests import numerics
from tests import pairs

SIZE = pairs.SOURCE_SIZE
random = np.random.default_rng(0)
# Of 2, 1, 3, 1 and 1 pieces of 4, with their eos.
DOCUMENTS = [random.integers(4, SIZE, n).tolist() for n in (6, 3, 11, 2, 1)]


def make_decoder(**options):
    options = {"num_layers": 2, "attention": None, "bridge": "pass", **options}
    return layers.RNNDecoder(SIZE, 4, 5, **options)


def make_model(batch_size=None, **options):
    decoder = make_decoder(**options)
    model = LanguageModel(decoder, batch_size is not None, batch_size)
    return draw_weights(model)


def draw_weights(model):
    """Returns a model with random weights that never writes padding."""
    decoder = model.decoder.decoder
    draw = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(draw.normal(size=weight.shape, scale=0.7))
    bias = numerics.numpy(decoder.output_layer.bias.value)
    decoder.output_layer.bias.assign(np.where(np.arange(SIZE), bias, -30.0))
    return model


def zeros(decoder, rows):
    count = decoder.num_layers * (2 if decoder.cell == "lstm" else 1)
    return {"state": [np.zeros((rows, decoder.units), "float32")] * count}


def whole_logits(model, texts):
    """Of each text from its start, by the decoder alone: `(T, V)`."""
    decoder = model.decoder.decoder
    ids = pad_rows(texts)
    logits = numerics.numpy(decoder(ids, zeros(decoder, len(ids))))
    return [found[: len(text)] for found, text in zip(logits, texts)]


def read_in_pieces(model, stream):
    """Returns what each row was fed since its last reset, with its logits."""
    texts, found = [[] for _ in range(stream.batch_size)], []
    for index in range(len(stream)):
        inputs, _, weights = stream[index]
        logits = numerics.numpy(model(inputs))
        for row, count in enumerate(weights.sum(axis=1).astype(int)):
            if inputs["resets"][row]:
                texts[row] = ([], [])
                found.append(texts[row])
            texts[row][0].extend(inputs["target_ids"][row, :count].tolist())
            texts[row][1].extend(logits[row, :count])
    return [text for text in found if text[0]]


@pytest.mark.parametrize(
    "compiled, options",
    [(False, {}), (True, {"cell": "gru", "num_layers": 1})],
    ids=["packed", "padded"],
)
def test_pieces_are_the_whole_and_documents_are_apart(compiled, options):
    model = make_model(2, **options)
    model.decoder.supports_jit = compiled
    found = read_in_pieces(model, Stream(DOCUMENTS, 2, 4))
    # 8 pieces: the third document begins in row 0 and ends in row 1.
    assert len(found) == len(DOCUMENTS) + 1
    assert max(len(ids) for ids, _ in found) > 4
    expected = whole_logits(model, [ids for ids, _ in found])
    logits = [np.array(logits) for _, logits in found]
    numerics.assert_close(logits, expected, 1e-5)


def test_the_state_is_carried_in_training():
    check_the_state_is_carried()


def check_the_state_is_carried():
    """A step of a graph leaves the state that the whole text leaves."""
    model = make_model(2, cell="gru", num_layers=1)
    decoder = model.decoder.decoder
    ids = np.array([[2, 5, 6, 7, 8, 9], [2, 9, 0, 4, 5, 6]], "int32")
    # The first part of the second row ends in padding.
    texts = [ids[0], ids[1][ids[1] > 0]]
    model.compile(keras.optimizers.SGD(0.0), loss=SequenceLoss())
    for number, part in enumerate([ids[:, :3], ids[:, 3:]]):
        resets = np.array([number == 0] * 2)
        inputs = {"target_ids": part, "resets": resets}
        labels = np.where(part, 5, 0)
        model.train_on_batch(inputs, labels)
    (carried,) = numerics.numpy([one.value for one in model.decoder.carried])
    for row, text in enumerate(texts):
        # Of a GRU, the state is what the output layer sees.
        seen = decoder.features(text[None], zeros(decoder, 1))
        numerics.assert_close(carried[row], numerics.numpy(seen)[0, -1], 1e-5)
    model.reset_states()
    assert not np.any(numerics.numpy(model.decoder.carried[0].value))


def test_an_evaluation_is_exact_and_sees_no_other_state():
    model = make_model(2, num_layers=1)
    stream = Stream(DOCUMENTS, 1, 5)
    alone = LanguageModel(model.decoder.decoder, True, batch_size=1)
    total = 0.0
    texts = [[2, *ids] for ids in DOCUMENTS]
    for ids, logits in zip(DOCUMENTS, whole_logits(model, texts)):
        places = np.arange(len(ids) + 1), [*ids, 3]
        total -= np.sum(numerics.log_softmax(logits)[places])
    count = sum(map(len, texts))
    assert count == stream.num_tokens
    alone.compile(loss=SequenceLoss(), weighted_metrics=[Perplexity()])
    for _ in range(2):
        _, found = alone.evaluate(stream, verbose=0)
        assert abs(found / np.exp(total / count) - 1) < 1e-5
        # Whatever was left behind.
        for carried in alone.decoder.carried:
            carried.assign(np.ones(carried.shape))


def test_without_a_state_each_batch_begins_anew():
    model = make_model(num_layers=1)
    inputs = {"target_ids": np.array([[5, 6]]), "resets": np.array([False])}
    for _ in range(2):
        found = list(model(inputs))
        numerics.assert_close(found, whole_logits(model, [[5, 6]]), 1e-5)


def test_a_file_holds_the_state(tmp_path):
    model = make_model(2)
    stream = Stream(DOCUMENTS, 2, 4)
    model(stream[0][0])
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert (loaded.stateful, loaded.batch_size) == (True, 2)
    inputs = {**stream[1][0], "resets": np.zeros(2, bool)}
    numerics.assert_close(loaded(inputs), model(inputs), 0)


def test_batches_come_in_their_order(monkeypatch):
    seen = []
    monkeypatch.setattr(
        keras.Model, "fit", lambda *_, **kw: seen.append(kw["shuffle"])
    )
    stream = Stream(DOCUMENTS, 2, 4)
    make_model(2).fit(stream)
    make_model().fit(stream, shuffle=True)
    assert seen == [False, True]
    with pytest.raises(ValueError, match="`shuffle` must be False where the"):
        make_model(2).fit(stream, shuffle=True)


def make_prompted(dtype):
    model = make_model(num_layers=1, dtype=dtype).prompted()
    return model.encoder, model.decoder


def test_steps_after_a_prompt_are_the_whole():
    laws.check_steps_equal_whole(make_prompted)
    laws.check_beams_are_queries(make_prompted)


def test_searches_keep_their_laws():
    model = make_model(num_layers=1).prompted()
    laws.check_independent_of_batch(model, BeamSearch(2, "gnmt", 1.0))


def test_a_prompt_is_a_text_that_goes_on():
    model = make_model()
    inference = InferenceModel(model, BeamSearch(2), max_length=4)
    prompts = [[5, 6, 7], [], [8], [9, 4, 4, 4, 5]]
    found = inference.predict(prompts, verbose=0)
    lengths = found["lengths"][:, 0]
    ids = [found["ids"][n, 0, :count] for n, count in enumerate(lengths)]
    texts = [[2, *p, *rest[:-1]] for p, rest in zip(prompts, ids)]
    for row, logits in enumerate(whole_logits(model, texts)):
        count = lengths[row]
        log_probs = numerics.log_softmax(logits[-count:])
        expected = log_probs[np.arange(count), ids[row]]
        scores = found["token_scores"][row, 0, :count]
        numerics.assert_close(scores, expected.astype("float32"), 1e-5)
    scored = inference.score(prompts, found["ids"][:, 0], verbose=0)
    numerics.assert_close(scored["scores"], found["scores"][:, 0], 1e-5)


def test_texts_go_on_and_the_file_holds_all(tmp_path, eagerly):
    tokenizer = WordTokenizer(list("abcdefghi"))
    assert tokenizer.vocabulary_size == SIZE
    model = make_model(2, num_layers=1)
    inference = InferenceModel(model, GreedySearch(), max_length=4)
    text = TextToText(inference, tokenizer, tokenizer)
    prompts = ["a b c", "d"]
    found = text.generate(prompts)
    # No end token is put behind a prompt.
    ids = inference.predict([[4, 5, 6], [7]], verbose=0)["ids"][:, 0]
    assert found == tokenizer.decode(ids) and any(found)
    text.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.generate(prompts) == found


def test_what_has_a_memory_is_refused():
    for options in ({"attention": "dot"}, {"context": "mean"}):
        with pytest.raises(ValueError, match="`decoder` must be one without a"):
            LanguageModel(make_decoder(**options))
    with pytest.raises(ValueError, match="'bridge': 'dense'"):
        LanguageModel(make_decoder(bridge="dense"))
    rule = "`decoder` must be a keras_s2s.layers.RNNDecoder or Transformer"
    with pytest.raises(TypeError, match=rule):
        LanguageModel(layers.RNNEncoder(SIZE, 4, 5))
    vectors = layers.RNNVectorDecoder(3, 4, 5, attention=None, bridge="pass")
    with pytest.raises(ValueError, match=rule):
        LanguageModel(vectors)


def test_what_does_not_fit_is_named():
    with pytest.raises(TypeError, match="`batch_size` must be an integer >= 1"):
        LanguageModel(make_decoder(), stateful=True)
    with pytest.raises(ValueError, match="`batch_size` must be None where no"):
        LanguageModel(make_decoder(), batch_size=2)
    model, other = make_model(2), Stream(DOCUMENTS, 3, 4)
    with pytest.raises(ValueError, match="`r_drop` must be 0 where the state"):
        model.compile("sgd", loss=SequenceLoss(), r_drop=1.0)
    with pytest.raises(ValueError, match="`scheduled_sampling` must be None"):
        model.compile("sgd", scheduled_sampling=ScheduledSampling(0.5))
    model.compile("sgd", loss=SequenceLoss())
    rule = "`batch_size` must be that of the model, 2. Received: batch_size=3"
    for use in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=rule):
            use(other)
    with pytest.raises(ValueError, match=rule):
        model(other[0][0])
    stream = Stream([[5, SIZE]], 2, 4)
    with pytest.raises(ValueError, match=r"`target_ids` must hold ids in \[0"):
        model.fit(stream)
