"""A Transformer decoder alone, against slow NumPy; prompts of many lengths."""

import keras
import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s.data import Stream
from keras_s2s.data import pad_rows
from keras_s2s.decoding import BeamSearch
from keras_s2s.export import to_ctranslate2
from keras_s2s.losses import SequenceLoss
from keras_s2s.models import InferenceModel
from keras_s2s.models import LanguageModel
from keras_s2s.models import Seq2Seq
from tests import laws
from tests import numerics
from tests import pairs
from tests.layers import transformers
from tests.models.test_language_model import SIZE
from tests.models.test_language_model import draw_weights

# Each position in one of them.
KINDS = {
    "sinusoidal": {"tie_embeddings": True},
    "rotary": {
        "positions": "rotary",
        "num_layers": 2,
        "num_kv_heads": 1,
        "normalize_first": False,
    },
    "learned": {"positions": "learned", "max_positions": 9},
}
PROMPTS = [[5, 6, 7], [], [8], [9, 4, 4, 4, 5]]


def make_model(name, **options):
    options = {**pairs.TRANSFORMER_SIZES, **KINDS[name], **options}
    decoder = layers.TransformerDecoder(SIZE, cross_attention=False, **options)
    return draw_weights(LanguageModel(decoder))


def make_prompted(dtype):
    model = make_model("rotary", dtype=dtype, num_layers=1).prompted()
    return model.encoder, model.decoder


def test_logits_are_those_of_a_slow_loop():
    for name in KINDS:
        model = make_model(name, dtype="float64")
        texts = [[2, 5, 6, 7], [2, 9], [2]]
        found = numerics.numpy(
            model({"target_ids": pad_rows(texts), "resets": np.zeros(3, bool)})
        )
        for logits, text in zip(found, texts):
            expected = transformers.decode(model.decoder.decoder, text)
            numerics.assert_close(logits[: len(text)], expected, 1e-9)


def test_steps_after_a_prompt_are_the_whole():
    laws.check_steps_equal_whole(make_prompted)
    laws.check_beams_are_queries(make_prompted)


def test_searches_keep_their_laws():
    model = make_model("sinusoidal").prompted()
    laws.check_beam_of_one_is_greedy(model)
    laws.check_independent_of_batch(model, BeamSearch(2, "gnmt", 1.0))


def test_a_prompt_goes_on_and_the_file_holds_all(tmp_path):
    # The longest prompt and what follows have all positions there are.
    model = make_model("learned")
    inference = InferenceModel(model, BeamSearch(2), max_length=4)
    inference.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    found = loaded.predict(PROMPTS, verbose=0)
    for row, prompt in enumerate(PROMPTS):
        count = found["lengths"][row, 0]
        ids = found["ids"][row, 0, :count]
        text = [2, *prompt, *ids[:-1]]
        logits = transformers.decode(model.decoder.decoder, text)
        log_probs = numerics.log_softmax(logits[-count:])
        scores = found["token_scores"][row, 0, :count]
        expected = log_probs[np.arange(count), ids].astype("float32")
        numerics.assert_close(scores, expected, 1e-5)
    with pytest.raises(ValueError, match="`source_ids` must be at most 5 to"):
        loaded.predict([[5] * 6], verbose=0)
    with pytest.raises(ValueError, match="`target_ids` must be at most 4 to"):
        loaded.score([[5]], [[6] * 5])
    with pytest.raises(ValueError, match="`max_length` must be at most 9 tok"):
        InferenceModel(model, max_length=10)


def test_it_is_trained_by_chunks_too():
    model = make_model("sinusoidal")
    stream = Stream([[5, 6, 7, 8, 9]], 1, 4)
    model.compile("sgd", loss=SequenceLoss(chunk_size=3), run_eagerly=True)
    losses = []
    # Each piece begins anew.
    for ids, labels in (([2, 5, 6, 7], [5, 6, 7, 8]), ([8, 9], [9, 3])):
        logits = transformers.decode(model.decoder.decoder, ids)
        log_probs = numerics.log_softmax(logits)
        losses.extend(-log_probs[np.arange(len(labels)), labels])
    found = model.evaluate(stream, verbose=0)
    assert abs(found / np.mean(losses) - 1) < 1e-5
    before = numerics.numpy(model.decoder.decoder.embedding.embeddings.value)
    model.train_on_batch(*stream[0])
    after = numerics.numpy(model.decoder.decoder.embedding.embeddings.value)
    assert np.any(before != after)


def test_what_it_cannot_do_is_named(tmp_path):
    model = make_model("sinusoidal")
    decoder = model.decoder.decoder
    with pytest.raises(ValueError, match="`stateful` must be False with a Tr"):
        LanguageModel(decoder, True, batch_size=2)
    encoder = layers.PoolingEncoder(SIZE, 8)
    rule = "`cross_attention` must be True where there is a memory to attend"
    with pytest.raises(ValueError, match=rule):
        Seq2Seq(encoder, decoder)
    reading = layers.TransformerDecoder(SIZE, 8, 6, 1, 2)
    rule = "`decoder` must be one without a memory, with {'cross_attention': F"
    with pytest.raises(ValueError, match=rule):
        LanguageModel(reading)
    rule = "`model` must be one from sources to targets, and no language model"
    with pytest.raises(ValueError, match=rule):
        to_ctranslate2(model, tmp_path / "model")
