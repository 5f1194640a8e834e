"""What the pictures share: figures, fonts and files."""

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import BinaryIO
from typing import TypeAlias

import numpy as np

from keras_s2s.checks import fail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Path: TypeAlias = str | os.PathLike[str] | BinaryIO


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


def make_figure(name: str, size: tuple[float, float]) -> "Figure":
    """Returns an empty figure of so many inches, for the function `name`."""
    figure_class, canvas_class = import_matplotlib(name)
    figure = figure_class(figsize=size, layout="constrained")
    canvas_class(figure)
    return figure


def save(figure: "Figure", path: Path | None) -> None:
    """Writes the picture to a file, if a path is given."""
    if path is None:
        return
    with warnings.catch_warnings():
        # One warning has named all of them already.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path, dpi=150)


def check_count(
    name: str, tokens: Sequence[str], alignment: np.ndarray, axis: int = 0
) -> None:
    """Refuses no tokens, or more than an axis of an alignment has places."""
    size = alignment.shape[axis]
    if not 1 <= len(tokens) <= size:
        rule = f"between 1 and {size}, as `alignment` is {alignment.shape}"
        fail(f"len({name})", rule, len(tokens))


def find_fonts(characters: set[str], font: str | None) -> list[str]:
    """Returns the names of fonts that have the characters between them."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.font_manager import findfont
    from matplotlib.font_manager import fontManager

    names = ["DejaVu Sans"] if font is None else [font, "DejaVu Sans"]
    missing = {character for character in characters if character.isprintable()}
    for name in names:
        path = findfont(FontProperties(family=[name]))
        missing -= find_covered(path, missing)
    for entry in fontManager.ttflist:
        is_plain = entry.style == "normal" and entry.weight == 400
        # A last-resort font has a box for every character.
        if missing and is_plain and not entry.name.startswith("Last Resort"):
            found = find_covered(entry.fname, missing)
            missing -= found
            names += [entry.name] if found else []
    if missing:
        warnings.warn(
            f"No installed font has {' '.join(sorted(missing))}: they are "
            "drawn as boxes. Install a font that has them, such as Noto.",
            stacklevel=3,
        )
    return names


def find_covered(path: str, characters: set[str]) -> set[str]:
    """Returns those of the characters that the font of a file has."""
    from matplotlib.font_manager import get_font

    font = get_font(path)
    return {one for one in characters if font.get_char_index(ord(one))}
