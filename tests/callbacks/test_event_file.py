"""What `GenerationMetrics` shows in TensorBoard, read back from its file."""

import io
import sys

import pytest
import tensorflow as tf
from PIL import Image

from keras_s2s.decoding import GreedySearch
from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models import TextToText
from keras_s2s.plots import plot_text_alignment
from keras_s2s.tokenizers import SentencePieceTokenizer
from tests.callbacks.test_generation_metrics import FakeTextToText
from tests.callbacks.test_generation_metrics import drop_last_letter
from tests.callbacks.test_generation_metrics import fit
from tests.callbacks.test_generation_metrics import keep
from tests.callbacks.test_generation_metrics import make_callback


def read_events(folder):
    """Returns {(tag, step): (plugin, values)} of the one file in a folder."""
    (path,) = folder.iterdir()
    events = {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            plugin = value.metadata.plugin_data.plugin_name
            values = tf.make_ndarray(value.tensor).tolist()
            events[value.tag, event.step] = (plugin, values)
    return events


def test_examples_go_to_tensorboard_as_texts(tmp_path):
    texts = ["a|b *c*\n</s>", "two"]
    fake = FakeTextToText(keep, drop_last_letter)
    options = {"num_examples": 1, "log_dir": tmp_path / "log"}
    fit([make_callback(fake, texts, **options)], epochs=4, initial_epoch=2)
    events = read_events(tmp_path / "log")
    name = "val_example_0"
    assert set(events) == {(name, 2), (name, 3)}
    whole = "a&#124;b &#42;c&#42; &#60;/s&#62;"
    lines = "| | |\n|---|---|\n| source | {} |\n| reference | {} |\n"
    lines = lines.format(whole, whole) + "| hypothesis | {} |"
    for step, text in ((2, whole), (3, whole.removesuffix("&#62;"))):
        expected = [lines.format(text).encode()]
        assert events[name, step] == ("text", expected)


def test_steps_are_updates_where_batches_count(tmp_path):
    options = {"every_steps": 2, "num_examples": 1, "log_dir": tmp_path}
    fit([make_callback(FakeTextToText(), ["a"], **options)], epochs=3)
    # After the first epoch, the second batch and the last epoch.
    assert [step for _, step in read_events(tmp_path)] == [1, 2, 3]


@pytest.fixture(scope="module")
def attentive():
    """A `TextToText` of random weights that returns alignments."""
    tokenizer = SentencePieceTokenizer.train(["a b c"], model_type="char")
    size = tokenizer.vocabulary_size
    encoder = RNNEncoder(size, embedding_dim=4, units=4)
    decoder = RNNDecoder(size, embedding_dim=4, units=4)
    inference = InferenceModel(
        Seq2Seq(encoder, decoder),
        search=GreedySearch(),
        max_length=3,
        return_alignments=True,
    )
    return TextToText(inference, tokenizer, tokenizer)


def test_alignments_go_to_tensorboard_as_pictures(attentive, tmp_path):
    options = {"log_dir": tmp_path, "num_pictures": 2}
    callback = make_callback(attentive, ["", "a b", "c"], **options)
    fit([callback], epochs=1)
    events = read_events(tmp_path)
    tags = [tag for tag, _ in events if "alignment" in tag]
    assert tags == ["val_alignment_1"]  # none of ""
    plugin, (width, height, png) = events["val_alignment_1", 0]
    assert plugin == "images"
    picture = Image.open(io.BytesIO(png))
    assert picture.size == (int(width), int(height))
    expected = io.BytesIO()
    plot_text_alignment(attentive, "a b", expected)
    assert png == expected.getvalue()


def test_pictures_need_matplotlib_and_alignments(attentive, monkeypatch):
    options = {"log_dir": "log", "num_pictures": 1}
    message = "`num_pictures` must be 0 without a `TextToText` that has return"
    with pytest.raises(ValueError, match=message):
        make_callback(FakeTextToText(), **options)
    monkeypatch.setattr(attentive.inference, "return_alignments", False)
    with pytest.raises(ValueError, match=message):
        make_callback(attentive, **options)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="GenerationMetrics needs matplotlib"):
        make_callback(attentive, **options)
    make_callback(attentive, log_dir="log")
