"""Pictures of what a model attends to."""

import math
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import BinaryIO
from typing import TypeAlias

import numpy as np

from keras_s2s.checks import fail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Path: TypeAlias = str | os.PathLike[str] | BinaryIO

# Panels side by side.
MOST_COLUMNS = 6


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
    figure = _make_figure("plot_alignment", size)
    fonts = _find_fonts(set(text), font)
    axes = figure.add_subplot()
    image = axes.imshow(alignment, cmap="Blues", vmin=0.0, aspect="equal")
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.8)
    _label_axes(axes, source_tokens, target_tokens, fonts)
    if title is not None:
        axes.set_title(title, family=fonts, parse_math=False)
    _save(figure, path)
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


def plot_attention_over_image(
    image: Any,
    alignment: Any,
    target_tokens: Sequence[str],
    grid_shape: tuple[int, int] | None = None,
    path: Path | None = None,
    title: str | None = None,
    font: str | None = None,
) -> "Figure":
    """Draws where in an image the model looked as it wrote each token.

    One panel a token, after the image itself: what was attended stays as it
    is, the rest is darkened. The brightest cell of each panel is its largest
    weight, which the panel's title states. Between the centres of two cells
    the brightness goes from one to the other. Works without a display and
    leaves the state of `matplotlib.pyplot` alone.

    Args:
        image: array or tensor `(height, width, C)`. Pixels in [0, 255]; C is
            1, 3 or 4.
        alignment: float array or tensor `(T, S)`, such as one of
            `"alignments"` of `models.InferenceModel`. May be padded in T.
        target_tokens: sequence of T str or fewer, at least one.
        grid_shape: tuple of two int, or None. (H, W) of the grid of which
            the S cells are, row by row. Default: None, a square.
        path, title, font: as in `plot_alignment`.

    Returns:
        `matplotlib.figure.Figure`, which a notebook shows.

    Raises:
        ValueError: an array is of another rank; the cells do not fill the
            grid; there are no tokens, or more than rows.
        ImportError: matplotlib is not installed.

    Warns:
        UserWarning: once, if no installed font has some of the characters.

    Example:

    >>> image, alignment = np.zeros((32, 32, 3)), np.eye(2, 16)
    >>> figure = plot_attention_over_image(image, alignment, ["a", "dog"])
    """
    image, alignment = np.asarray(image), np.asarray(alignment)
    if image.ndim != 3:
        fail("image", "of shape (height, width, C)", image.shape)
    if alignment.ndim != 2:
        fail("alignment", "of shape (T, S)", alignment.shape)
    _check_count("target_tokens", target_tokens, alignment)
    grid_shape = _find_grid(grid_shape, alignment)
    num_panels = len(target_tokens) + 1
    num_columns = min(num_panels, MOST_COLUMNS)
    num_rows = -(-num_panels // num_columns)
    size = (1.8 * num_columns, 2.0 * num_rows + (title is not None) * 0.4)
    figure = _make_figure("plot_attention_over_image", size)
    fonts = _find_fonts(set("".join([*target_tokens, title or ""])), font)
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    pixels = np.clip(image / 255, 0, 1)
    for panel in panels:
        panel.axis("off")
    for n, panel in enumerate(panels[:num_panels]):
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        if n > 0:
            weights = alignment[n - 1].reshape(grid_shape)
            label = f"{target_tokens[n - 1]}\n{weights.max():.0%}"
            panel.set_title(label, family=fonts, parse_math=False, fontsize=9)
            _darken(panel, weights, pixels.shape[:2])
    if title is not None:
        figure.suptitle(title, family=fonts, parse_math=False)
    _save(figure, path)
    return figure


def _find_grid(
    grid_shape: tuple[int, int] | None, alignment: np.ndarray
) -> tuple[int, int]:
    cells = alignment.shape[1]
    if grid_shape is None:
        side = math.isqrt(cells)
        if side * side != cells:
            rule = f"given where the {cells} cells are no square"
            fail("grid_shape", rule, None)
        return side, side
    if math.prod(grid_shape) != cells:
        fail("grid_shape", f"that of {cells} cells, (H, W)", grid_shape)
    return grid_shape


def _darken(axes: "Axes", weights: np.ndarray, size: tuple[int, int]) -> None:
    """Lays black over an image, the less the larger the weight."""
    black = np.zeros((*weights.shape, 4))
    black[..., 3] = 0.8 * (1 - weights / max(weights.max(), 1e-9))
    height, width = size
    axes.imshow(
        black,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
    )


def import_matplotlib(name: str) -> tuple[type, type]:
    """Returns `Figure` and its canvas without a display.

    Args:
        name: str. What needs them, and says so where they are missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"{name} needs matplotlib. Install it with "
            '`pip install "keras_s2s[plots]"`.'
        ) from error
    return Figure, FigureCanvasAgg


def _make_figure(name: str, size: tuple[float, float]) -> "Figure":
    """Returns an empty figure of so many inches, for the function `name`."""
    figure_class, canvas_class = import_matplotlib(name)
    figure = figure_class(figsize=size, layout="constrained")
    canvas_class(figure)
    return figure


def _save(figure: "Figure", path: Path | None) -> None:
    if path is None:
        return
    with warnings.catch_warnings():
        # One warning has named all of them already.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path, dpi=150)


def _check_alignment(
    alignment: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
) -> None:
    if alignment.ndim != 2:
        fail("alignment", "of shape (T, S)", alignment.shape)
    _check_count("target_tokens", target_tokens, alignment)
    _check_count("source_tokens", source_tokens, alignment, axis=1)


def _check_count(
    name: str, tokens: Sequence[str], alignment: np.ndarray, axis: int = 0
) -> None:
    size = alignment.shape[axis]
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
