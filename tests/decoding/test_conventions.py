"""The table of `keras_s2s/decoding/README.md`, by the formulas of others."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch

DOCS = Path(__file__).parents[2] / "keras_s2s" / "decoding" / "README.md"
# Of 7 tokens, the end token included, and -6 nats, as each library does it.
SCORES = {
    "google/seq2seq": -6 / ((5 + 6) / 6) ** 0.6,
    "tfa.seq2seq, as it ends": -6 / ((5 + 6) / 6) ** 0.6,
    "tfa.seq2seq, from the next step on": -6 / ((5 + 7) / 6) ** 0.6,
    "OpenNMT-tf, as it ends": -6 / ((5 + 6 + 1) / 6) ** 0.6,
    "OpenNMT-tf, from the next step on": (
        -6 / ((5 + 7 + 1) / 6) ** 0.6 * (7 / 6) ** 0.6
    ),
    "Joey NMT": -6 / ((5 + 6 + 1) / 6),
    "Sockeye, β = 0, its default": -6 / ((0 + 7) / (0 + 1)),
    "Sockeye, β > 0, here 2": -6 / ((2 + 7) / (2 + 1)),
    "fairseq": -6 / 7,
    "CTranslate2": -6 / 7,
    "transformers": -6 / 6,
}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOCS.read_text("utf-8").splitlines()
    if "`BeamSearch(" in line and line.startswith("|")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_setting_scores_as_a_library_does(row):
    name, _, setting, score = row
    search = eval(setting.strip("`"), {"BeamSearch": BeamSearch})
    found = search.rank(np.array([-6.0], "float32"), [7], np.array([True]))
    np.testing.assert_allclose(found, [SCORES[name]], rtol=1e-6)
    written = float(re.match(r"-\d\.\d{3}", score)[0])
    assert written == round(SCORES[name], 3)


def test_every_library_has_its_row():
    assert [row[0] for row in ROWS] == list(SCORES)


def test_the_example_runs():
    (code,) = re.findall(
        r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL
    )
    names = {}
    exec(compile(code, str(DOCS), "exec"), names)
    assert len(names["search"].constraints) == 2
