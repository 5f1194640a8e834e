"""What scores texts: sacreBLEU, which is optional."""

from typing import Any


def import_sacrebleu() -> Any:
    """Returns the module `sacrebleu.metrics`.

    Raises:
        ImportError: it is not installed; names the extra that has it.
    """
    try:
        import sacrebleu.metrics
    except ImportError as error:
        raise ImportError(
            "BLEU, chrF and TER need sacrebleu. Install it with "
            '`pip install "keras_s2s[metrics]"`.'
        ) from error
    return sacrebleu.metrics
