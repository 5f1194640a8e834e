"""A translator that learns from what another one writes.

Sequence-level knowledge distillation (Kim and Rush, 2016): a teacher
translates the training set by its own beam search, and a student learns its
translations instead of people's. They say the same thing in the same way
each time, which a small model learns better:

    python examples/distill.py --teacher runs/en-de/model.keras --units 128

The teacher is a `model.keras` of `translate.py`, or any `TextToText`; of
one that was trained with `--tokenized`, give `--tokenized` here, too. All
other options are those of `translate.py`, by which the student is trained and
scored. With `--both` it learns from each pair twice, once by either target.

A killed run goes on when the same command is given again: the translations
with the line that they had come to, the training with `--resume`. They are in
the output folder (`runs/student`), as is `data`, the pairs for more students,
by `translate.py --data`. Where a teacher says nothing, the reference stays.

Source: Kim and Rush, 2016, https://aclanthology.org/D16-1139
"""

import argparse
import hashlib
import pathlib
import sys

import keras
import translate  # the example beside this one

import keras_s2s as s2s

CHUNK = 1024  # lines that are translated at once, those of a length together


def parse_options():
    """Returns the options of this example, and those of `translate.py`."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--teacher", type=pathlib.Path, required=True, help="a .keras file")
    add("--teacher-batch-size", type=int, default=64, help="lines")
    add("--both", action="store_true", help="learn from references, too")
    own, others = parser.parse_known_args()
    # Of an option that comes twice, the last counts.
    return own, ["--output", "runs/student", *others]


def translate_lines(teacher, lines, path, batch_size):
    """Translates lines into a file, from the line on that it has come to.

    Args:
        teacher: path. A saved `TextToText`.
        lines: list of str.
        path: path. Holds the translation of a line in each line.
        batch_size: int > 0.

    Returns:
        List of str.
    """
    with open(path, "a+b") as file:
        file.seek(0)
        content = file.read()
        # A kill may have left a part of a line.
        file.truncate(content.rfind(b"\n") + 1)
        done = content.count(b"\n")
        if done < len(lines):
            text = keras.saving.load_model(teacher)
            bar = keras.utils.Progbar(len(lines), unit_name="line")
        for start in range(done, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            answers = text.generate(chunk, batch_size=batch_size)
            answers = [answer.replace("\n", " ") + "\n" for answer in answers]
            file.write("".join(answers).encode("utf-8"))
            file.flush()
            bar.update(start + len(chunk))
    return s2s.data.read_lines(path)


def name_translations(teacher, lines, options):
    """Returns a path that no other teacher or other lines have."""
    content = hashlib.sha256(teacher.read_bytes())
    content.update("\n".join(lines).encode("utf-8"))
    name = f"translations-{content.hexdigest()[:12]}.{options.target}"
    return options.output / name


def write_split(folder, split, pairs, options):
    """Writes a split where `translate.py --data` looks for it."""
    name = f"tok/{split}.lc.norm.tok" if options.tokenized else f"raw/{split}"
    languages = (options.source, options.target)
    for language, lines in zip(languages, pairs):
        path = folder / f"{name}.{language}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def write_data(own, options):
    """Writes what the student learns from.

    Returns:
        Path of the folder, and int: the number of training pairs.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    folder = options.output / "data"
    sources, references = (
        lines[: options.examples]
        for lines in translate.read_split("train", options)
    )
    answers = translate_lines(
        own.teacher,
        sources,
        name_translations(own.teacher, sources, options),
        own.teacher_batch_size,
    )
    targets = [
        answer or reference for answer, reference in zip(answers, references)
    ]
    if own.both:
        sources, targets = 2 * sources, targets + references
    write_split(folder, "train", (sources, targets), options)
    for split in ("val", "test_2016_flickr"):
        pairs = translate.read_split(split, options)
        write_split(folder, split, pairs, options)
    return folder, len(sources)


def main():
    own, others = parse_options()
    sys.argv[1:] = others
    folder, num_pairs = write_data(own, translate.parse_options())
    # The student is as it would be had the teacher not been here.
    keras.utils.clear_session()
    data = ["--data", str(folder), "--examples", str(num_pairs)]
    sys.argv[1:] = [*others, *data]
    translate.main()


if __name__ == "__main__":
    main()
