"""Which events are in a recording? Several at once, or none; the rarest in one of forty.

A network that never says "yes" is right in 90 of 100 cases, so accuracy tells nothing: look at precision (how often a
"yes" is right), recall (how many of the events are found) and the area below the curve of both, which needs no
threshold.
"""

import argparse

import numpy as np

import latchwork as lw
from latchwork.layers import GRU, Dense, GlobalMaxPooling1D, Input
from latchwork.models import Sequential

EVENTS = {"spike": 0.20, "step": 0.10, "burst": 0.05, "silence": 0.025}
STEPS = 80


def recordings(count, rng):
    """Noise [N, 80, 1] with events in it, and which: [N, 4] of 0 and 1."""
    labels = (rng.uniform(size=(count, 4)) < list(EVENTS.values())).astype(float)
    x = rng.normal(size=(count, STEPS))
    for row, (spike, step, burst, silence) in zip(x, labels, strict=True):
        start, time = rng.integers(5, 60), np.arange(STEPS)
        if silence:
            row[start : start + 12] *= 0.2
        if step:
            row[rng.integers(10, 70) :] += rng.choice([-1.0, 1.0])
        if burst:
            row += 1.5 * np.sin(1.8 * time) * (np.abs(time - rng.integers(10, 70)) < 6)
        if spike:
            row[rng.integers(0, STEPS)] += rng.choice([-5.0, 5.0])
    return x[..., None], labels


def build(loss="binary_crossentropy"):
    model = Sequential(
        [
            Input((None, 1)),
            GRU(32, return_sequences=True),
            GlobalMaxPooling1D(),
            Dense(len(EVENTS), activation="sigmoid"),
        ]
    )
    model.compile(loss=loss, optimizer=lw.optimizers.Adam(0.005))
    return model


def report(name, model, x, y):
    """Of each kind of event, and the F1 score, a mean of precision and recall, over all kinds."""
    chance = model.predict(x)
    print(name)
    for k, event in enumerate(EVENTS):
        metrics = {
            "precision": lw.metrics.Precision(),
            "recall": lw.metrics.Recall(),
            "area": lw.metrics.AUC(curve="PR"),
        }
        for metric in metrics.values():
            metric.update(y[:, k : k + 1], chance[:, k : k + 1])
        found = "".join(f"   {what} {metric.result():.2f}" for what, metric in metrics.items())
        print(f"  {event:<8} in {y[:, k].mean():5.1%}{found}")
    f1 = lw.metrics.F1Score(average="macro", threshold=0.5)
    f1.update(y, chance)
    print(f"  F1, mean of the four: {f1.result():.3f}")
    return f1.result()


def main(epochs=80, count=4000, seed=0):
    rng = np.random.default_rng(0)
    x, y = recordings(count, rng)
    x_test, y_test = recordings(2000, rng)

    # Three ways: as it is; rare recordings count more; what is easy counts less, and a "yes" more.
    frequency = y.mean(axis=0)
    rarity = 1 + (y * (1 / frequency - 1)).max(axis=1) / 10
    focal = lw.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.75, gamma=1.0)
    ways = {
        "binary cross-entropy": ("binary_crossentropy", None),
        "with sample weights": ("binary_crossentropy", rarity),
        "focal, balanced": (focal, None),
    }
    scores = {}
    for name, (loss, weight) in ways.items():
        lw.set_seed(seed)
        model = build(loss)
        model.fit(x, y, epochs=epochs, sample_weight=weight, verbose=2)
        scores[name] = report(name, model, x_test, y_test)
    return scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help="of the network; the recordings stay the same")
    main(**vars(parser.parse_args()))
