"""The documentation's code is compiled and run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILER = shutil.which("c++") or shutil.which("g++")


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_cell_declarations_compile(tmp_path: Path) -> None:
    blocks = code_blocks(ROOT / "docs" / "cells.md", "cpp")
    assert len(blocks) == 1
    assert blocks[0].count("constexpr CellInfo ") == 8
    source = tmp_path / "declarations.cpp"
    source.write_text(blocks[0], encoding="utf-8")
    command = [COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wno-missing-field-initializers",
               "-fsyntax-only", f"-I{ROOT / 'cpp'}", str(source)]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
