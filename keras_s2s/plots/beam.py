"""The tree of a beam search."""

import dataclasses
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_s2s.checks import check_integer
from keras_s2s.checks import fail
from keras_s2s.plots.figure import Path
from keras_s2s.plots.figure import find_fonts
from keras_s2s.plots.figure import make_figure
from keras_s2s.plots.figure import save
from keras_s2s.tokenizers import Tokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of a token; what is longer is cut.
MOST_CHARACTERS = 14
BEST, KEPT, LEFT = "tab:blue", "0.35", "0.75"


@dataclasses.dataclass
class Node:
    """One box: a hypothesis after a step, open or finished.

    Attributes:
        step: int >= 0. Its tokens: the column.
        place: int >= 0. The row.
        parent: int or None. The number of its parent among all nodes.
        label: str.
        number: int or None. Of the returned hypotheses that go through it,
            the best: 0 is the best of all.
        finished: bool.
    """

    step: int
    place: int
    parent: int | None
    label: str
    number: int | None = None
    finished: bool = False

    @property
    def colour(self) -> str:
        """Of the box and of the line from its parent."""
        if self.number is None:
            return LEFT
        return KEPT if self.number else BEST


def plot_beam(
    result: dict[str, Any],
    tokenizer: Tokenizer,
    row: int = 0,
    path: Path | None = None,
    title: str | None = None,
    font: str | None = None,
) -> "Figure":
    """Draws the tree of a beam search: what was open after each step.

    A column is a step, from left to right; in it are the K open hypotheses,
    the best on top, or that of each group, each a box with its last token
    and what ranked it, in nats, and a line from the one that it continues.
    Below them are, as "end", those that finished at this step and came back,
    with their number and their final score. The way to the best is blue, to
    others that came back dark; a pale box led nowhere. Works without a
    display and leaves the state of `matplotlib.pyplot` alone.

    Args:
        result: dict. What `models.InferenceModel` predicts whose search is
            `decoding.BeamSearch(..., return_beams=True)`. With
            `num_hypotheses` of K, all are marked that finished well.
        tokenizer: a tokenizer of `tokenizers`, of the target. A token is
            shown as it decodes alone.
        row: int >= 0. Which sentence. Default: 0.
        path, title, font: as in `plot_alignment`.

    Returns:
        `matplotlib.figure.Figure`, which a notebook shows.

    Raises:
        ValueError: `result` is of another search; there is no such row, or
            nothing was found.
        ImportError: matplotlib is not installed.

    Warns:
        UserWarning: once, if no installed font has some of the characters.

    Example:
        ```python
        search = BeamSearch(4, num_hypotheses=4, return_beams=True)
        inference = InferenceModel(model, search)
        ids = source_tokenizer.encode(["A dog runs."], add_eos=True)
        plot_beam(inference.predict(ids), target_tokenizer, path="beam.png")
        ```
    """
    nodes = _make_nodes(_check_result(result, row), tokenizer)
    longest = max(len(part) for n in nodes for part in n.label.split("\n"))
    num_columns = max(node.step for node in nodes) + 1
    num_rows = max(node.place for node in nodes) + 1
    width = max(0.8, 0.35 + 0.085 * longest)  # inches
    figure = make_figure(
        "plot_beam", (0.4 + width * num_columns, 0.7 + 0.55 * num_rows)
    )
    text = "".join([*(node.label for node in nodes), title or ""])
    fonts = find_fonts(set(text), font)
    axes = figure.add_subplot()
    for node in nodes:
        _draw(axes, node, nodes, fonts)
    axes.set_xlim(-0.55, num_columns - 0.45)
    axes.set_ylim(num_rows - 0.4, -0.6)
    axes.set_xticks(range(num_columns))
    axes.xaxis.tick_top()
    axes.set_xlabel("tokens")
    axes.xaxis.set_label_position("top")
    axes.set_yticks([])
    axes.tick_params(length=0, colors=KEPT)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title is not None:
        axes.set_title(title, family=fonts, parse_math=False)
    save(figure, path)
    return figure


def _check_result(result: Any, row: int) -> dict[str, np.ndarray]:
    """Returns the arrays of one sentence."""
    names = ("ids", "lengths", "scores", "beam_ids", "beam_parents")
    if not isinstance(result, dict) or not {*names} <= result.keys():
        found = list(result) if isinstance(result, dict) else type(result)
        fail("result", "of a BeamSearch with return_beams=True", found)
    check_integer("row", row, 0)
    count = len(result["ids"])
    if row >= count:
        fail("row", f"below {count}, the sentences of `result`", row)
    own = {name: np.asarray(result[name][row]) for name in result}
    if not own["lengths"][0]:
        fail("result", "one with a hypothesis in each row shown", {"row": row})
    return own


def _make_nodes(own: dict[str, np.ndarray], tokenizer: Tokenizer) -> list[Node]:
    """Returns the boxes, each behind its parent, the first the start."""
    nodes, numbers = [Node(0, 0, None, "start", 0)], {}
    for step, beams in enumerate(np.isfinite(own["beam_scores"]).T):
        for beam in np.flatnonzero(beams):
            # All of the first step go on from the start, the only one.
            before = step and (step, own["beam_parents"][beam, step])
            numbers[step + 1, beam] = len(nodes)
            token = _spell(tokenizer, own["beam_ids"][beam, step])
            label = f"{token}\n{own['beam_scores'][beam, step]:.2f}"
            nodes.append(Node(step + 1, beam, numbers.get(before, 0), label))
    places = {}
    for node in nodes:
        places[node.step] = node.place + 1
    # From the last to the best, so that the best stays.
    for n in reversed(np.flatnonzero(own["lengths"])):
        length = own["lengths"][n]
        ids = own["ids"][n, :length].tolist()
        finished = ids[-1] == tokenizer.eos_id
        last = _find(own, numbers, ids[:-1] if finished else ids)
        if finished:
            label = f"end {n + 1}\n{own['scores'][n]:.2f}"
            nodes.append(Node(length, 0, last, label, finished=True))
            last = len(nodes) - 1
        while last is not None:
            nodes[last].number = n
            last = nodes[last].parent
    for node in reversed(nodes):
        if node.finished:
            node.place = places.setdefault(node.step, 0)
            places[node.step] += 1
    return nodes


def _find(own: dict, numbers: dict, ids: list[int]) -> int:
    """Returns the number of the node to which tokens lead."""
    # Beams of two groups may begin alike: all of them are followed.
    ways = {0}
    for step, token in enumerate(ids):
        ways = {
            beam
            for beam in range(len(own["beam_ids"]))
            if (step + 1, beam) in numbers
            and own["beam_ids"][beam, step] == token
            and (step == 0 or own["beam_parents"][beam, step] in ways)
        }
    return numbers[len(ids), min(ways)] if ids else 0


def _spell(tokenizer: Tokenizer, token: int) -> str:
    names = {tokenizer.pad_id: "pad", tokenizer.bos_id: "bos"}
    if token in names or token >= tokenizer.vocabulary_size:
        return f"<{names.get(token, token)}>"
    text = tokenizer.decode([[int(token)]])[0] or "\u2423"  # a space
    if len(text) > MOST_CHARACTERS:
        return text[: MOST_CHARACTERS - 1] + "…"
    return text


def _draw(
    axes: "Axes", node: Node, nodes: list[Node], fonts: list[str]
) -> None:
    """Draws a box, and the line from its parent behind all boxes."""
    width = 2.5 if node.number == 0 else 1.2
    # What matters more lies above the rest.
    above = 0 if node.number is None else 2 if node.number == 0 else 1
    if node.parent is not None:
        parent = nodes[node.parent]
        axes.plot(
            [parent.step, node.step],
            [parent.place, node.place],
            color=node.colour,
            linewidth=width,
            zorder=1 + above,
        )
    axes.text(
        node.step,
        node.place,
        node.label,
        ha="center",
        va="center",
        fontsize=9,
        family=fonts,
        parse_math=False,
        color="black" if above else "0.45",
        zorder=5 + above,
        bbox={
            "boxstyle": "round,pad=0.25",
            "facecolor": "honeydew" if node.finished else "white",
            "edgecolor": node.colour,
            "linewidth": width * 0.7,
        },
    )
