import re
from pathlib import Path

import keras
import pytest

README = Path(__file__).parents[2] / "README.md"


def code_blocks(language):
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_quick_start_learns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    quick_start, phrases = code_blocks("python")
    names = {}
    exec(compile(quick_start, str(README), "exec"), names)
    assert "['der hund rennt', 'ein vogel rennt']" in capsys.readouterr().out
    exec(compile(phrases, str(README), "exec"), names)
    assert "['ein hund rennt', 'der vogel rennt']" in capsys.readouterr().out


def test_the_links_lead_somewhere():
    links = re.findall(r"\]\(([^):]+)\)", README.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_continuous_integration_runs_the_test_command_of_the_readme():
    (commands,) = code_blocks("shell")
    script = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert 'pip install ".[test]" && python -m pytest\n' in commands
    assert re.search(r'pip install .*"\.\[test\]"\n', script)
    assert "python -m pytest" in script
