"""Text in, text out."""

import numpy as np
import pytest

from keras_s2s import layers
from keras_s2s.decoding import BeamSearch
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models import TextToText
from tests import numerics
from tests import pairs
from tests.models.texts import TEXTS
from tests.models.texts import text_to_text
from tests.models.texts import tokenizer

SEARCH = BeamSearch(3, num_hypotheses=2)


def test_it_encodes_searches_and_decodes():
    text = text_to_text()
    ids = tokenizer().encode(["a dog runs ."], add_eos=True)
    best = text.inference.predict(ids, verbose=0)["ids"][:, 0]
    assert text.generate(["a dog runs ."]) == tokenizer().decode(best)


def test_order_and_batches_change_nothing():
    text = text_to_text()
    expected = text.generate(TEXTS)
    assert len(set(expected)) > 1
    assert text.generate(TEXTS, batch_size=1) == expected
    assert text.generate(TEXTS[::-1]) == expected[::-1]
    assert [text.generate([one])[0] for one in TEXTS] == expected


def test_nothing_gives_nothing():
    assert text_to_text().generate([""]) == [""]
    assert text_to_text().generate([]) == []


def test_n_best_holds_what_the_search_found():
    text = text_to_text(search=SEARCH, return_alignments=True)
    found = text.n_best(TEXTS, batch_size=2)
    assert [len(hypotheses) for hypotheses in found] == [2, 2, 0, 2]
    assert [n_best[0].text for n_best in found if n_best] == [
        text for text in text.generate(TEXTS) if text
    ]
    for source, n_best in zip(TEXTS, found):
        ids = tokenizer().encode([source], add_eos=True)
        for number, one in enumerate(n_best):
            assert "".join(one.source_tokens) == source.replace(" ", "")
            assert len(one.source_tokens) == len(ids[0])
            length = len(one.token_ids)
            assert length == len(one.tokens) == len(one.token_scores)
            assert tokenizer().decode([one.token_ids]) == [one.text]
            if one.token_ids[-1] == tokenizer().eos_id:
                assert one.tokens[-1] == ""
            expected = text.inference.predict(ids, verbose=0)
            scores = [one.score, *one.token_scores]
            numerics.assert_close(
                np.array(scores, "float32"),
                np.array(
                    [
                        expected["scores"][0, number],
                        *expected["token_scores"][0, number, :length],
                    ]
                ),
                1e-5,
            )
            numerics.assert_close(
                one.alignment,
                expected["alignments"][0, number, :length],
                1e-5,
            )
            weights = one.alignment.tolist()
            hard = [own.index(max(own)) for own in weights]
            assert one.hard_alignment == hard
    (without,) = text_to_text().n_best(TEXTS[:1])[0]
    assert without.alignment is None and without.hard_alignment is None


def test_unknown_words_are_replaced():
    text = text_to_text(search=SEARCH, return_alignments=True)
    plain = text.generate(TEXTS)
    replaced = text.generate(TEXTS, replace_unknowns=True)
    assert "⁇" in "".join(plain) and "⁇" not in "".join(replaced)
    n_best = text.n_best(TEXTS, replace_unknowns=True)
    assert [one[0].text if one else "" for one in n_best] == replaced


@pytest.mark.parametrize("bad", [3, None, "true", ["a"]])
def test_what_says_not_how_to_replace_is_refused(bad):
    with pytest.raises(TypeError, match="`replace_unknowns` must be True, Fal"):
        text_to_text().generate(["a"], replace_unknowns=bad)


def test_without_alignments_there_is_no_replacement():
    message = "`replace_unknowns` must be False where the inference model ret"
    for method in (text_to_text().generate, text_to_text().n_best):
        with pytest.raises(ValueError, match=message):
            method(["a"], replace_unknowns={})


def test_called_on_ids_it_is_its_inference_model():
    text, ids = text_to_text(), np.array([[5, 6, 3]], "int32")
    numerics.assert_close(text(ids), text.inference(ids), 0)


@pytest.mark.parametrize("bad", ["a dog", [5], [None], [["a"]]])
def test_what_is_no_list_of_texts_is_refused(bad):
    with pytest.raises(TypeError, match=r"`texts(\[0\])?` must be"):
        text_to_text().generate(bad)


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(
        ValueError, match="`batch_size` must be an integer >= 1"
    ):
        text_to_text().generate(["a"], batch_size=0)


@pytest.mark.parametrize("name", ["source_tokenizer", "target_tokenizer"])
def test_a_tokenizer_larger_than_the_model_is_refused(name):
    size = tokenizer().vocabulary_size
    sizes = {"source_tokenizer": size, "target_tokenizer": size, name: 9}
    model = Seq2Seq(
        layers.RNNEncoder(sizes["source_tokenizer"], 4, 5),
        layers.RNNDecoder(sizes["target_tokenizer"], 4, 5, attention=None),
    )
    inference = InferenceModel(model, max_length=4)
    with pytest.raises(
        ValueError,
        match=rf"`{name}` must be a tokenizer of at most 9 ids, those of the "
        rf"model. Received: {name}={size}",
    ):
        TextToText(inference, tokenizer(), tokenizer()).generate(["a"])


def test_its_parts_must_be_of_their_kind():
    inference = text_to_text().inference
    with pytest.raises(TypeError, match="`inference` must be an InferenceMod"):
        TextToText(pairs.model_of("cho"), tokenizer(), tokenizer())
    with pytest.raises(TypeError, match="`source_tokenizer` must be a token"):
        TextToText(inference, None, tokenizer())
    with pytest.raises(TypeError, match="`target_tokenizer` must be a token"):
        TextToText(inference, tokenizer(), "x.model")
