"""Images from files and arrays."""

import numpy as np
import pytest
from PIL import Image

from keras_s2s import images


def write(path, pixels):
    Image.fromarray(np.asarray(pixels, "uint8")).save(path)
    return path


CHESS = [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [9, 8, 7]]]


def test_files_and_arrays_are_read(tmp_path):
    path = write(tmp_path / "a.png", CHESS)
    for image in (path, str(path), CHESS, np.array(CHESS, "uint8")):
        found = images.read_image(image, (2, 2, 3))
        assert found.tolist() == CHESS
    assert images.read_image(path, (2, 2, 3)).dtype == np.uint8


def test_files_are_resized_and_get_the_channels_of_the_shape(tmp_path):
    path = write(tmp_path / "a.png", np.full((4, 6, 3), [200, 200, 200]))
    found = images.read_image(path, (2, 8, 1))
    np.testing.assert_array_equal(found, np.full((2, 8, 1), 200))
    found = images.read_image(path, (1, 1, 4))
    assert found.tolist() == [[[200, 200, 200, 255]]]


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "folder"])
def test_what_does_not_open_is_named(kind, tmp_path):
    path = tmp_path / "a.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "cut":
        write(path, np.random.default_rng(0).integers(0, 255, (64, 64, 3)))
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_text("no picture" * (kind == "text"))
    assert images.try_image(path, (2, 2, 3)) is None
    rule = r"`image` must be a file that opens as an image. .*a\.png"
    with pytest.raises(OSError, match=rule):
        images.read_image(path, (2, 2, 3))


def test_an_array_of_another_shape_is_refused():
    rule = r"`image` must be of shape \(2, 3, 3\). Received: image=\(2, 2, 3\)"
    with pytest.raises(ValueError, match=rule):
        images.try_image(CHESS, (2, 3, 3))


def test_a_file_has_one_three_or_four_channels(tmp_path):
    path = write(tmp_path / "a.png", CHESS)
    with pytest.raises(ValueError, match=r"`image_shape\[2\]` must be one of"):
        images.read_image(path, (2, 2, 2))


def test_the_extra_that_is_missing_is_named(tmp_path, monkeypatch):
    def load_img(*args, **kwargs):
        raise ImportError("Could not import PIL.Image.")

    monkeypatch.setattr("keras.utils.load_img", load_img)
    message = r"need Pillow.*`pip install \"keras_s2s\[images\]\"`"
    with pytest.raises(ImportError, match=message):
        images.try_image(tmp_path, (2, 2, 3))


@pytest.mark.parametrize(
    "shape", [None, 5, (2, 2), (2, 0, 3), (2, None, 3), (2, 2.0, 3), "abc"]
)
def test_what_is_no_image_shape_is_refused(shape):
    rule = r"`image_shape` must be three integers > 0, \(H, W, C\). Received: "
    with pytest.raises(ValueError, match=rule):
        images.check_image_shape(shape)
    assert images.check_image_shape([2, 5, 1]) == (2, 5, 1)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("a.png", TypeError, r"`images` must be a list of paths and arrays"),
        (5, TypeError, r"`images` must be a list of paths and arrays"),
        (
            np.zeros((2, 2, 3)),
            ValueError,
            r"`images` must be an array \(B, H, W, C\). Received: "
            r"images=\(2, 2, 3\).",
        ),
        (
            [np.zeros((2, 2, 3)), None],
            ValueError,
            r"`images\[1\]` must be a path or an array \(H, W, C\). Received: "
            r"images\[1\]=None. This is line 2.",
        ),
        (
            [np.zeros((2, 3))],
            ValueError,
            r"`images\[0\]` must be a path .* Received: images\[0\]=\(2, 3\).",
        ),
        (
            ["missing.png"],
            FileNotFoundError,
            r"`images\[0\]` must be an existing file. Received: images\[0\]="
            r"'missing.png'. This is line 1.",
        ),
    ],
)
def test_what_is_no_list_of_images_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        images.check_images(given)


def test_skipped_images_are_named_in_one_warning():
    images.warn_of_unread([], 3, stacklevel=1)
    with pytest.warns(UserWarning) as caught:
        images.warn_of_unread(["a.png", "b.png"], 3, stacklevel=0)
        images.warn_of_unread([str(n) for n in range(12)], 20, stacklevel=0)
    assert [str(warning.message) for warning in caught] == [
        "2 of 3 images do not open and were skipped: a.png, b.png.",
        "12 of 20 images do not open and were skipped: "
        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more.",
    ]
