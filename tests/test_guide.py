"""docs/guide.md is run from top to bottom: what each block prints is what the page says it prints, digit by digit."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from problems import using

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guide.md"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


def blocks(text):
    """(first line, program, what it prints) of every block of Python; nothing where no block of text follows."""
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1)) + 1
        yield line, found.group(1), found.group(2) or ""


def run(line, program, names):
    """What the block prints; errors name the lines of the page."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile("\n" * (line - 1) + program, str(GUIDE), "exec"), names)
    return "".join(f"{text.rstrip()}\n" for text in out.getvalue().splitlines())


@pytest.mark.timeout(3600)  # 10 s with vectors, many minutes on the portable fallback
def test_the_guide_prints_what_it_says():
    names, wrong, count = {}, [], 0
    with using(threads=1):  # the models are small; the digits are those of any number
        for line, program, expected in blocks(GUIDE.read_text(encoding="utf-8")):
            count += 1
            printed = run(line, program, names)
            if printed != expected:
                wrong.append(f"line {line} prints\n{printed}\nand the page says\n{expected}")
    assert not wrong, "\n".join(wrong)
    assert count >= 20
