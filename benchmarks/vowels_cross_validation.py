"""A better recipe for examples/vowels.py, by tenfold cross-validation on the 270 recordings to learn from.

    LATCHWORK_NUM_THREADS=1 python benchmarks/vowels_cross_validation.py

Choices are taken one after the other: each is tried with all its values, the others as they stand, and the value with
the least cross-entropy on the folds left out is kept. Accuracy is shown but decides nothing: so near to 1 it moves by
single recordings. A fold is three recordings of each speaker that follow each other, since neighbours may be alike.
The test part is not read. With `test` the plain recipe and the chosen one meet it, by ten seeds each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import vowels

FOLDS, SEEDS = 10, 2
START: dict[str, Any] = {
    "normalize": False, "average": False, "noise": 0.0, "dropout": 0.0, "units": 100, "rate": 0.001, "decay": 0.0,
    "ema": False, "epochs": 60,
}  # fmt: skip
CHOICES: list[dict[str, list[Any]]] = [
    {"normalize": [False, True], "average": [False, True]},
    {"noise": [0.0, 0.2, 0.4, 0.6]},
    {"dropout": [0.0, 0.25, 0.5]},
    {"rate": [0.001, 0.003, 0.006]},
    {"units": [50, 100, 200]},
    {"epochs": [60, 120, 240]},
    {"decay": [0.0, 0.01, 0.1]},
    {"ema": [False, True]},
    {"noise": [0.2, 0.4, 0.6, 0.8]},
]
Recordings = tuple[lw.Ragged, np.ndarray]


def taken(data: Recordings, chosen: np.ndarray) -> Recordings:
    x, y = data
    return lw.Ragged.from_list([x[i] for i in np.flatnonzero(chosen)]), y[chosen]


def folds(data: Recordings) -> Iterator[tuple[Recordings, Recordings]]:
    """What to learn from and what was left out, ten times."""
    _, y = data
    fold = np.empty(len(y), int)
    for speaker in range(vowels.SPEAKERS):
        own = np.flatnonzero(y == speaker)
        fold[own] = np.arange(len(own)) * FOLDS // len(own)
    for k in range(FOLDS):
        yield taken(data, fold != k), taken(data, fold == k)


def validated(data: Recordings, recipe: dict[str, Any]) -> tuple[float, float]:
    """Cross-entropy and accuracy of what was left out, the means of all folds and seeds."""
    found = []
    for learned, left_out in folds(data):
        for seed in range(SEEDS):
            found.append(trained(learned, recipe, seed).evaluate(*left_out))
    losses, accuracies = zip(*found, strict=True)
    return statistics.mean(losses), statistics.mean(accuracies)


def trained(data: Recordings, recipe: dict[str, Any], seed: int) -> lw.models.Sequential:
    lw.set_seed(seed)
    model = vowels.build_tuned(data[0], **recipe)
    model.fit(*data, batch_size=vowels.BATCH, epochs=recipe.get("epochs", 60), verbose=0)
    return model


def combinations(choice: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    names = list(choice)
    for places in np.ndindex(*(len(values) for values in choice.values())):
        yield {name: choice[name][place] for name, place in zip(names, places, strict=True)}


def search(data: Recordings) -> dict[str, Any]:
    recipe, known = dict(START), {}
    for choice in CHOICES:
        tried = []
        for values in combinations(choice):
            candidate = recipe | values
            key = tuple(candidate.items())
            if key not in known:
                known[key] = validated(data, candidate)
            loss, accuracy = known[key]
            tried.append((loss, len(tried), candidate))
            print(f"cross-entropy {loss:.4f}   accuracy {accuracy:.4f}   {values}", flush=True)
        recipe = min(tried)[-1]
        print(f"kept: {', '.join(f'{name}={recipe[name]}' for name in choice)}", flush=True)
    return recipe


def tested(data: Recordings, test: Recordings, seeds: int) -> None:
    """Both recipes by the test part, as the example has them."""
    for name, build in (("plain", lambda x: vowels.build()), ("tuned", vowels.build_tuned)):
        accuracies = []
        for seed in range(seeds):
            lw.set_seed(seed)
            model = build(data[0])
            model.fit(*data, batch_size=vowels.BATCH, epochs=60, verbose=0)
            accuracies.append(model.evaluate(*test)[1])
            print(f"{name} seed {seed}   {accuracies[-1]:.4f}", flush=True)
        error = statistics.stdev(accuracies) / seeds**0.5
        print(f"{name}: mean accuracy {statistics.mean(accuracies):.4f}, standard error {error:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("search", "test"), default="search")
    parser.add_argument("--seeds", type=int, default=10, help="of `test`")
    given = parser.parse_args()
    folder = vowels.data_folder()
    data = vowels.read(folder / "JapaneseVowels_TRAIN.ts")
    if given.what == "search":
        print(f"chosen: {search(data)}")
    else:
        tested(data, vowels.read(folder / "JapaneseVowels_TEST.ts"), given.seeds)


if __name__ == "__main__":
    main()
