"""Images in, text out."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import GreedySearch
from keras_s2s.models import ImageToText
from tests import numerics
from tests.models.captions import PICTURES
from tests.models.captions import image_to_text
from tests.models.texts import tokenizer


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, image in zip(paths, PICTURES):
        Image.fromarray(image).save(path)
    return paths


def test_it_reads_searches_and_decodes(paths):
    captioner = image_to_text()
    best = captioner.inference.predict_on_batch(PICTURES)["ids"][:, 0]
    expected = tokenizer().decode(best)
    assert len(set(expected)) == 3
    for images in (
        PICTURES,
        list(PICTURES),
        paths,
        [str(paths[0]), *PICTURES[1:]],
    ):
        assert captioner.generate(images) == expected
    assert captioner.generate(PICTURES[::-1], batch_size=2) == expected[::-1]
    # Bytes or floats, of any number: one trace.
    floats = PICTURES.astype("float32")
    assert captioner.generate(floats, verbose=1) == expected
    function = captioner.inference.predict_function
    assert function.experimental_get_tracing_count() == 1
    assert captioner.generate([]) == []
    nothing = captioner.inference.predict(PICTURES[:0], verbose=0)
    assert nothing["ids"].shape == (0, 1, 8)
    numerics.assert_close(captioner(PICTURES), captioner.inference(PICTURES), 0)


def test_captions_take_phrases():
    search = GreedySearch(constraints=[ForcedPrefix()])
    inference = image_to_text().inference.with_search(search)
    inference.compile(run_eagerly=True)
    captioner = ImageToText(inference, tokenizer())
    asked = {"prefixes": ["the", None], "required": [["d"], []]}
    found = captioner.generate(PICTURES[:2], **asked)
    assert found[0].startswith("the") and " d" in found[0]
    assert [found[1]] == captioner.generate(PICTURES[1:2])
    with pytest.raises(
        ValueError, match="`prefixes` must be of 2 entries, one"
    ):
        captioner.generate(PICTURES[:2], prefixes=["a"] * 3)


def test_a_utility_chooses_among_captions():
    search = BeamSearch(4, num_hypotheses=4)
    inference = image_to_text().inference.with_search(search)
    inference.compile(run_eagerly=True)
    captioner = ImageToText(inference, tokenizer())
    ids = inference.predict_on_batch(PICTURES)["ids"]
    texts = [tokenizer().decode(rows) for rows in ids]

    def count(text, other=""):
        return -text.count("t")

    chosen = captioner.generate(PICTURES, utility=count)
    assert chosen == [max(candidates, key=count) for candidates in texts]
    assert chosen != captioner.generate(PICTURES)


def test_images_that_do_not_open_give_no_text(paths):
    captioner = image_to_text()
    expected = captioner.generate(paths)
    paths[1].write_text("no picture")
    with pytest.warns(UserWarning) as caught:
        found = captioner.generate(paths, batch_size=1, verbose=0)
    assert found == [expected[0], "", expected[2]]
    (warning,) = caught
    assert str(warning.message) == (
        f"1 of 3 images do not open and were skipped: {paths[1]}."
    )
    assert warning.filename == __file__


def test_a_file_holds_all_of_it(tmp_path, eagerly):
    captioner = image_to_text()
    captioner.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert isinstance(loaded, ImageToText)
    assert loaded.generate(PICTURES) == captioner.generate(PICTURES)


def test_what_is_no_list_of_images_is_refused(paths):
    captioner = image_to_text()
    with pytest.raises(TypeError, match="`images` must be a list of paths"):
        captioner.generate(str(paths[0]))
    with pytest.raises(ValueError, match=r"`image` must be of shape \(8, 6, 3"):
        captioner.generate(np.zeros((1, 6, 6, 3)))
    with pytest.raises(ValueError, match="`batch_size` must be an integer >="):
        captioner.generate(PICTURES, batch_size=0)
    with pytest.raises(ValueError, match="`utility` must be None where"):
        captioner.generate(PICTURES, utility="chrf")
    with pytest.raises(FileNotFoundError, match=r"`images\[0\]` must be an ex"):
        captioner.generate(["none.png"])


def test_a_tokenizer_larger_than_the_model_is_refused():
    with pytest.raises(
        ValueError, match="`target_tokenizer` must be a tokenizer of at most 12"
    ):
        image_to_text(12).generate(PICTURES)


def test_its_parts_must_be_of_their_kind():
    inference = image_to_text().inference
    with pytest.raises(TypeError, match="`inference` must be an InferenceMod"):
        ImageToText(None, tokenizer())
    with pytest.raises(TypeError, match="`target_tokenizer` must be a token"):
        ImageToText(inference, "x.model")
