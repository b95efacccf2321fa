"""The examples beside Keras: the same recipe, data, order of batches and initial weights, in one run.

    KERAS_BACKEND=jax python benchmarks/examples_in_keras.py

Each example's own `build` makes both models: for Keras it runs with Keras' names in place of latchwork's. What Keras
has learnt is scored by the same function, in a latchwork model with Keras' weights.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import keras
import numpy as np

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import co2_quantiles
import dates
import pump
import rare_events


def quantile_loss(levels: list[float]) -> Callable[[Any, Any], Any]:
    """Keras has none; R. Koenker, G. Bassett, 1978. Targets [..., 1], outputs [..., levels]."""

    def loss(y_true: Any, y_pred: Any) -> Any:
        miss = y_true - y_pred
        return keras.ops.mean(keras.ops.maximum(np.float32(levels) * miss, (np.float32(levels) - 1) * miss), axis=-1)

    return loss


NAMES = SimpleNamespace(optimizers=keras.optimizers, losses=SimpleNamespace(Quantile=quantile_loss))


def in_keras(build: FunctionType) -> Callable[..., Any]:
    """The same function with Keras' names."""
    theirs: dict[str, Any] = {"Sequential": keras.Sequential, "Model": keras.Model, "lw": NAMES}
    theirs |= {name: getattr(keras.layers, name) for name in build.__globals__ if hasattr(keras.layers, name)}
    return FunctionType(build.__code__, build.__globals__ | theirs, argdefs=build.__defaults__)


@dataclass
class Task:
    """An example's data, its two models, and what it counts."""

    name: str
    counts: str  # what `score` gives
    build: Callable[[], Any]
    build_in_keras: Callable[[], Any]
    x: list[np.ndarray]
    y: list[np.ndarray]
    epochs: int
    batch: int
    score: Callable[[Any], list[float]]
    digits: int = 3

    def batches(self, seed: int, epoch: int) -> Iterator[tuple[Any, Any]]:
        samples = len(self.y[0])
        order = lw.data.permutation(samples, seed=seed, epoch=epoch)
        for chosen in np.split(order, range(self.batch, samples, self.batch)):
            x, y = [a[chosen] for a in self.x], [a[chosen] for a in self.y]
            yield (x if len(x) > 1 else x[0]), (y if len(y) > 1 else y[0])


def trained(model: Any, task: Task, seed: int) -> float:
    """Trains; seconds without the first epoch, in which Keras compiles."""
    start = time.perf_counter()
    for epoch in range(task.epochs):
        if epoch == 1:
            start = time.perf_counter()
        for x, y in task.batches(seed, epoch):
            model.train_on_batch(x, y)
    return time.perf_counter() - start


def pairs(ours: Any, theirs: Any) -> Iterator[tuple[Any, Any]]:
    """Layers that hold the same weights: of each kind by their shapes, since Keras sorts the layers of a graph anew."""
    left = list(theirs.layers)
    for layer in ours.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        if shapes:
            its = next(
                each
                for each in left
                if type(each).__name__ == type(layer).__name__ and [w.shape for w in each.get_weights()] == shapes
            )
            left.remove(its)
            yield layer, its


def check_same(ours: Any, theirs: Any, task: Task) -> None:
    """Refuse models that do not begin as one: so small a difference is rounding."""
    x, _ = next(task.batches(0, 0))
    for mine, keras_output in zip(*(outputs(model.predict(x, verbose=0)) for model in (ours, theirs)), strict=True):
        np.testing.assert_allclose(mine, keras_output, rtol=0, atol=1e-5)


def outputs(found: Any) -> list[np.ndarray]:
    return list(found) if isinstance(found, (list, tuple)) else [found]


def run(task: Task, seed: int) -> tuple[list[float], list[float], float, float]:
    """Scores of latchwork and of Keras, and seconds of training."""
    lw.set_seed(seed)
    ours, theirs = task.build(), task.build_in_keras()
    ours.get_weights()  # which makes them
    for mine, keras_layer in pairs(ours, theirs):
        keras_layer.set_weights(mine.get_weights())
    check_same(ours, theirs, task)

    first = trained(ours, task, seed)
    second = trained(theirs, task, seed)
    scores = task.score(ours)
    for mine, keras_layer in pairs(ours, theirs):
        mine.set_weights([np.asarray(w) for w in keras_layer.get_weights()])
    return scores, task.score(ours), first, second


def co2() -> Task:
    series, _, split = co2_quantiles.load()
    x, y = co2_quantiles.sequences(series[:split])
    later = co2_quantiles.sequences(series[split - co2_quantiles.LENGTH :])
    build = co2_quantiles.build
    return Task(
        "co2_quantiles", "quantile loss of the years after", build, in_keras(build), [x], [y], 20, 16,
        lambda model: [model.evaluate(*later)],
        digits=4,
    )  # fmt: skip


def pumps() -> Task:
    rng = np.random.default_rng(0)
    x, y = pump.pumps(3000, rng)
    test = pump.pumps(1000, rng)

    def score(model: Any) -> list[float]:
        found = model.evaluate(*test, return_dict=True)
        return [found["fault_accuracy"], found["life_mae"]]

    build = pump.build
    return Task(
        "pump", "accuracy of the fault; years off", build, in_keras(build), list(x.values()), list(y.values()),
        40, 32, score,
    )  # fmt: skip


def events() -> Task:
    rng = np.random.default_rng(0)
    x, y = rare_events.recordings(4000, rng)
    test = rare_events.recordings(2000, rng)
    focal = {"apply_class_balancing": True, "alpha": 0.75, "gamma": 1.0}

    def score(model: Any) -> list[float]:
        return [rare_events.report("", model, *test)]

    build = rare_events.build
    return Task(
        "rare_events", "F1, mean of four events",
        lambda: build(lw.losses.BinaryFocalCrossentropy(**focal)),
        lambda: in_keras(build)(keras.losses.BinaryFocalCrossentropy(**focal)),
        [x], [y], 80, 32, score,
    )  # fmt: skip


def written_dates() -> Task:
    rng = np.random.default_rng(0)
    _, x, y = dates.dates(8000, rng)
    _, x_test, y_test = dates.dates(500, rng)

    def score(model: Any) -> list[float]:
        return [float(np.mean((dates.write(model, x_test) == y_test).all(axis=1)))]

    build = dates.build
    return Task(
        "dates", "dates right in every letter", build, in_keras(build), [x, dates.shifted(y)], [y], 10, 64, score
    )


TASKS = {"co2_quantiles": co2, "pump": pumps, "rare_events": events, "dates": written_dates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TASKS)}; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(f"latchwork {lw.__version__} ({lw.cpu.isa()}), Keras {keras.__version__} on {keras.backend.backend()}")
    for name in given.names or TASKS:
        task = TASKS[name]()
        for seed in range(given.seeds):
            ours, theirs, first, second = run(task, seed)
            shown = ["  ".join(f"{value:.{task.digits}f}" for value in values) for values in (ours, theirs)]
            print(
                f"{name:<14} seed {seed}  {task.counts}: latchwork {shown[0]}, Keras {shown[1]}; "
                f"trained in {first:.1f} s and {second:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
