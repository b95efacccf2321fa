"""Finds the per-ISA objects of a build, for the tests that look at symbols."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def kernel_objects():
    """The kernels' objects of LATCHWORK_BUILD_DIR, else of the newest folder in build/; empty where there is none."""
    given = os.environ.get("LATCHWORK_BUILD_DIR")
    folders = [Path(given)] if given else sorted(ROOT.glob("build/*/"), key=lambda p: p.stat().st_mtime, reverse=True)
    for folder in folders:
        if found := sorted(folder.glob("cpp/CMakeFiles/latchwork_isa_*.dir/**/*.o")):
            return found
    if given:
        raise FileNotFoundError(f"LATCHWORK_BUILD_DIR {given} holds no kernel objects")
    return []
