"""Images and captions, every pair once an epoch."""

import re

import numpy as np
import pytest
from PIL import Image

from keras_s2s.data import ImagePairs
from keras_s2s.data import SequencePairs
from keras_s2s.tokenizers import SentencePieceTokenizer

TEXTS = ["a dog runs .", "a cat runs .", "two dogs run .", "a dog", "cat"]
# Each is of one shade, which tells it.
IMAGES = np.broadcast_to(
    np.arange(5, dtype="uint8")[:, None, None, None], (5, 4, 6, 3)
)


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 20)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(5)]
    for path, image in zip(paths, IMAGES):
        Image.fromarray(image).save(path)
    return paths


def check_pairs(data, tokenizer, shape=(4, 6, 3)):
    """Each caption meets its image; returns the pairs that were met."""
    met = []
    for index, (inputs, labels, weights) in enumerate(data):
        assert set(inputs) == {"images", "target_ids"}
        assert inputs["images"].shape[1:] == shape
        assert inputs["images"].dtype == np.uint8
        rows = data.pair_indices(index)
        texts = tokenizer.decode(labels)
        assert texts == [TEXTS[row] for row in rows]
        shades = inputs["images"][:, 0, 0, 0]
        np.testing.assert_array_equal(shades, rows)
        assert np.all(inputs["target_ids"][:, 0] == 2)
        np.testing.assert_array_equal(weights > 0, labels != 0)
        met.extend(rows.tolist())
    return sorted(met)


@pytest.mark.parametrize("source", ["array", "arrays", "paths", "mixed"])
def test_each_caption_meets_its_image(source, paths, tokenizer):
    images = {
        "array": IMAGES,
        "arrays": list(IMAGES),
        "paths": paths,
        "mixed": [str(paths[0]), *IMAGES[1:]],
    }[source]
    shape = (4, 6, 3) if source in ("paths", "mixed") else None
    data = ImagePairs(images, TEXTS, tokenizer, shape, batch_size=2)
    for _ in range(2):
        assert check_pairs(data, tokenizer) == [0, 1, 2, 3, 4]
        data.on_epoch_end()


def test_captions_are_bucketed_as_targets_are(tokenizer):
    options = {"batch_size": 2, "seed": 5}
    data = ImagePairs(IMAGES, TEXTS, tokenizer, **options)
    targets = SequencePairs([[9]] * 5, tokenizer.encode(TEXTS), **options)
    for one, other in zip(data, targets):
        np.testing.assert_array_equal(one[1], other[1])
        np.testing.assert_array_equal(
            one[0]["target_ids"], other[0]["target_ids"]
        )
    assert repr(data).startswith("ImagePairs(5 pairs, 0 dropped, 3 batches")


def test_files_are_resized(paths, tokenizer):
    data = ImagePairs(paths, TEXTS, tokenizer, (2, 2, 1))
    assert check_pairs(data, tokenizer, (2, 2, 1)) == [0, 1, 2, 3, 4]


def test_images_that_do_not_open_are_named_skipped_and_counted(
    paths, tokenizer
):
    paths[1].write_text("no picture")
    paths[3].write_bytes(b"")
    with pytest.warns(UserWarning) as caught:
        data = ImagePairs(
            # Two captions have the second image.
            [*paths[:2], paths[1], *paths[3:]],
            TEXTS,
            tokenizer,
            (4, 6, 3),
        )
    (warning,) = caught
    assert str(warning.message) == (
        f"2 of 4 images do not open and were skipped: {paths[1]}, {paths[3]}."
    )
    assert warning.filename == __file__
    assert data.unread == [str(paths[1]), str(paths[3])]
    assert data.num_pairs == 2
    assert check_pairs(data, tokenizer) == [0, 4]


def test_an_image_that_breaks_later_is_named(paths, tokenizer):
    data = ImagePairs(paths, TEXTS, tokenizer, (4, 6, 3))
    paths[2].write_text("no picture")
    with pytest.raises(OSError, match="opens as an image. .*2.png"):
        data[0]


def test_no_image_that_opens_is_an_error(paths, tokenizer):
    paths[0].write_text("no picture")
    rule = r"`images` must be at least one that opens. Received: .*0\.png"
    with pytest.raises(ValueError, match=rule):
        ImagePairs(paths[:1], TEXTS[:1], tokenizer, (4, 6, 3))


def test_captions_without_an_image_are_named(paths, tokenizer):
    with pytest.raises(ValueError, match=r"`len\(target_texts\)`.*Line 5 has"):
        ImagePairs(IMAGES[:4], TEXTS, tokenizer)
    with pytest.raises(ValueError, match=r"`images\[1\]` must be a path or"):
        ImagePairs([paths[0], None], TEXTS[:2], tokenizer, (4, 6, 3))
    paths[1].unlink()
    rule = r"`images\[1\]` must be an existing file.*1\.png'. This is line 2\."
    with pytest.raises(FileNotFoundError, match=rule):
        ImagePairs(paths, TEXTS, tokenizer, (4, 6, 3))


def test_what_it_cannot_know_is_asked_for(paths, tokenizer):
    with pytest.raises(ValueError, match="`image_shape` must be three integ"):
        ImagePairs(paths, TEXTS, tokenizer)
    with pytest.raises(ValueError, match="`eos_id` must be left out"):
        ImagePairs(IMAGES, TEXTS, tokenizer, eos_id=3)
    with pytest.raises(ValueError, match=r"`image` must be of shape \(4, 6, "):
        ImagePairs([*IMAGES[:4], IMAGES[4, 1:]], TEXTS, tokenizer)
    with pytest.raises(ValueError, match=r"`target_texts\[0\]` must be a text"):
        ImagePairs(IMAGES, ["", *TEXTS[1:]], tokenizer)


def test_the_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", ImagePairs.__doc__, re.DOTALL)
    names = {
        "ImagePairs": ImagePairs,
        "SentencePieceTokenizer": SentencePieceTokenizer,
        "np": np,
    }
    exec("if True:\n" + code, names)
