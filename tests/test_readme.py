"""The documents tell the truth: README's code runs, docstrings' examples give what they say, links lead somewhere."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import latchwork as lw

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
MODULES = sorted(m.name for m in pkgutil.walk_packages(lw.__path__, "latchwork.") if "__main__" not in m.name)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_twenty_lines_forecast_well(capsys):
    """The program of the README, not only its syntax: persistence is off by 3.2 ppm on these windows."""
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    assert float(re.search(r"RMSE.*: ([\d.]+) ppm", capsys.readouterr().out).group(1)) < 2


def test_functions_below_the_layers():
    names = {}
    exec(compile(blocks("python")[1], "README.md", "exec"), names)
    assert names["y"].shape == (8, 100, 32)
    assert names["gradients"].kernel.shape == (16, 128)


def test_the_two_commands():
    """.ci/run takes them from here by their beginning and runs them as printed."""
    commands = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert "latchwork demo" in commands[0]
    assert "pytest" in commands[1]


def test_the_chinese_readme_says_the_same():
    """Commands, programs and every row of the benchmark, letter by letter; every figure of the sentences around it."""
    ours, theirs = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    for pattern in (r"```\w+\n.*?```", r"^\| (?:LSTM|GRU|RNN) \|.*", r"^`pip install .*?`"):
        found = [re.findall(pattern, text, re.DOTALL if "```" in pattern else re.MULTILINE) for text in (ours, theirs)]
        assert found[0]
        assert found[0] == found[1]
    figures = [sorted(re.findall(r"\d+(?:\.\d+)?", text)) for text in (ours, theirs)]
    assert figures[0] == figures[1]
    links = [sorted(set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.zh.md"}) for text in (ours, theirs)]
    assert links[0] == links[1]
    assert "](README.zh.md)" in ours
    assert "](README.md)" in theirs


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if not re.match(r"https?:|mailto:", target):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert not failures


def test_functional_is_documented_by_example():
    for name in ("lstm", "gru", "rnn", "dense"):
        assert ">>>" in getattr(lw.functional, name).__doc__, name
