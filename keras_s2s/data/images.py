"""Images and their captions to batches."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s2s import checks
from keras_s2s import images as image_files
from keras_s2s.data.pairs import Batch
from keras_s2s.data.pairs import SequencePairs
from keras_s2s.data.sides import check_sides
from keras_s2s.data.sides import map_sides
from keras_s2s.data.text_side import Texts
from keras_s2s.data.text_side import Tokenizers
from keras_s2s.data.text_side import encode_texts
from keras_s2s.data.texts import special_ids


class ImagePairs(SequencePairs):
    """Batches of images and captions, bucketed by the captions' lengths.

    As `SequencePairs`, with "images", `(B, H, W, C)`, in the place of
    "source_ids". Files are read for each batch anew, as uint8, and resized
    without regard to their proportions. Each is opened once at the start:
    those that do not open are named in one warning and left out, with their
    captions, and `unread` lists them. A subclass of a final class, as an
    image is to it a source of one token.

    Args:
        images: array `(N, H, W, C)`, or list of paths and of arrays
            `(H, W, C)`. Pixels in [0, 255]. For several captions an image
            comes several times.
        target_texts: list of str, or a dict of such lists by name. As many
            captions, none empty; in a dict, None is one that is missing.
        target_tokenizer: SentencePieceTokenizer, or a dict of those. For the
            captions; it gives `pad_id`, `bos_id` and `eos_id`.
        image_shape: tuple of three int or None. (H, W, C) of a batch; C is
            1, 3 or 4. Default: None, that of the first array.
        **kwargs: The other options of `SequencePairs`.
    Raises:
        FileNotFoundError: There is no such file.
        TypeError: `images` is no list, or a text no str.
        ValueError: An image is none, or of another shape; none opens; a side
            is longer than the other; or what `SequencePairs` refuses.
    Example:
        ```python
        texts = ["a dog runs .", "a cat runs ."]
        tokenizer = SentencePieceTokenizer.train(texts, vocabulary_size=17)
        images = np.zeros((2, 8, 8, 3), "uint8")
        data = ImagePairs(images, texts, tokenizer)
        inputs, labels, sample_weight = data[0]
        assert inputs["images"].shape == (2, 8, 8, 3)
        ```
    """

    def __init__(
        self,
        images: Sequence[Any],
        target_texts: Texts,
        target_tokenizer: Tokenizers,
        image_shape: tuple[int, int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        ids = special_ids(target_tokenizer, kwargs)
        check_sides("images", images, "target_texts", target_texts)
        image_files.check_images(images)
        if image_shape is None and not image_files.is_path(images[0]):
            image_shape = np.shape(images[0])
        self.image_shape = image_files.check_image_shape(image_shape)
        self.images = images
        self._opened = self._open()
        target_ids = encode_texts(
            "target_texts", target_texts, target_tokenizer, False
        )
        super().__init__(
            [[ids["pad_id"] + 1]] * len(self._opened),
            map_sides(self._choose, "target_texts", target_ids),
            **ids,
            **kwargs,
        )

    def __getitem__(self, index: int) -> Batch:
        inputs, labels, sample_weight = super().__getitem__(index)
        images = [
            image_files.read_image(self.images[row], self.image_shape)
            for row in self.pair_indices(index)
        ]
        inputs = {
            "images": np.stack(images),
            "target_ids": inputs["target_ids"],
        }
        return inputs, labels, sample_weight

    def pair_indices(self, index: int) -> np.ndarray:
        """Returns int64 `(B,)`: where the pairs of a batch were, from 0."""
        return self._opened[super().pair_indices(index)]

    def _choose(self, name: str, rows: list) -> list:
        return [rows[row] for row in self._opened]

    def _open(self) -> np.ndarray:
        """Returns the rows of the images that can be read."""
        opens, rows = {}, []
        for row, image in enumerate(self.images):
            is_file = image_files.is_path(image)
            key = os.fspath(image) if is_file else row
            if key not in opens:
                pixels = image_files.try_image(image, self.image_shape)
                opens[key] = pixels is not None
            if opens[key]:
                rows.append(row)
        self.unread = [key for key, is_open in opens.items() if not is_open]
        if not rows:
            checks.fail("images", "at least one that opens", self.unread)
        image_files.warn_of_unread(self.unread, len(opens), stacklevel=3)
        return np.array(rows)
