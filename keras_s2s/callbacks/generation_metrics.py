"""Scores of what is generated while `fit` runs."""

import io
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s.callbacks.event_file import EventFile
from keras_s2s.checks import check_integer
from keras_s2s.checks import check_option
from keras_s2s.checks import check_positive
from keras_s2s.checks import fail
from keras_s2s.plots import plot_text_alignment
from keras_s2s.plots.figure import import_matplotlib
from keras_s2s.text_metrics import TextMetric
from keras_s2s.text_metrics import resolve_metrics

# What Markdown would not show as it stands in a cell of a table.
MARKDOWN = "\\`*_[]<>&|~"


class GenerationMetrics(keras.callbacks.Callback):
    """Generates from validation texts and puts the scores into the logs.

    Put it before the callbacks that are to see the scores: Keras hands one
    dict of logs to all callbacks, in the order of the list. The history and
    the progress bar come last and always see them. Keras cannot know which
    way a score improves, so give `mode`: `"max"`, or `"min"` for error rates.

    The texts are generated after the first epoch, after every
    `every_epochs`-th from there and after the last that `fit` was asked for.
    In between the last scores stay in the logs, so that CSVLogger has its
    columns and EarlyStopping its monitor; `patience` counts epochs.

    Args:
        text_to_text: object with `generate(texts, batch_size=...)` from a
            list of str to as many str, such as `models.TextToText`. It has to
            share its weights with the model that is trained.
        source_texts: sequence of str. What to generate from.
        reference_texts: sequence of str, as long. What is expected.
        metrics: sequence of names and functions. Names: `"bleu"`, 0 to 100;
            `"chrf"` (chrF2), 0 to 100; `"ter"`, percent, from 0, lower is
            better; all three over the whole corpus by sacreBLEU; `"wer"` and
            `"cer"`, word and character error rate by jiwer, likewise;
            `"rouge1"`, `"rouge2"` and `"rougeL"`, mean F1, 0 to 100, by
            rouge-score, which reads letters a to z and digits, without case;
            `"exact_match"`, the share of equal texts, 0 to 1. A function
            takes the list of hypotheses and the list of references, returns
            a number, and is logged under its `__name__`.
            Default: `("bleu",)`.
        every_epochs: int > 0. Default: 1.
        every_steps: int > 0 or None. Generate after so many training batches,
            too; the logs of those batches then have the scores.
            Default: None.
        sample_size: int > 0 or None. Take this many pairs, the same each
            time, spread evenly over the texts. Default: None, all.
        num_examples: int >= 0. How many pairs to print. Default: 3.
        batch_size: int > 0. Texts per call of `generate`. Default: 64.
        tokenize: str. How BLEU splits words: a tokenizer of sacreBLEU, such
            as `"13a"`, `"intl"`, `"zh"`, `"char"` or `"none"`.
            Default: `"13a"`.
        lowercase: bool. Whether all the named metrics ignore case.
            Default: False.
        prefix: str. Stands before the names in the logs. Default: `"val_"`.
        verbose: int. 0: print nothing; 1: a progress bar, the scores and the
            examples; 2: no bar. Default: 1.
        log_dir: str, path or None. Folder for TensorBoard, which need not be
            installed: the `num_examples` pairs and what is generated from
            them, as texts, each time; a step is an epoch, as of
            `keras.callbacks.TensorBoard`, or, with `every_steps`, an update
            of the weights. Default: None.
        num_pictures: int >= 0. Of how many of these examples, in `log_dir`, a
            picture of the alignment, by `plots.plot_text_alignment`; not of
            empty sources. Default: 0.

    Raises:
        ValueError: no texts; not as many references as sources; an empty
            reference of an error rate; an unknown metric or tokenizer; a
            metric given twice; `generate` returns another number of texts;
            pictures without a `log_dir`, of more than the examples, or
            `text_to_text` is no `TextToText` with `return_alignments=True`.
        TypeError: `text_to_text` has no `generate`; a text is no str; a
            metric is neither a name nor a function with a `__name__`.
        ImportError: a metric, or a picture, needs a package that is not
            installed.

    Example:

    >>> class Copy:
    ...     def generate(self, texts, batch_size=64):
    ...         return texts
    >>> callback = GenerationMetrics(
    ...     Copy(), ["a b c d"], ["a b c d"], metrics=["bleu"], verbose=0
    ... )
    >>> logs = {"loss": 2.0}
    >>> callback.on_epoch_end(0, logs)
    >>> round(logs["val_bleu"], 1)
    100.0

    Source: Post, 2018, https://arxiv.org/abs/1804.08771
    """

    def __init__(
        self,
        text_to_text: Any,
        source_texts: Sequence[str],
        reference_texts: Sequence[str],
        metrics: Sequence[str | TextMetric] = ("bleu",),
        every_epochs: int = 1,
        every_steps: int | None = None,
        sample_size: int | None = None,
        num_examples: int = 3,
        batch_size: int = 64,
        tokenize: str = "13a",
        lowercase: bool = False,
        prefix: str = "val_",
        verbose: int = 1,
        log_dir: str | os.PathLike | None = None,
        num_pictures: int = 0,
    ) -> None:
        super().__init__()
        if not callable(getattr(text_to_text, "generate", None)):
            rule = "an object with a method `generate`"
            fail("text_to_text", rule, text_to_text, error=TypeError)
        check_positive("every_epochs", every_epochs)
        for name, value in [
            ("every_steps", every_steps),
            ("sample_size", sample_size),
        ]:
            if value is not None:
                check_positive(name, value)
        check_integer("num_examples", num_examples, 0)
        check_positive("batch_size", batch_size)
        check_option("verbose", verbose, (0, 1, 2))
        _check_texts("source_texts", source_texts)
        _check_texts("reference_texts", reference_texts)
        if len(source_texts) != len(reference_texts):
            rule = f"as many as the {len(source_texts)} source texts"
            fail("len(reference_texts)", rule, len(reference_texts))
        most = 0 if log_dir is None else num_examples
        _check_pictures(num_pictures, most, text_to_text)
        self.text_to_text = text_to_text
        self.source_texts = source_texts
        self.reference_texts = reference_texts
        self.metrics = resolve_metrics(metrics, tokenize, lowercase)
        if not {"wer", "cer"}.isdisjoint(self.metrics):
            for index, text in enumerate(reference_texts):
                if not text.strip():
                    rule = "not empty for an error rate, which divides by it"
                    fail(f"reference_texts[{index}]", rule, text)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.sample_size = sample_size
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.tokenize = tokenize
        self.lowercase = lowercase
        self.prefix = prefix
        self.verbose = verbose
        self.log_dir = log_dir
        self.num_pictures = num_pictures
        self._file = None
        self._first_epoch = None
        self._num_steps = 0
        self._scores = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._first_epoch = None
        self._num_steps = 0

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        self._num_steps += 1
        if self.every_steps and self._num_steps % self.every_steps == 0:
            # Between epochs Keras holds the weights elsewhere on JAX.
            getattr(self.model, "jax_state_sync", lambda: None)()
            self._score(None)
            if logs is not None:
                logs.update(self._scores)

    def on_epoch_end(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._first_epoch is None:
            self._first_epoch = epoch
        is_due = (epoch - self._first_epoch) % self.every_epochs == 0
        if is_due or epoch + 1 == (self.params or {}).get("epochs"):
            self._score(epoch)
        if logs is not None:
            logs.update(self._scores)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def evaluate(self) -> dict[str, float]:
        """Generates now. Returns the scores under their names in the logs."""
        scores, _ = self._evaluate()
        return scores

    def _score(self, epoch: int | None) -> None:
        self._scores, examples = self._evaluate()
        if self.log_dir is not None:
            step = epoch
            if self.every_steps:
                step = int(self.model.optimizer.iterations)
            self._write(examples, step)

    def _evaluate(self) -> tuple[dict[str, float], list[tuple]]:
        """Returns the scores, and of some pairs all three texts."""
        indices = np.arange(len(self.source_texts))
        if self.sample_size is not None and self.sample_size < len(indices):
            indices = indices * len(indices) // self.sample_size
            indices = indices[: self.sample_size]
        sources = [self.source_texts[index] for index in indices]
        references = [self.reference_texts[index] for index in indices]
        hypotheses = self._generate(sources)
        scores = {
            self.prefix + name: float(metric(hypotheses, references))
            for name, metric in self.metrics.items()
        }
        examples = list(zip(sources, references, hypotheses))
        examples = examples[: self.num_examples]
        if self.verbose:
            self._print(scores, examples)
        return scores, examples

    def _generate(self, sources: list[str]) -> list[str]:
        # Texts of a length together: a batch is as slow as its longest text.
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        progress = None
        if self.verbose == 1:
            # Keras leaves the line of its own bar open until later.
            print()
            progress = keras.utils.Progbar(len(sources), unit_name="text")
        hypotheses = [""] * len(sources)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            texts = self.text_to_text.generate(
                [sources[index] for index in chosen],
                batch_size=self.batch_size,
            )
            if len(texts) != len(chosen):
                rule = f"a list of {len(chosen)} texts"
                fail("text_to_text.generate", rule, texts)
            for index, text in zip(chosen, texts):
                hypotheses[index] = text
            if progress is not None:
                progress.update(start + len(chosen))
        return hypotheses

    def _print(
        self, scores: dict[str, float], examples: list[tuple[str, str, str]]
    ) -> None:
        lines = [" - ".join(f"{name}: {s:.4f}" for name, s in scores.items())]
        for source, reference, hypothesis in examples:
            lines += [
                f"  source:     {source}",
                f"  reference:  {reference}",
                f"  hypothesis: {hypothesis}",
                "",
            ]
        print("\n".join(lines).rstrip())

    def _write(self, examples: list[tuple], step: int) -> None:
        if self._file is None:
            self._file = EventFile(self.log_dir)
        for number, texts in enumerate(examples):
            tag = f"{self.prefix}example_{number}"
            self._file.write_text(tag, _tabulate(texts), step)
            if number < self.num_pictures and texts[0].strip():
                png = io.BytesIO()
                plot_text_alignment(self.text_to_text, texts[0], png)
                tag = f"{self.prefix}alignment_{number}"
                self._file.write_picture(tag, png.getvalue(), step)


def _tabulate(texts: tuple[str, str, str]) -> str:
    """Returns a table in Markdown in which the texts stand as they are."""
    lines = ["| | |", "|---|---|"]
    for name, text in zip(("source", "reference", "hypothesis"), texts):
        letters = [
            f"&#{ord(letter)};" if letter in MARKDOWN else letter
            for letter in " ".join(text.split())
        ]
        lines.append(f"| {name} | {''.join(letters)} |")
    return "\n".join(lines)


def _check_pictures(num_pictures: int, most: int, text_to_text: Any) -> None:
    check_integer("num_pictures", num_pictures, 0)
    if num_pictures > most:
        rule = f"at most {most}, the examples that go to `log_dir`"
        fail("num_pictures", rule, num_pictures)
    if not num_pictures:
        return
    inference = getattr(text_to_text, "inference", None)
    has_alignments = getattr(inference, "return_alignments", False)
    if not has_alignments or not hasattr(text_to_text, "n_best"):
        rule = "0 without a `TextToText` that has return_alignments=True"
        fail("num_pictures", rule, num_pictures)
    import_matplotlib("GenerationMetrics")


def _check_texts(name: str, texts: Sequence[str]) -> None:
    if isinstance(texts, str) or len(texts) == 0:
        fail(name, "a sequence of at least one text", texts)
    for text in texts:
        if not isinstance(text, str):
            fail(name, "a sequence of str", text, error=TypeError)
