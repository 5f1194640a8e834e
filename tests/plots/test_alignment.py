import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from matplotlib import font_manager

from keras_s2s.models.hypothesis import Hypothesis
from keras_s2s.plots import plot_alignment
from keras_s2s.plots import plot_text_alignment

SOURCE = ["▁Ein", "▁Mädchen", "▁läuft", "</s>"]
TARGET = ["▁девочка", "▁бежит", "</s>"]
ALIGNMENT = np.array(
    [[0.3, 0.6, 0.1, 0.0], [0.0, 0.1, 0.9, 0.0], [0.0, 0.0, 0.0, 1.0]]
)


def labels(axis):
    return [label.get_text() for label in axis.get_majorticklabels()]


def test_shows_weights_and_tokens():
    figure = plot_alignment(ALIGNMENT, SOURCE, TARGET, title="One sentence")
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), ALIGNMENT)
    assert axes.images[0].get_clim() == (0.0, 1.0)
    assert labels(axes.xaxis) == SOURCE
    assert labels(axes.yaxis) == TARGET
    assert axes.get_title() == "One sentence"
    # The first target token is on top.
    assert axes.yaxis_inverted()


def test_leaves_padding_out():
    padded = np.pad(ALIGNMENT, ((0, 2), (0, 5)))
    image = plot_alignment(padded, SOURCE, TARGET).axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), ALIGNMENT)


def test_takes_tensors():
    tensor = keras.ops.convert_to_tensor(ALIGNMENT)
    image = plot_alignment(tensor, SOURCE, TARGET).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), ALIGNMENT)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_saves_a_picture(suffix, tmp_path):
    path = tmp_path / f"alignment{suffix}"
    plot_alignment(ALIGNMENT, SOURCE, TARGET, path)
    assert path.stat().st_size > 1000


def test_dollars_are_no_mathematics(tmp_path):
    tokens = ["$x^$", "a$", "\\", "$\\frac$"]
    path = tmp_path / "alignment.svg"
    figure = plot_alignment(np.eye(4), tokens, tokens, path, title="$\\frac$")
    assert labels(figure.axes[0].xaxis) == tokens


@pytest.fixture
def shipped_fonts(monkeypatch):
    fonts = font_manager.fontManager.ttflist
    fonts = [font for font in fonts if font.name != "DejaVu Sans"]
    fonts = [font for font in fonts if "matplotlib" in font.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)


def test_missing_characters_are_one_warning(shipped_fonts, tmp_path):
    tokens, path = ["梯子", "猫"], tmp_path / "alignment.png"
    with pytest.warns(UserWarning) as caught:
        plot_alignment(np.eye(2), tokens, ["a", "b"], path)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(
        "No installed font has 子 梯 猫: they are drawn as boxes."
    )
    assert caught[0].filename == __file__


def test_another_font_steps_in(shipped_fonts, tmp_path):
    # DejaVu Sans lacks the second letter, STIXGeneral has it.
    path = tmp_path / "alignment.png"
    figure = plot_alignment(np.eye(2), ["d", "\u1d81"], ["a", "b"], path)
    label = figure.axes[0].get_xticklabels()[0]
    assert label.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]


def test_the_chosen_font_comes_first(tmp_path):
    path = tmp_path / "alignment.png"
    figure = plot_alignment(
        ALIGNMENT, SOURCE, TARGET, path, font="DejaVu Serif"
    )
    label = figure.axes[0].get_yticklabels()[0]
    assert label.get_fontfamily() == ["DejaVu Serif", "DejaVu Sans"]


def test_leaves_pyplot_alone():
    sys.modules.pop("matplotlib.pyplot", None)
    plot_alignment(ALIGNMENT, SOURCE, TARGET)
    assert "matplotlib.pyplot" not in sys.modules


def test_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = r"needs matplotlib.*`pip install \"keras_s2s\[plots\]\"`"
    with pytest.raises(ImportError, match=message):
        plot_alignment(ALIGNMENT, SOURCE, TARGET)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (ALIGNMENT[None], SOURCE, TARGET),
            r"`alignment` must be of shape \(T, S\). Received: "
            r"alignment=\(1, 3, 4\).",
        ),
        (
            (ALIGNMENT.T, SOURCE, TARGET),
            r"`len\(source_tokens\)` must be between 1 and 3, as `alignment` "
            r"is \(4, 3\). Received: len\(source_tokens\)=4.",
        ),
        (
            (ALIGNMENT, SOURCE, []),
            r"`len\(target_tokens\)` must be between 1 and 3, .* "
            r"Received: len\(target_tokens\)=0.",
        ),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_alignment(*arguments)


# Alignment of a text.


def make_text(hypotheses, return_alignments=True):
    """Stands for a `TextToText`."""
    inference = SimpleNamespace(
        name="reader", return_alignments=return_alignments
    )
    return SimpleNamespace(
        inference=inference, n_best=lambda texts: [hypotheses]
    )


def make_hypothesis(tokens, alignment=ALIGNMENT):
    scores = [-1.0] * len(tokens)
    source = ["a", "Rex", "<unk>", ""]
    ids = list(range(len(tokens)))
    return Hypothesis("", -1.0, ids, tokens, scores, source, alignment)


@pytest.mark.parametrize("tokens", [["Rex", ""], ["dog"]])
def test_a_text_is_shown_by_its_tokens(tokens, tmp_path):
    best = make_hypothesis(tokens, ALIGNMENT[: len(tokens)])
    text = make_text([best, make_hypothesis(["no"], ALIGNMENT[::-1][:1])])
    path = tmp_path / "alignment.png"
    axes = plot_text_alignment(text, "a Rex Ada", path, title="It").axes[0]
    assert labels(axes.xaxis) == ["a", "Rex", "<unk>", "end"]
    assert labels(axes.yaxis) == [token or "end" for token in tokens]
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(shown, ALIGNMENT[: len(tokens)])
    assert axes.get_title() == "It" and path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (make_text([], False), "`text.inference` must be a model with return_"),
        (make_text([]), "`source` must be a text, not empty. .* source='a'"),
        (
            make_text([make_hypothesis(["a"], None)]),
            "`text.inference` must be a model whose encoder keeps a position",
        ),
    ],
)
def test_a_text_without_alignments_is_refused(text, rule):
    with pytest.raises(ValueError, match=rule):
        plot_text_alignment(text, "a")
