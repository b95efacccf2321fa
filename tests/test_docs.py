"""The documentation's code is compiled and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import types
from pathlib import Path

import pytest

import latchwork as lw

ROOT = Path(__file__).resolve().parents[1]
COMPILER = shutil.which("c++") or shutil.which("g++")


def syntax_of(source: Path, *folders: str) -> None:
    """Compiles a program without making anything of it; warnings are errors."""
    includes = [f"-I{ROOT / folder}" for folder in folders]
    command = [COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wno-missing-field-initializers",
               "-fsyntax-only", *includes, str(source)]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_cell_declarations_compile(tmp_path: Path) -> None:
    blocks = code_blocks(ROOT / "docs" / "cells.md", "cpp")
    assert len(blocks) == 1
    assert blocks[0].count("constexpr CellInfo ") == 8
    source = tmp_path / "declarations.cpp"
    source.write_text(blocks[0], encoding="utf-8")
    syntax_of(source, "cpp")


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_programs_of_the_cpp_page_compile(tmp_path: Path) -> None:
    programs = code_blocks(ROOT / "docs" / "cpp.md", "cpp")
    assert len(programs) == 5
    for i, program in enumerate(programs):
        source = tmp_path / f"program_{i}.cpp"
        source.write_text(program, encoding="utf-8")
        syntax_of(source, "include")


def declared(header: Path) -> set[str]:
    """The names a public header declares beside members: free functions, and types that it does not merely forward."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/|extern template[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.S)
    names = re.findall(r"^(?:class|struct|using) (\w+)(?: final)?\s*(?::|\{|=)", text, re.M)
    names += re.findall(r"^typedef \w+ \w+ (\w+);|^\} (\w+);", text, re.M)
    names += re.findall(r"^\w[\w:<>&* ]*?[ *](\w+)\([^;{]*\);", text, re.M)
    return {"".join(name) if isinstance(name, tuple) else name for name in names}


def test_the_cpp_page_has_the_names_of_the_headers() -> None:
    page, header, listed = (ROOT / "docs" / "cpp.md").read_text(encoding="utf-8"), "", {}
    for first, names in re.findall(r"^\| (?:`(\w+\.h)`)? ?\| (`[^|]*) \|", page, re.M):
        header = first or header
        listed.setdefault(header, set()).update(re.findall(r"`(\w+)`", names))
    headers = {path.name: declared(path) for path in (ROOT / "include" / "latchwork").glob("*.h")}
    assert listed == {name: names for name, names in headers.items() if names}


def test_every_public_module_is_in_the_reference() -> None:
    index = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8").splitlines()
    for name in [*(n for n in lw.__all__ if isinstance(getattr(lw, n), types.ModuleType)), "latchwork"]:
        assert name in index
        assert (ROOT / "docs" / "reference" / f"{name}.rst").exists()


PAGES = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    """`tests/test_x.py::test_y` or `tests/x`: a promise without its test would be found here."""
    for path, function in re.findall(r"`((?:tests|examples|benchmarks)/[\w./]+)(?:::(\w+))?`", page.read_text("utf-8")):
        assert (ROOT / path).exists(), path
        if function:
            assert f"def {function}(" in (ROOT / path).read_text("utf-8"), f"{path}::{function}"
