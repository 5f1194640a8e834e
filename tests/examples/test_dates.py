import datetime
import sys

import keras
import numpy as np
import pytest

from examples import dates


@pytest.mark.parametrize(
    "day, language, spelling, written",
    [
        (3, "en_GB", "EEEE 'the' {nth} 'of' MMMM, y", "Monday the 3rd of "),
        (3, "en_US", "MMMM {nth}, y", "March 3rd, 2025"),
        (3, "de", "EEEE, 'den' d. MMMM y", "Montag, den 3. März 2025"),
        (3, "de", "d.M.y", "3.3.2025"),
        (3, "fr", "full", "lundi 3 mars 2025"),
        (1, "en_GB", "{nth} MMMM y", "1st March 2025"),
        (2, "en_GB", "{nth} MMMM y", "2nd March 2025"),
        (11, "en_GB", "{nth} MMMM y", "11th March 2025"),
        (12, "en_GB", "{nth} MMMM y", "12th March 2025"),
        (13, "en_GB", "{nth} MMMM y", "13th March 2025"),
        (21, "en_GB", "{nth} MMMM y", "21st March 2025"),
        (30, "en_GB", "{nth} MMMM y", "30th March 2025"),
    ],
)
def test_dates_are_written_out(day, language, spelling, written):
    result = dates.write_out(datetime.date(2025, 3, day), language, spelling)
    assert result.startswith(written)


def test_pairs_are_different_and_unambiguous():
    # make_pairs raises where a spelling can be read as two days.
    random = np.random.default_rng(0)
    days = np.arange(dates.NUM_DAYS)
    sources, targets = dates.make_pairs(days, 3000, random)
    assert len(set(sources)) == len(sources) == len(targets) == 3000
    assert min(targets) >= "1950-01-01" and max(targets) <= "2049-12-31"


def test_an_ambiguous_spelling_is_refused(monkeypatch):
    monkeypatch.setattr(dates, "SPELLINGS", {"en_US": ["MMMM y"]})
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match="can be read as two days"):
        dates.make_pairs(np.arange(31), 10, random)


@pytest.mark.slow
def test_the_example_runs(briefly, monkeypatch, tmp_path, capsys):
    options = ["--examples=60", "--epochs=1", "--units=16"]
    monkeypatch.setattr(
        sys, "argv", ["dates.py", *options, f"--output={tmp_path}"]
    )
    monkeypatch.setattr(dates, "NUM_HELD_OUT", 20)
    dates.main()
    assert "Exact match on 20 held-out dates: " in capsys.readouterr().out
    assert (tmp_path / "dates_alignment.png").stat().st_size > 1000
    text = keras.saving.load_model(tmp_path / "dates.keras")
    assert len(text.generate(["3 March 2025", "3 mars 2025"])) == 2
