"""Whether a model exported to CTranslate2 translates as it does here.

    python tests/benchmarks/ctranslate2_agreement.py model.keras source.txt

Exports a `TextToText` with Transformers to a temporary folder, translates
each line of a text file with both, greedily and with beam search, and prints
the share of equal hypotheses and the differences of their scores, which are
log-probabilities in nats. `--float32` loads a model that was trained in mixed
precision in float32, as CTranslate2 computes.
"""

import argparse
import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def load_in_float32(path):
    """Loads a `.keras` file, layers in mixed precision in float32."""
    import keras

    with tempfile.TemporaryDirectory() as parent:
        copy = Path(parent) / "model.keras"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json":
                    content = re.sub(
                        rb'"mixed_b?float16"', b'"float32"', content
                    )
                new.writestr(name, content)
        return keras.saving.load_model(copy, compile=False)


def translate_here(text, rows, search, options):
    """Returns tokens and scores, as `translate_there`."""
    import keras_s2s as s2s
    from keras_s2s.data import pad_rows

    inference = text.inference
    model = s2s.models.InferenceModel(
        s2s.models.Seq2Seq(inference.encoder, inference.decoder),
        search,
        options.max_length,
        inference.bos_id,
        inference.eos_id,
        inference.pad_id,
    )
    results = [None] * len(rows)
    # By length, so that little is padding.
    order = sorted(range(len(rows)), key=lambda n: -len(rows[n]))
    for start in range(0, len(rows), options.batch_size):
        chosen = order[start : start + options.batch_size]
        ids = [[*rows[n], text.source_tokenizer.eos_id] for n in chosen]
        found = model.predict_on_batch(pad_rows(ids, inference.pad_id, 8))
        for n, ids, length, score in zip(
            chosen,
            found["ids"][:, 0].tolist(),
            found["lengths"][:, 0],
            found["scores"][:, 0],
        ):
            ids = ids[:length]
            if ids[-1] == inference.eos_id:
                ids.pop()
            results[n] = ids, float(score)
    return results


def translate_there(translator, pieces, target, beam_size, options):
    """Returns ids without the end token, and the score, of each source."""
    found = translator.translate_batch(
        pieces,
        beam_size=beam_size,
        length_penalty=0,
        min_decoding_length=0,
        max_decoding_length=options.max_length,
        max_input_length=0,
        max_batch_size=options.batch_size,
        return_scores=True,
    )
    return [
        ([target.piece_to_id(piece) for piece in one.hypotheses[0]], score)
        for one in found
        for score in one.scores
    ]


def compare(name, here, there):
    """Prints one line, and returns the share of equal hypotheses."""
    equal = np.array([one[0] == other[0] for one, other in zip(here, there)])
    gaps = np.array([abs(one[1] - other[1]) for one, other in zip(here, there)])
    share = np.mean(equal)
    print(
        f"{name:8} equal hypotheses {share:8.2%} of {len(equal)}, largest "
        f"difference of scores {gaps.max(initial=0):.1e} nats, where equal "
        f"{gaps[equal].max(initial=0):.1e}"
    )
    return share


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", help="a .keras file of a TextToText")
    parser.add_argument("sources", help="a text file, plain or .gz")
    parser.add_argument("--limit", type=int, help="first lines only")
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--quantization", help="as to_ctranslate2 takes it")
    parser.add_argument(
        "--float32", action="store_true", help="load mixed precision in float32"
    )
    options = parser.parse_args(arguments)

    import ctranslate2
    import keras
    import sentencepiece

    import keras_s2s as s2s

    if options.float32:
        text = load_in_float32(options.model)
    else:
        text = keras.saving.load_model(options.model, compile=False)
    lines = s2s.data.read_lines(options.sources)[: options.limit]
    lines = [line for line in lines if line.strip()]
    rows = text.source_tokenizer.encode(lines)
    searches = {
        "greedy": (s2s.decoding.GreedySearch(), 1),
        f"beam {options.beam_size}": (
            s2s.decoding.BeamSearch(options.beam_size),
            options.beam_size,
        ),
    }
    shares = []
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "model"
        s2s.export.to_ctranslate2(
            text, folder, quantization=options.quantization
        )
        source, target = (
            sentencepiece.SentencePieceProcessor(str(folder / f"{name}.spm"))
            for name in ("source", "target")
        )
        pieces = source.encode(lines, out_type=str)
        translator = ctranslate2.Translator(str(folder), device="cpu")
        for name, (search, beam_size) in searches.items():
            here = translate_here(text, rows, search, options)
            there = translate_there(
                translator, pieces, target, beam_size, options
            )
            shares.append(compare(name, here, there))
    return shares


if __name__ == "__main__":
    main()
