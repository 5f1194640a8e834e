"""The tree of a beam search, as a picture."""

import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex

from keras_s2s.decoding import BeamSearch
from keras_s2s.plots import plot_beam
from keras_s2s.tokenizers import WordTokenizer
from tests.models.texts import text_to_text
from tests.models.texts import tokenizer

WORDS = WordTokenizer(["ein", "der", "$hund$", "rennt" * 5])
END, NOTHING = WORDS.eos_id, -np.inf
# Two steps of two beams; then nothing is open. A sentence of padding first.
RESULT = {
    "ids": [[[4, 6, END, 0], [5, END, 0, 0], [0, 0, 0, 0]]],
    "lengths": [[3, 2, 0]],
    "scores": [[-1.5, -2.5, NOTHING]],
    "beam_ids": [[[4, 6, 1, 1], [5, 7, 1, 1]]],
    "beam_parents": [[[0, 0, 1, 1], [0, 0, 1, 1]]],
    "beam_scores": [
        [[-0.5, -1.25, NOTHING, NOTHING], [-1, -2, NOTHING, NOTHING]]
    ],
}
RESULT = {
    name: np.concatenate([np.zeros_like(value), value])
    for name, value in RESULT.items()
}
BLUE, DARK, PALE = (to_hex(one) for one in ("tab:blue", "0.35", "0.75"))


def boxes(figure):
    """Returns label -> (column, row, colour) of all boxes."""
    return {
        text.get_text(): (
            *text.get_position(),
            to_hex(text.get_bbox_patch().get_edgecolor()),
        )
        for text in figure.axes[0].texts
    }


def lines(figure):
    """Returns ((column, row), (column, row), colour) of all lines."""
    return {
        (
            *map(tuple, line.get_xydata().astype(int).tolist()),
            to_hex(line.get_color()),
        )
        for line in figure.axes[0].lines
    }


def test_boxes_and_lines_are_the_tree(tmp_path):
    path = tmp_path / "beam.png"
    figure = plot_beam(RESULT, WORDS, 1, path, title="$x$")
    assert boxes(figure) == {
        "start": (0, 0, BLUE),
        "ein\n-0.50": (1, 0, BLUE),
        "der\n-1.00": (1, 1, DARK),
        "$hund$\n-1.25": (2, 0, BLUE),
        "rennt" * 2 + "ren…\n-2.00": (2, 1, PALE),
        "end 1\n-1.50": (3, 0, BLUE),
        "end 2\n-2.50": (2, 2, DARK),
    }
    assert lines(figure) == {
        ((0, 0), (1, 0), BLUE),
        ((0, 0), (1, 1), DARK),
        ((1, 0), (2, 0), BLUE),
        ((1, 0), (2, 1), PALE),
        ((2, 0), (3, 0), BLUE),
        ((1, 1), (2, 2), DARK),
    }
    assert figure.axes[0].get_title() == "$x$"
    assert path.stat().st_size > 1000


def test_what_never_ended_is_marked_as_open():
    result = {
        "ids": np.array([[[5, 7]]]),
        "lengths": np.array([[2]]),
        "scores": np.array([[-2.0]]),
        "beam_ids": np.array([[[4, 9], [5, 7]]]),
        "beam_parents": np.array([[[0, 0], [0, 1]]]),
        "beam_scores": np.array([[[-0.5, -1.0], [-1.0, -2.0]]]),
    }
    found = boxes(plot_beam(result, WORDS))
    assert found["der\n-1.00"] == (1, 1, BLUE)
    assert found["rennt" * 2 + "ren…\n-2.00"] == (2, 1, BLUE)
    # Of a word that is copied, the tokenizer knows nothing.
    assert found["<9>\n-1.00"] == (2, 0, PALE)
    assert not any(label.startswith("end") for label in found)


def test_groups_may_begin_alike():
    result = {
        "ids": np.array([[[4, 6, END]]]),
        "lengths": np.array([[3]]),
        "scores": np.array([[-2.0]]),
        "beam_ids": np.array([[[4, 5, 0], [4, 6, 0]]]),
        "beam_parents": np.array([[[0, 0, 0], [1, 1, 0]]]),
        "beam_scores": np.array([[[-1, -2, NOTHING]] * 2]),
    }
    blue = [line for line in lines(plot_beam(result, WORDS)) if BLUE in line]
    assert sorted(blue) == [
        ((0, 0), (1, 1), BLUE),
        ((1, 1), (2, 1), BLUE),
        ((2, 1), (3, 0), BLUE),
    ]


def test_what_a_model_searched_is_drawn():
    search = BeamSearch(3, num_hypotheses=3, return_beams=True)
    inference = text_to_text(search=search).inference
    ids = tokenizer().encode(["a dog", "cat", "a"], add_eos=True)
    result = inference.predict(ids, verbose=0)
    assert result["beam_ids"].shape == (3, 3, 8)
    for row in range(3):
        labels = boxes(plot_beam(result, tokenizer(), row)).values()
        assert (0, 0, BLUE) in labels and len(labels) > 3


def test_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"plot_beam needs matplotlib"):
        plot_beam(RESULT, WORDS, 1)


@pytest.mark.parametrize(
    ("result", "row", "message"),
    [
        (
            {"ids": []},
            0,
            "`result` must be of a BeamSearch with return_beams=T",
        ),
        (3, 0, "`result` must be of a BeamSearch with return_beams=True. Rec"),
        (RESULT, 2, "`row` must be below 2, the sentences of `result`. Receiv"),
        (RESULT, -1, "`row` must be an integer >= 0. Received: row=-1"),
        (RESULT, 0, "`result` must be one with a hypothesis in each row show"),
    ],
)
def test_what_is_no_tree_is_refused(result, row, message):
    with pytest.raises(ValueError, match=message):
        plot_beam(result, WORDS, row)
