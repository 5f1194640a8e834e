"""Where in an image a model looks."""

import math
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

# Panels side by side.
MOST_COLUMNS = 6


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
    check_count("target_tokens", target_tokens, alignment)
    grid_shape = _find_grid(grid_shape, alignment)
    num_panels = len(target_tokens) + 1
    num_columns = min(num_panels, MOST_COLUMNS)
    num_rows = -(-num_panels // num_columns)
    size = (1.8 * num_columns, 2.0 * num_rows + (title is not None) * 0.4)
    figure = make_figure("plot_attention_over_image", size)
    fonts = find_fonts(set("".join([*target_tokens, title or ""])), font)
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
    save(figure, path)
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
