"""Images in, text out."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s import checks
from keras_s2s import images as image_files
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.minimum_bayes_risk import Utility
from keras_s2s.models.phrases import Phrases
from keras_s2s.models.phrases import Prefixes
from keras_s2s.models.sorted_search import share_out
from keras_s2s.models.to_text import ToText
from keras_s2s.tokenizers import SentencePieceTokenizer


@keras.saving.register_keras_serializable(package="keras_s2s")
class ImageToText(ToText):
    """An inference model of images with its tokenizer, in one `.keras` file.

    Args:
        inference: `InferenceModel`, whose encoder takes images.
        target_tokenizer: `SentencePieceTokenizer`.

    Call arguments:
        images: float or uint8 `(B, H, W, C)`, as for `inference`.

    Returns:
        As `inference`.

    Raises:
        ValueError: the tokenizer has more ids than the model.

    Example:
        ```python
        captioner = ImageToText(inference, target_tokenizer)
        captioner.generate(["dog.jpg", "cat.png"])
        captioner.save("captioner.keras")
        ```
    """

    tokenizer_names = ("target_tokenizer",)

    def __init__(
        self,
        inference: InferenceModel,
        target_tokenizer: SentencePieceTokenizer,
        **kwargs: Any,
    ) -> None:
        tokenizers = {"target_tokenizer": target_tokenizer}
        super().__init__(inference, tokenizers, **kwargs)

    def generate(
        self,
        images: Sequence[Any],
        batch_size: int = 64,
        verbose: int = 0,
        utility: str | Utility | None = None,
        prefixes: Prefixes = None,
        required: Phrases = None,
        forbidden: Phrases = None,
    ) -> list[str]:
        """Returns the best text of each image, in their order.

        Files are read batch by batch, and resized to what the model takes.
        One that does not open gives an empty text; all of those are named
        in one warning.

        Args:
            images: array `(N, H, W, C)`, or list of paths and of arrays
                `(H, W, C)`. Pixels in [0, 255].
            batch_size: int > 0. Images at a time, as sentences of
                `TextToText.generate`. Default: 64.
            verbose: int. 1 shows a progress bar. Default: 0.
            utility: as for `TextToText.generate`. Default: None, the first
                of the N hypotheses is taken.
            prefixes, required, forbidden: as for `TextToText.generate`, one
                entry an image or for all. Default: None.

        Returns:
            List of str.

        Raises:
            FileNotFoundError: there is no such file.
            TypeError: `images` is no list.
            ValueError: an image is none, or of another shape; there is a
                `utility`, and one hypothesis.
            TypeError, ValueError: as `TextToText.generate` of phrases.
        """
        checks.check_positive("batch_size", batch_size)
        image_files.check_images(images)
        self.check_vocabulary("target_tokenizer", self.inference.decoder)
        read = self.make_reader(utility, self._decode)
        asked = prefixes, required, forbidden
        told = self.encode_phrases(len(images), {}, *asked)
        unread = []
        batches = self._make_batches(images, batch_size, unread)
        texts = self.write(len(images), batches, verbose, read, told=told)
        image_files.warn_of_unread(unread, len(images), stacklevel=2)
        return texts

    def _decode(self, result: dict, n: int, places: Sequence[int]) -> list[str]:
        return self.target_tokenizer.decode(result["ids"][:, n])

    def _make_batches(
        self, images: Sequence[Any], batch_size: int, unread: list[Any]
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yields what can be read and where it is; names the rest."""
        batch_size = share_out(self.inference, len(images), batch_size)
        image_shape = tuple(self.inference.encoder.make_input().shape[1:])
        for start in range(0, len(images), batch_size):
            places, pixels = [], []
            for n in range(start, min(start + batch_size, len(images))):
                image = image_files.try_image(images[n], image_shape)
                if image is None:
                    unread.append(images[n])
                else:
                    places.append(n)
                    pixels.append(image)
            if places:
                yield places, np.stack(pixels)
