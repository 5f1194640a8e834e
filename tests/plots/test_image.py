import sys

import keras
import numpy as np
import pytest

from keras_s2s.plots import plot_attention_over_image

PIXELS = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
# Of a grid of 2 x 3 cells.
OVER = np.array([[0.5, 0.25, 0.25, 0, 0, 0], [0, 0, 0, 0, 0, 1.0]])


def test_each_token_has_a_panel():
    figure = plot_attention_over_image(
        PIXELS, np.pad(OVER, ((0, 3), (0, 0))), ["a", "$dog$"], (2, 3)
    )
    image, *panels = figure.axes
    assert len(panels) == 2
    assert [panel.get_title() for panel in panels] == ["a\n50%", "$dog$\n100%"]
    np.testing.assert_allclose(image.images[0].get_array(), PIXELS / 255)
    assert len(image.images) == 1
    for panel, weights in zip(panels, OVER):
        picture, shade = panel.images
        np.testing.assert_allclose(picture.get_array(), PIXELS / 255)
        # From the upper left corner of the picture to the lower right.
        assert shade.get_extent() == [-0.5, 5.5, 3.5, -0.5]
        black = shade.get_array()
        assert black.shape == (2, 3, 4) and not np.any(black[..., :3])
        light = 1 - black[..., 3].ravel() / 0.8
        np.testing.assert_allclose(light, weights / weights.max())


def test_a_square_grid_needs_no_shape(tmp_path):
    path = tmp_path / "attention.png"
    tokens = [str(n) for n in range(7)]
    tensor = keras.ops.convert_to_tensor(np.full((7, 4), 0.25))
    figure = plot_attention_over_image(
        PIXELS[..., :1], tensor, tokens, path=path, title="One image"
    )
    assert path.stat().st_size > 1000
    assert figure.get_suptitle() == "One image"
    # Two rows of at most six panels; what is left over stays empty.
    assert [len(axes.images) for axes in figure.axes] == [1] + [2] * 7 + [0] * 4


def test_attention_over_an_image_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = r"plot_attention_over_image needs matplotlib.*\[plots\]"
    with pytest.raises(ImportError, match=message):
        plot_attention_over_image(PIXELS, OVER, ["a"], (2, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (PIXELS[0], OVER, ["a"]),
            r"`image` must be of shape \(height, width, C\). Received: "
            r"image=\(6, 3\).",
        ),
        ((PIXELS, OVER[0], ["a"]), r"`alignment` must be of shape \(T, S\)"),
        (
            (PIXELS, OVER, ["a"]),
            "`grid_shape` must be given where the 6 cells are no square. "
            "Received: grid_shape=None.",
        ),
        (
            (PIXELS, OVER, ["a"], (2, 2)),
            r"`grid_shape` must be that of 6 cells, \(H, W\). Received: "
            r"grid_shape=\(2, 2\).",
        ),
        (
            (PIXELS, OVER, ["a", "b", "c"], (2, 3)),
            r"`len\(target_tokens\)` must be between 1 and 2, as `alignment` "
            r"is \(2, 6\). Received: len\(target_tokens\)=3.",
        ),
    ],
)
def test_what_is_no_attention_over_an_image_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_attention_over_image(*arguments)
