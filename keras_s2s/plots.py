"""Pictures of what a model attends to."""

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_s2s.checks import fail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_alignment(
    alignment: Any,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    path: str | os.PathLike[str] | None = None,
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
        path: path or None. Where to save the picture; the suffix says in
            which format, such as `.png`, `.pdf` or `.svg`. Default: None.
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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "plot_alignment needs matplotlib. Install it with "
            '`pip install "keras_s2s[plots]"`.'
        ) from error
    alignment = np.asarray(alignment)
    _check_alignment(alignment, source_tokens, target_tokens)
    num_rows, num_columns = len(target_tokens), len(source_tokens)
    alignment = alignment[:num_rows, :num_columns]
    text = "".join([*source_tokens, *target_tokens, title or ""])
    fonts = _find_fonts(set(text), font)
    size = (2.5 + 0.38 * num_columns, 1.5 + 0.38 * num_rows)  # inches
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(alignment, cmap="Blues", vmin=0.0, aspect="equal")
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.8)
    _label_axes(axes, source_tokens, target_tokens, fonts)
    if title is not None:
        axes.set_title(title, family=fonts, parse_math=False)
    if path is not None:
        with warnings.catch_warnings():
            # One warning has named all of them already.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.savefig(path, dpi=150)
    return figure


def _check_alignment(
    alignment: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
) -> None:
    if alignment.ndim != 2:
        fail("alignment", "of shape (T, S)", alignment.shape)
    named = (("target_tokens", target_tokens), ("source_tokens", source_tokens))
    for (name, tokens), size in zip(named, alignment.shape):
        if not 1 <= len(tokens) <= size:
            rule = f"between 1 and {size}, as `alignment` is {alignment.shape}"
            fail(f"len({name})", rule, len(tokens))


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


def _find_fonts(characters: set[str], font: str | None) -> list[str]:
    """Returns the names of fonts that have the characters between them."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.font_manager import findfont
    from matplotlib.font_manager import fontManager

    names = ["DejaVu Sans"] if font is None else [font, "DejaVu Sans"]
    missing = {character for character in characters if character.isprintable()}
    for name in names:
        path = findfont(FontProperties(family=[name]))
        missing -= _covered(path, missing)
    for entry in fontManager.ttflist:
        is_plain = entry.style == "normal" and entry.weight == 400
        # A last-resort font has a box for every character.
        if missing and is_plain and not entry.name.startswith("Last Resort"):
            found = _covered(entry.fname, missing)
            missing -= found
            names += [entry.name] if found else []
    if missing:
        warnings.warn(
            f"No installed font has {' '.join(sorted(missing))}: they are "
            "drawn as boxes. Install a font that has them, such as Noto.",
            stacklevel=3,
        )
    return names


def _covered(path: str, characters: set[str]) -> set[str]:
    from matplotlib.font_manager import get_font

    font = get_font(path)
    return {one for one in characters if font.get_char_index(ord(one))}
