"""What a model reads of a source as it writes each token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_s2s.checks import fail
from keras_s2s.plots.figure import Path
from keras_s2s.plots.figure import check_count
from keras_s2s.plots.figure import find_fonts
from keras_s2s.plots.figure import make_figure
from keras_s2s.plots.figure import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_alignment(
    alignment: Any,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    path: Path | None = None,
    title: str | None = None,
    font: str | None = None,
) -> "Figure":
    """Draws how much each target token attends to each source token.

    Rows are target tokens from top to bottom, columns source tokens from left
    to right; darker is more, and the darkest is the largest weight. Rows and
    columns behind the last token are padding and are left out. Works without
    a display and leaves the state of `matplotlib.pyplot` alone.

    Args:
        alignment: float array or tensor `(T, S)`, such as one of
            `"alignments"` of `models.InferenceModel`. May be padded.
        source_tokens: sequence of S str or fewer, at least one.
        target_tokens: sequence of T str or fewer, at least one.
        path: path, file open for bytes, or None. Where to save the picture;
            the suffix says in which format, such as `.png`, `.pdf` or `.svg`;
            a file gets PNG. Default: None.
        title: str or None. Default: None.
        font: str or None. Name of the first font to try. Matplotlib's own
            covers Latin, Cyrillic and Greek letters; what the first lacks,
            such as Chinese, is taken from the fonts that are installed.
            Default: None, matplotlib's own.

    Returns:
        `matplotlib.figure.Figure`, which a notebook shows.

    Raises:
        ValueError: `alignment` is not of rank 2; there are no tokens, or more
            than it has rows or columns.
        ImportError: matplotlib is not installed.

    Warns:
        UserWarning: once, if no installed font has some of the characters.

    Example:

    >>> figure = plot_alignment(np.eye(2), ["guten", "Tag"], ["good", "day"])
    """
    alignment = np.asarray(alignment)
    _check_alignment(alignment, source_tokens, target_tokens)
    num_rows, num_columns = len(target_tokens), len(source_tokens)
    alignment = alignment[:num_rows, :num_columns]
    text = "".join([*source_tokens, *target_tokens, title or ""])
    size = (2.5 + 0.38 * num_columns, 1.5 + 0.38 * num_rows)  # inches
    figure = make_figure("plot_alignment", size)
    fonts = find_fonts(set(text), font)
    axes = figure.add_subplot()
    image = axes.imshow(alignment, cmap="Blues", vmin=0.0, aspect="equal")
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.8)
    _label_axes(axes, source_tokens, target_tokens, fonts)
    if title is not None:
        axes.set_title(title, family=fonts, parse_math=False)
    save(figure, path)
    return figure


def plot_text_alignment(
    text: Any,
    source: str,
    path: Path | None = None,
    title: str | None = None,
    font: str | None = None,
) -> "Figure":
    """Draws what each token that is generated from a text was read from.

    As `plot_alignment`, for the best hypothesis. A token is shown as its
    tokenizer decodes it alone; the end token is named "end".

    Args:
        text: `models.TextToText`, its inference model with
            `return_alignments=True`.
        source: str. What to generate from.
        path, title, font: as in `plot_alignment`.

    Returns:
        `matplotlib.figure.Figure`, which a notebook shows.

    Raises:
        ValueError: the inference model returns no alignments, or its encoder
            makes fewer positions than there are tokens; `source` is empty.
        ImportError: matplotlib is not installed.

    Warns:
        UserWarning: once, if no installed font has some of the characters.

    Example:
        ```python
        plot_text_alignment(text, "A dog runs.", "alignment.png")
        ```
    """
    if not text.inference.return_alignments:
        rule = "a model with return_alignments=True"
        fail("text.inference", rule, text.inference.name)
    (hypotheses,) = text.n_best([source])
    if not hypotheses:
        fail("source", "a text, not empty", source)
    hypothesis = hypotheses[0]
    if hypothesis.alignment is None:
        rule = "a model whose encoder keeps a position for each token"
        fail("text.inference", rule, text.inference.name)
    source_tokens, target_tokens = (
        [token or "end" for token in tokens]
        for tokens in (hypothesis.source_tokens, hypothesis.tokens)
    )
    return plot_alignment(
        hypothesis.alignment,
        source_tokens,
        target_tokens,
        path,
        title,
        font,
    )


def _check_alignment(
    alignment: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
) -> None:
    if alignment.ndim != 2:
        fail("alignment", "of shape (T, S)", alignment.shape)
    check_count("target_tokens", target_tokens, alignment)
    check_count("source_tokens", source_tokens, alignment, axis=1)


def _label_axes(
    axes: "Axes",
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    fonts: list[str],
) -> None:
    # parse_math: what stands between two dollars is no mathematics.
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(len(source_tokens)),
        source_tokens,
        family=fonts,
        parse_math=False,
        rotation=45,
        ha="left",
        rotation_mode="anchor",
    )
    axes.set_yticks(
        range(len(target_tokens)),
        target_tokens,
        family=fonts,
        parse_math=False,
    )
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(1, len(source_tokens)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(target_tokens)) - 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
