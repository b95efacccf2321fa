"""`python -m latchwork demo [co2|sunspots]`; `--version`, `--include` and `--cmakedir` for builds of C++ programs."""

from __future__ import annotations

import argparse
from pathlib import Path

import latchwork
from latchwork import demo


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m latchwork", description="Recurrent networks trained and run by hand-vectorised CPU kernels"
    )
    package = Path(__file__).parent
    for option, text, what in (
        ("--version", latchwork.__version__, "the version"),
        ("--include", str(package / "include"), "where the C++ headers are"),
        ("--cmakedir", str(package / "lib" / "cmake" / "latchwork"), "where find_package(latchwork) looks"),
    ):
        parser.add_argument(option, action="version", version=text, help=f"print {what}")
    commands = parser.add_subparsers(title="commands", required=True)
    demo.add_arguments(commands.add_parser("demo", help="train an LSTM on a real series and compare it with baselines"))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
