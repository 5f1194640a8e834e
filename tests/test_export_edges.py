"""What has no place in CTranslate2 is refused, and nothing is written."""

import sys

import keras
import pytest

import keras_s2s as s2s
from keras_s2s.export import to_ctranslate2
from tests import pairs
from tests.test_export import SOURCE_SIZE
from tests.test_export import TARGET_SIZE
from tests.test_export import make_model
from tests.test_export import model_of


def refuse(match, *args, error=ValueError, folder=None, **kwargs):
    """Checks that nothing is written either."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=match):
        to_ctranslate2(args[0], folder / "model", *args[1:], **kwargs)
    assert sorted(folder.rglob("*")) == before


def test_recurrent_layers_are_refused(tmp_path):
    rnn_decoder = pairs.model_of("rnn over transformer")
    match = (
        "`decoder` must be a TransformerDecoder, and no subclass, to be "
        "exported. Received: decoder='RNNDecoder'."
    )
    refuse(match, rnn_decoder, folder=tmp_path)
    match = "`encoder` must be a TransformerEncoder.*'RNNEncoder'"
    refuse(match, pairs.model_of("transformer over rnn"), folder=tmp_path)


def test_a_layer_of_the_users_is_refused(tmp_path):
    class MyEncoder(s2s.layers.TransformerEncoder):
        pass

    encoder = MyEncoder(SOURCE_SIZE, 8, 8, 1, 2)
    decoder = s2s.layers.TransformerDecoder(TARGET_SIZE, 8, 8, 1, 2)
    model = s2s.models.Seq2Seq(encoder, decoder)
    refuse("no subclass.*encoder='MyEncoder'", model, folder=tmp_path)


def test_a_model_without_both_sides_is_refused(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    match = "`model` must be a model with one keras_s2s.layers.Encoder"
    refuse(match, model, folder=tmp_path)


def test_a_quantized_model_is_refused(tmp_path):
    model = make_model()
    model.encoder.stack.layers[0].feed_forward.inner.quantize("int8")
    match = (
        "`encoder` must be a layer with float weights to be exported. "
        "Received: encoder='inner, quantized'. Export it unquantized, with "
        "quantization='int8'."
    )
    refuse(match, model, folder=tmp_path)


@pytest.mark.parametrize(
    "vocabulary, error, match",
    [
        ("abc", TypeError, "a tokenizer, or a list of 13 str"),
        ({"a": 0}, TypeError, "a tokenizer, or a list of 13 str"),
        (["a", 5], TypeError, r"`source_vocabulary\[1\]` must be a str"),
        (["a", "b"], ValueError, "source_vocabulary='2 tokens'"),
        (
            ["a"] * 13,
            ValueError,
            "`source_vocabulary` must be without a token twice.*='a'",
        ),
        (
            list("abcdefghijklm"),
            ValueError,
            "`target_vocabulary` must be one whose unk_token is that of the "
            "source, 'b'. Received: target_vocabulary='<unk>'",
        ),
    ],
)
def test_a_wrong_vocabulary_is_refused(vocabulary, error, match, tmp_path):
    model = model_of("default")
    refuse(match, model, vocabulary, error=error, folder=tmp_path)


def test_special_ids_behind_the_vocabulary_are_refused(tmp_path):
    inference = s2s.models.InferenceModel(
        model_of("default"), max_length=5, bos_id=12
    )
    match = (
        "`target_vocabulary` must be of more than 12 tokens, for the special "
        "ones. Received: target_vocabulary='11 tokens'"
    )
    refuse(match, inference, folder=tmp_path)


def test_wrong_options_are_refused(tmp_path):
    model = model_of("default")
    match = "`quantization` must be one of .*quantization='int4'"
    refuse(match, model, quantization="int4", folder=tmp_path)
    match = "`max_positions` must be an integer >= 1"
    refuse(match, model, max_positions=0, folder=tmp_path)


def test_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "mine").write_text("x")
    match = "`folder` must be a folder that does not exist yet"
    refuse(match, model_of("default"), error=FileExistsError, folder=tmp_path)
    (folder / "mine").unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path / "nowhere")
    refuse(match, model_of("default"), error=FileExistsError, folder=tmp_path)


def test_a_folder_in_no_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="in a folder that exists"):
        to_ctranslate2(model_of("default"), tmp_path / "none" / "model")
    with pytest.raises(TypeError, match="`folder` must be a path"):
        to_ctranslate2(model_of("default"), None)
    assert not list(tmp_path.iterdir())


def test_without_ctranslate2_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    match = r'`pip install "keras_s2s\[ctranslate2\]"`'
    refuse(match, model_of("default"), error=ImportError, folder=tmp_path)
