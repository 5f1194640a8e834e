"""Text to ids and back: SentencePiece tokenizers, and text files."""

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Self
from typing import TypeAlias

import keras
import sentencepiece
from keras import ops

from keras_s2s import checks
from keras_s2s.word_tokenizer import WordTokenizer

__all__ = ["SentencePieceTokenizer", "WordTokenizer", "read_lines"]

ASSET = "tokenizer.model"
SPECIAL_IDS = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
MODEL_TYPES = ("unigram", "bpe", "char", "word")
# SentencePiece's names of what `train` sets itself, and the cure.
TAKEN_OPTIONS = {
    "vocab_size": "Pass vocabulary_size.",
    "normalization_rule_name": "Pass normalization.",
    "input": "Pass inputs.",
    "sentence_iterator": "Pass inputs.",
    "model_prefix": "Call save(path) on the result.",
    "model_writer": "Call save(path) on the result.",
    **{name: f"It is always {id_}." for name, id_ in SPECIAL_IDS.items()},
}


def read_lines(path: str | os.PathLike) -> list[str]:
    r"""Reads a UTF-8 text file, plain or gzip, as a list of its lines.

    Lines end at \n or \r\n and nowhere else, so that a parallel corpus
    stays parallel; other Unicode separators stay inside their line. Empty
    lines are kept as "". A byte order mark at the start is dropped.

    Args:
        path: str or path. Gzip is told by the content, not by the name.
    Returns:
        List of str, without line ends.
    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not UTF-8, or gzip and damaged.
    Example:
        ```python
        Path("train.de").write_text("ein hund\n\n", encoding="utf-8")
        assert read_lines("train.de") == ["ein hund", ""]
        ```
    """
    if not os.path.isfile(path):
        checks.fail(
            "path", "an existing file", str(path), error=FileNotFoundError
        )
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            cure = f"It is damaged: {error}."
            checks.fail("path", "a whole gzip file", str(path), cure)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        cure = f"Line {line}: {error.reason}."
        checks.fail("path", "a file of UTF-8 text", str(path), cure)
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


@keras.saving.register_keras_serializable(package="keras_s2s")
class SentencePieceTokenizer(keras.layers.Layer):
    """Turns texts into lists of ids and back, with a SentencePiece model.

    A `keras.layers.Layer` only in order to be saved: Keras stores the assets
    of layers alone. A model that holds a tokenizer as an attribute carries
    it inside its `.keras` file, and needs no other file to be loaded.

    Args:
        model: str, path or bytes. A SentencePiece `.model` file, or what
            such a file holds. It must have pad, bos and eos symbols. None,
            as Keras passes it, makes a tokenizer for `load_assets` to fill.
        **kwargs: `name` and the other options of `keras.layers.Layer`.
    Raises:
        FileNotFoundError: There is no file `model`.
        TypeError: `model` is neither a path nor bytes.
        ValueError: It is no SentencePiece model, or lacks a symbol.
    Example:
        ```python
        texts = ["a dog runs .", "a cat runs ."]
        tokenizer = SentencePieceTokenizer.train(texts, vocabulary_size=17)
        ids = tokenizer.encode(texts, add_eos=True)
        assert tokenizer.decode(ids) == texts
        ```
    Source: Kudo and Richardson, 2018, https://arxiv.org/abs/1808.06226
    """

    def __init__(
        self, model: str | os.PathLike | bytes | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._processor = None if model is None else _load(model)
        self.built = True

    @classmethod
    def train(
        cls,
        inputs: str | os.PathLike | Iterable[str | os.PathLike],
        vocabulary_size: int = 8000,
        model_type: str = "unigram",
        character_coverage: float = 1.0,
        byte_fallback: bool = False,
        user_defined_symbols: Sequence[str] = (),
        normalization: str = "nmt_nfkc",
        **options: Any,
    ) -> Self:
        """Trains a tokenizer; the same inputs always give the same one.

        Args:
            inputs: texts, or text files, plain or gzip: one path, or an
                iterable of str or of paths. Every `pathlib.Path` is a file.
                The first str decides for the others: where it names an
                existing file all are files, else all are texts. A str
                alone is always a file.
            vocabulary_size: int >= 5. Pieces, the four special ones
                included. "char" makes fewer where there are fewer
                characters. Default: 8000.
            model_type: "unigram", "bpe", "char" or "word". Default: "unigram".
            character_coverage: float in [0.98, 1]. Share of the characters
                of `inputs` that get a piece of their own. Default: 1.
            byte_fallback: bool. Spells unknown characters with 256 pieces
                for bytes, so that none is lost. Default: False.
            user_defined_symbols: sequence of str. Never split. Default: ().
            normalization: str. SentencePiece's rule: "nmt_nfkc",
                "nmt_nfkc_cf" (lower-cases), "nfkc", "nfkc_cf" or
                "identity". Default: "nmt_nfkc".
            **options: More options of SentencePiece's trainer by their
                names there, as `split_digits=True`.
        Returns:
            A tokenizer with pad_id 0, unk_id 1, bos_id 2 and eos_id 3.
        Raises:
            TypeError: `inputs` holds what is neither a str nor a path.
            ValueError: An option is out of range, the texts are empty, or
                too few for `vocabulary_size`.
        """
        checks.check_integer("vocabulary_size", vocabulary_size, 5)
        checks.check_option("model_type", model_type, MODEL_TYPES)
        checks.check_number("character_coverage", character_coverage, 0.98, 1.0)
        if isinstance(user_defined_symbols, str):
            rule = "a list of str"
            name = "user_defined_symbols"
            checks.fail(name, rule, user_defined_symbols, error=TypeError)
        for name in TAKEN_OPTIONS.keys() & options.keys():
            checks.fail(name, "left out", options[name], TAKEN_OPTIONS[name])
        settings = {
            "vocab_size": int(vocabulary_size),
            "model_type": model_type,
            "character_coverage": character_coverage,
            "byte_fallback": byte_fallback,
            "normalization_rule_name": normalization,
            "minloglevel": 2,  # errors only; they are raised as well
            **SPECIAL_IDS,
            **options,
        }
        if user_defined_symbols:
            settings["user_defined_symbols"] = list(user_defined_symbols)
        return cls(_train(_read_texts(inputs), settings))

    @property
    def model(self) -> bytes:
        """What a `.model` file of this tokenizer holds."""
        return self._loaded().serialized_model_proto()

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, the special ones included."""
        return self._loaded().vocab_size()

    @property
    def pad_id(self) -> int:
        """The id behind the end of a shorter sequence in a batch."""
        return self._loaded().pad_id()

    @property
    def unk_id(self) -> int:
        """The id of what no piece covers."""
        return self._loaded().unk_id()

    @property
    def bos_id(self) -> int:
        """The id in front of a target."""
        return self._loaded().bos_id()

    @property
    def eos_id(self) -> int:
        """The id of the end token."""
        return self._loaded().eos_id()

    def encode(
        self,
        texts: Sequence[str],
        add_bos: bool = False,
        add_eos: bool = False,
        sampling_alpha: float | None = None,
        seed: int = 0,
    ) -> list[list[int]]:
        """Turns each text into a list of ids.

        Args:
            texts: list of str. An empty one has no ids of its own.
            add_bos: bool. Puts `bos_id` in front. Default: False.
            add_eos: bool. Puts `eos_id` behind. Default: False.
            sampling_alpha: float > 0 or None. Draws one of the ways to cut
                each text, subword regularization: with a unigram model the
                smaller, the more they differ from the best (0.1 and more);
                with bpe the probability of leaving a merge out, at most 1.
                Default: None, the best.
            seed: int >= 0. Of the draws: the same texts and seed give the
                same ids. Default: 0.
        Returns:
            List of lists of int, in the order of `texts`.
        Raises:
            TypeError: `texts` is one str, or holds something else than str.
            ValueError: A text is no valid Unicode; `sampling_alpha` is not
                positive.
        Source: Kudo, 2018, https://arxiv.org/abs/1804.10959; Provilkov et
            al., 2020 (bpe), https://arxiv.org/abs/1910.13267
        """
        processor = self._loaded()
        texts = checks.check_texts("texts", texts)
        options = {"add_bos": add_bos, "add_eos": add_eos}
        if sampling_alpha is not None:
            options.update(_draw(sampling_alpha, seed))
        try:
            return processor.encode(texts, **options)
        except (TypeError, UnicodeError):
            for index, text in enumerate(texts):
                if re.search("[\ud800-\udfff]", text):
                    rule = "Unicode text without lone surrogates"
                    checks.fail(f"texts[{index}]", rule, text)
            raise

    def decode(self, ids: Any) -> list[str]:
        """Turns each row of ids into a text, without pad, bos and eos ids.

        Args:
            ids: list of lists of int, or int array `(B, T)`. Each id in
                [0, vocabulary_size).
        Returns:
            List of str, one a row.
        Raises:
            TypeError: `ids` holds something else than rows of integers.
            ValueError: An id is outside the vocabulary.
        """
        processor = self._loaded()
        if not isinstance(ids, list | tuple):
            ids = ops.convert_to_numpy(ids)
        rows = checks.check_rows(ids, self.vocabulary_size)
        # SentencePiece spells pad, bos and eos as nothing.
        return processor.decode(rows) if rows else []

    def save(self, path: str | os.PathLike) -> None:
        """Writes the `.model` file, which every SentencePiece tool reads."""
        Path(path).write_bytes(self.model)

    def save_assets(self, dir_path: str) -> None:
        """Writes the model into a folder of a `.keras` file, for Keras."""
        self.save(os.path.join(dir_path, ASSET))

    def load_assets(self, dir_path: str | None) -> None:
        """Reads what `save_assets` wrote, for Keras."""
        if dir_path is None:
            rule = "a folder of the `.keras` file with this tokenizer"
            checks.fail("dir_path", rule, dir_path)
        self._processor = _load(os.path.join(dir_path, ASSET))

    def get_config(self) -> dict[str, Any]:
        """The options of the layer; the model itself is an asset."""
        return super().get_config()

    def _loaded(self) -> sentencepiece.SentencePieceProcessor:
        if self._processor is None:
            cure = "Pass a path or bytes to the constructor."
            checks.fail("model", "loaded before use", None, cure)
        return self._processor


def _draw(alpha: float, seed: int) -> dict[str, Any]:
    """Seeds SentencePiece's draws, and returns how to ask for them."""
    checks.check_number(
        "sampling_alpha", alpha, 0.0, open_minimum=True, open_maximum=True
    )
    checks.check_integer("seed", seed, 0)
    # It seeds the generator of each of its threads: one, and all is the same.
    sentencepiece.set_random_generator_seed(seed)
    return {
        "enable_sampling": True,
        "alpha": alpha,
        "nbest_size": -1,
        "num_threads": 1,
    }


Tokenizer: TypeAlias = SentencePieceTokenizer | WordTokenizer


def _load(
    model: str | os.PathLike | bytes,
) -> sentencepiece.SentencePieceProcessor:
    shown = f"{len(model)} bytes" if isinstance(model, bytes) else str(model)
    if not isinstance(model, bytes):
        rule = "the path or the bytes of a SentencePiece model"
        checks.check_instance("model", model, str | os.PathLike, rule)
        if not os.path.isfile(model):
            rule = "an existing file"
            checks.fail("model", rule, shown, error=FileNotFoundError)
        model = Path(model).read_bytes()
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError:
        checks.fail("model", "a SentencePiece model", shown)
    ids = {name: getattr(processor, name)() for name in SPECIAL_IDS}
    if min(ids.values()) < 0:
        cure = (
            "Train it with SentencePieceTokenizer.train, or with spm_train "
            "--pad_id=0 --unk_id=1 --bos_id=2 --eos_id=3."
        )
        checks.fail("model", "one with pad, unk, bos and eos ids", ids, cure)
    return processor


def _read_texts(inputs: Any) -> list[str]:
    if isinstance(inputs, str | os.PathLike):
        return read_lines(inputs)
    items = list(inputs)
    for index, item in enumerate(items):
        rule = "a str or a path"
        checks.check_instance(f"inputs[{index}]", item, str | os.PathLike, rule)
    # The system refuses to look for a name as long as a text can be.
    first = items[0] if items else ""
    short = isinstance(first, str) and len(first) < 256 and "\0" not in first
    files = not isinstance(first, str) or (short and os.path.isfile(first))
    for index, item in enumerate(items):
        is_file = os.path.isfile(item) if files else isinstance(item, str)
        if not is_file:
            kind = "an existing file" if files else "a text"
            checks.fail(f"inputs[{index}]", f"{kind}, as the first is", item)
    if not files:
        return items
    return [line for path in items for line in read_lines(path)]


def _train(texts: list[str], settings: dict[str, Any]) -> bytes:
    writer = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=writer, **settings
        )
    except (RuntimeError, ValueError) as error:
        _explain(str(error), len(texts), settings)
    return writer.getvalue()


def _explain(message: str, num_texts: int, settings: dict[str, Any]) -> None:
    """Raises SentencePiece's error in the words of `train`."""
    size = settings["vocab_size"]
    if match := re.search(r"set it to a value <= (\d+)", message):
        rule = f"<= {match[1]}, all that these texts can fill"
        checks.fail("vocabulary_size", rule, size)
    if match := re.search(r"required_chars\. \d+ vs (\d+)", message):
        rule = f">= {match[1]}, the characters and symbols to cover"
        cure = "Or lower character_coverage."
        checks.fail("vocabulary_size", rule, size, cure)
    if "sentences_.empty()" in message or "all_chars_count" in message:
        rule = "texts with something to learn from"
        cure = (
            "All are empty, or longer than max_sentence_length="
            f"{settings.get('max_sentence_length', 4192)} bytes."
        )
        checks.fail("inputs", rule, f"{num_texts} texts", cure)
    reason = re.sub(r"^[A-Z_]+: (src/\S+ )?", "", message).strip()
    checks.fail("options", "what SentencePiece accepts", settings, reason)
