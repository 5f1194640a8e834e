"""Images of one shape, from files and arrays."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s import checks

# Keras' names of how many values a pixel has.
COLOR_MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}
MOST_NAMED = 10


def check_image_shape(image_shape: Any) -> tuple[int, int, int]:
    """Returns `(H, W, C)` as a tuple, or refuses it."""
    sizes = image_shape if isinstance(image_shape, Sequence) else ()
    is_size = [isinstance(size, int) and size > 0 for size in sizes]
    if len(sizes) != 3 or not all(is_size):
        rule = "three integers > 0, (H, W, C)"
        checks.fail("image_shape", rule, image_shape)
    return tuple(sizes)


def check_images(images: Any) -> None:
    """Refuses what is no list of images, and a path without a file."""
    if isinstance(images, np.ndarray):
        if images.ndim != 4:
            checks.fail("images", "an array (B, H, W, C)", images.shape)
        return
    if is_path(images) or not hasattr(images, "__len__"):
        rule = "a list of paths and arrays (H, W, C), or an array (B, H, W, C)"
        checks.fail("images", rule, images, error=TypeError)
    for row, image in enumerate(images):
        name, cure = f"images[{row}]", f"This is line {row + 1}."
        if is_path(image):
            if not os.path.isfile(image):
                rule, error = "an existing file", FileNotFoundError
                checks.fail(name, rule, str(image), cure, error)
        elif np.ndim(image) != 3:
            found = np.shape(image) or image
            checks.fail(name, "a path or an array (H, W, C)", found, cure)


def is_path(image: Any) -> bool:
    """Whether an image is the name of a file."""
    return isinstance(image, str | os.PathLike)


def read_image(image: Any, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Returns an image as an array, `(H, W, C)`.

    Args:
        image: path, which is read as uint8 and resized, or an array of that
            shape.
        image_shape: tuple of three int, `(H, W, C)`.

    Raises:
        OSError: the file does not open as an image.
        ValueError: the array has another shape.
        ImportError: Pillow is not installed.
    """
    *size, channels = image_shape
    if not is_path(image):
        if np.shape(image) != image_shape:
            checks.fail("image", f"of shape {image_shape}", np.shape(image))
        return np.asarray(image)
    checks.check_option("image_shape[2]", channels, COLOR_MODES)
    mode = COLOR_MODES[channels]
    try:
        pixels = keras.utils.load_img(
            os.fspath(image), mode, target_size=size, interpolation="bilinear"
        )
        return np.asarray(pixels).reshape(image_shape)
    except ImportError as error:
        raise ImportError(
            "Images from files need Pillow. Install it with "
            '`pip install "keras_s2s[images]"`.'
        ) from error
    # A damaged file makes Pillow raise errors of many kinds.
    except Exception as error:
        rule, cure = "a file that opens as an image", f"{error}."
        checks.fail("image", rule, str(image), cure, OSError)


def try_image(
    image: Any, image_shape: tuple[int, int, int]
) -> np.ndarray | None:
    """As `read_image`, but None where a file does not open."""
    try:
        return read_image(image, image_shape)
    except OSError:
        return None


def warn_of_unread(paths: Sequence[Any], count: int, stacklevel: int) -> None:
    """Names, in one warning, which of `count` images did not open."""
    if not len(paths):
        return
    named = ", ".join(str(path) for path in paths[:MOST_NAMED])
    more = len(paths) - MOST_NAMED
    warnings.warn(
        f"{len(paths)} of {count} images do not open and were skipped: {named}"
        + (f" and {more} more." if more > 0 else "."),
        stacklevel=stacklevel + 1,
    )
