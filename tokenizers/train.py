"""Trains a SentencePiece model, or makes the byte-level one.

    python tokenizers/train.py --input train.de.gz train.en.gz \
        --vocabulary-size 8000 --output joint.model
    python tokenizers/train.py --bytes --output tokenizers/bytes.model

Needs keras_s2s to be installed (`pip install -e .`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from keras_s2s.tokenizers import MODEL_TYPES
from keras_s2s.tokenizers import SentencePieceTokenizer


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--input",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="UTF-8 text files, plain or gzip, one sentence a line",
    )
    what.add_argument(
        "--bytes",
        action="store_true",
        help="no training: one piece for each byte, for any text",
    )
    parser.add_argument(
        "--output", required=True, type=Path, help="the .model file to write"
    )
    options = parser.add_argument_group("options of --input")
    options.add_argument("--vocabulary-size", type=int, default=8000)
    options.add_argument("--model-type", choices=MODEL_TYPES, default="unigram")
    options.add_argument(
        "--character-coverage",
        type=float,
        default=1.0,
        help="share of the characters that get a piece (default: 1.0)",
    )
    options.add_argument(
        "--byte-fallback",
        action="store_true",
        help="spell unknown characters as bytes",
    )
    options.add_argument(
        "--normalization",
        default="nmt_nfkc",
        help="SentencePiece's rule, as nmt_nfkc_cf or identity",
    )
    options.add_argument(
        "--symbols", nargs="*", default=[], help="pieces never to split"
    )
    return parser.parse_args(arguments)


def make_bytes() -> SentencePieceTokenizer:
    """Makes 4 special pieces, 256 bytes, and the space SentencePiece asks."""
    return SentencePieceTokenizer.train(
        [" "],
        vocabulary_size=4 + 256 + 1,
        byte_fallback=True,
        normalization="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.bytes:
        tokenizer = make_bytes()
    else:
        tokenizer = SentencePieceTokenizer.train(
            options.input,
            vocabulary_size=options.vocabulary_size,
            model_type=options.model_type,
            character_coverage=options.character_coverage,
            byte_fallback=options.byte_fallback,
            user_defined_symbols=options.symbols,
            normalization=options.normalization,
        )
    tokenizer.save(options.output)
    size = options.output.stat().st_size
    print(f"{options.output}: {tokenizer.vocabulary_size} ids, {size} bytes")


if __name__ == "__main__":
    main()
