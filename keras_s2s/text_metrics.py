"""Scores of generated texts by name, from the libraries that define them."""

import importlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

from keras_s2s.checks import check_option
from keras_s2s.checks import fail

TextMetric: TypeAlias = Callable[[list[str], list[str]], float]


def _import(module: str, package: str, metrics: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{metrics} need {package}. Install it with "
            '`pip install "keras_s2s[metrics]"`.'
        ) from error


def import_sacrebleu() -> Any:
    """Returns the module `sacrebleu.metrics`, or names the extra it is of."""
    return _import("sacrebleu.metrics", "sacrebleu", "BLEU, chrF and TER")


def _corpus_metric(metric: Any) -> TextMetric:
    def score(hypotheses: list[str], references: list[str]) -> float:
        return metric.corpus_score(hypotheses, [references]).score

    return score


def _bleu(tokenize: str, lowercase: bool) -> TextMetric:
    metrics = import_sacrebleu()
    check_option("tokenize", tokenize, sorted(metrics.BLEU.TOKENIZERS))
    # force: no advice about hypotheses that look tokenized.
    return _corpus_metric(
        metrics.BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    )


def _chrf(tokenize: str, lowercase: bool) -> TextMetric:
    return _corpus_metric(import_sacrebleu().CHRF(lowercase=lowercase))


def _ter(tokenize: str, lowercase: bool) -> TextMetric:
    return _corpus_metric(import_sacrebleu().TER(case_sensitive=not lowercase))


def _error_rate(name: str) -> Callable[[str, bool], TextMetric]:
    def make(tokenize: str, lowercase: bool) -> TextMetric:
        rate = getattr(_import("jiwer", "jiwer", "WER and CER"), name)

        def score(hypotheses: list[str], references: list[str]) -> float:
            texts = [references, hypotheses]
            if lowercase:
                texts = [[text.lower() for text in part] for part in texts]
            return 100.0 * rate(*texts)

        return score

    return make


def _rouge(name: str) -> Callable[[str, bool], TextMetric]:
    def make(tokenize: str, lowercase: bool) -> TextMetric:
        module = _import("rouge_score.rouge_scorer", "rouge-score", "ROUGEs")
        scorer = module.RougeScorer([name])

        def score(hypotheses: list[str], references: list[str]) -> float:
            values = [
                scorer.score(reference, hypothesis)[name].fmeasure
                for hypothesis, reference in zip(hypotheses, references)
            ]
            return 100.0 * sum(values) / len(values)

        return score

    return make


def _exact_match(tokenize: str, lowercase: bool) -> TextMetric:
    def score(hypotheses: list[str], references: list[str]) -> float:
        pairs = list(zip(hypotheses, references))
        if lowercase:
            pairs = [(a.lower(), b.lower()) for a, b in pairs]
        return sum(a == b for a, b in pairs) / len(pairs)

    return score


# The metrics that have a name: (tokenize, lowercase) -> a metric.
METRICS: Mapping[str, Callable[[str, bool], TextMetric]] = {
    "bleu": _bleu,
    "chrf": _chrf,
    "ter": _ter,
    "wer": _error_rate("wer"),
    "cer": _error_rate("cer"),
    "rouge1": _rouge("rouge1"),
    "rouge2": _rouge("rouge2"),
    "rougeL": _rouge("rougeL"),
    "exact_match": _exact_match,
}


def resolve_metrics(
    metrics: Sequence[str | TextMetric], tokenize: str, lowercase: bool
) -> dict[str, TextMetric]:
    """Returns metrics by name, of names and functions.

    Args:
        metrics, tokenize, lowercase: as in `callbacks.GenerationMetrics`.

    Raises:
        ValueError: none; an unknown name or tokenizer; a name twice.
        TypeError: neither a name nor a function with a `__name__`.
        ImportError: a metric needs a package that is not installed.
    """
    if isinstance(metrics, str) or len(metrics) == 0:
        rule = "a sequence of at least one name or function"
        fail("metrics", rule, metrics)
    resolved = {}
    for metric in metrics:
        name = metric
        if callable(metric):
            name = getattr(metric, "__name__", None)
        if not isinstance(name, str):
            rule = "names, or functions with a `__name__`"
            fail("metrics", rule, metric, error=TypeError)
        if not callable(metric):
            check_option("metrics", name, METRICS)
            metric = METRICS[name](tokenize, lowercase)
        if name in resolved:
            fail("metrics", "different names", name)
        resolved[name] = metric
    return resolved
