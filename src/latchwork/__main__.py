"""`python -m latchwork demo [co2|sunspots]` and `python -m latchwork --version`."""

from __future__ import annotations

import argparse

import latchwork
from latchwork import demo


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m latchwork", description="Recurrent networks trained and run by hand-vectorised CPU kernels"
    )
    parser.add_argument("--version", action="version", version=latchwork.__version__)
    commands = parser.add_subparsers(title="commands", required=True)
    demo.add_arguments(commands.add_parser("demo", help="train an LSTM on a real series and compare it with baselines"))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
