"""Draws the images of seeing.md from the series that come with the package, one from examples/dates.py, and prints the
figures it quotes.

python docs/make_images.py [folder]     some seconds; docs/images by default. Needs pip install "latchwork[viz]".
"""

import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import matplotlib
import numpy as np

import latchwork as lw
from latchwork.callbacks import EarlyStopping
from latchwork.data import StandardScaler, fill_missing, split_by_time, windows
from latchwork.layers import LSTM, Dense, Input, SimpleRNN
from latchwork.models import Sequential

matplotlib.use("Agg")
from matplotlib import pyplot

LOOKBACK = 33  # years, three cycles
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def yearly_spots():
    """Windows of the train, validation and test years: scaled x [W, 33, 1], the next year's number y [W]."""
    _, spots = lw.datasets.sunspots()
    parts = split_by_time(spots, validation=0.2, test=0.2, context=LOOKBACK)
    scaler = StandardScaler().fit(parts[0])
    found = []
    for part in parts:
        x, y = windows(scaler.transform(part), LOOKBACK, 1)
        found.append((x, y[:, 0]))
    return found


def trained(cell, train, validation, outputs=1, loss="mse", **head):
    """A small model of one recurrent layer, and its history."""
    lw.set_seed(0)
    model = Sequential([Input((LOOKBACK, 1)), cell, Dense(outputs, **head)])
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"] if outputs > 1 else ["mae"])
    stop = EarlyStopping(patience=40, restore_best_weights=True)
    history = model.fit(*train, epochs=200, verbose=0, validation_data=validation, callbacks=[stop])
    return model, history


def sunspots(save):
    train, validation, test = yearly_spots()
    model, history = trained(LSTM(16), train, validation)
    save("history", history.plot())
    save("gates", lw.viz.gates(model, test[0], sample=20).plot(["i", "f", "o", "c"]))

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    memory = lw.viz.half_life(model, test[0])
    print(f"{memory.steps.min():.1f} to {memory.steps.max():.1f} years")
    memory.plot(ax=left)
    lw.viz.saturation(model, test[0]).plot(ax=right)
    save("units", figure)

    simple, _ = trained(SimpleRNN(16), train, validation)
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
    for each, axis in zip((simple, model), axes, strict=True):
        found = lw.viz.gradient_norms(each, *test)
        found.plot(["h"], ax=axis)
        middle = np.median(found.norms["h"], axis=0)
        print(f"{middle[-1] / middle[0]:.0f} times")
    save("gradients", figure)

    found = lw.viz.integrated_gradients(model, test[0])
    print(f"{np.abs(found.gap).max():.0e}")
    save("attribution", found.plot(20))

    quiet, active = np.quantile(train[1], [1 / 3, 2 / 3])
    classes = [(x, np.digitize(y, [quiet, active])) for x, y in (train, validation, test)]
    loss = "sparse_categorical_crossentropy"
    classifier, _ = trained(LSTM(16), *classes[:2], outputs=3, loss=loss, activation="softmax")
    x, y = classes[2]
    save("confusion", lw.viz.confusion_matrix(y, classifier.predict(x), names=["quiet", "medium", "active"]).plot())


def co2(save):
    """Weekly changes of CO2, each a normal number whose mean and width an LSTM says; a year of them drawn 400 times."""
    time, values = lw.datasets.co2()
    values = fill_missing(values)
    change = np.diff(values)[:, None]
    train, _, _ = split_by_time(change, validation=0.1, test=0.2, context=0)
    scaler = StandardScaler().fit(train)
    scaled = scaler.transform(change)
    lw.set_seed(0)
    model = Sequential([Input((None, 1)), LSTM(32, return_sequences=True), Dense(2)])
    loss = lw.losses.GaussianNegativeLogLikelihood(min_scale=0.05)
    model.compile(optimizer=lw.optimizers.Adam(0.005), loss=loss)
    past, _ = windows(scaled[: len(train)], 157, 1)
    x, y = past[::8, :-1], past[::8, 1:]
    model.fit(x, y, batch_size=16, epochs=40, verbose=0)

    horizon, seen = 52, 312
    begins = np.arange(len(train), len(change) - horizon, 26)
    histories = np.stack([scaled[i - seen : i] for i in begins])
    paths = model.forecast(histories, horizon, outputs="gaussian", paths=400, min_scale=0.05, seed=1)
    levels = values[begins][:, None, None] + np.cumsum(paths[:, :, 0] * scaler.scale_ + scaler.mean_, axis=1)
    quantiles = np.moveaxis(np.quantile(levels, LEVELS, axis=-1), 0, -1)
    truth = np.stack([values[i + 1 : i + 1 + horizon] for i in begins])

    i = len(begins) - 3
    at = slice(begins[i] - 103, begins[i] + 1 + horizon)
    fan = lw.viz.fan(quantiles[i], LEVELS)
    past = values[begins[i] - 103 : begins[i] + 1]
    save("fan", fan.plot(past=past, truth=truth[i], time=time[at].astype("datetime64[D]"), unit="CO2, ppm"))
    found = lw.viz.calibration(truth, quantiles, LEVELS)
    print(f"{found.shares[-1] - found.shares[0]:.0%} of {found.count} values")
    save("calibration", found.plot())


def attention(path):
    """What the decoder of examples/dates.py looks at."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import dates

    with redirect_stdout(StringIO()):
        dates.main(plot=path)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    folder.mkdir(exist_ok=True)

    def save(name, figure):
        figure.savefig(folder / f"{name}.png", dpi=80)
        pyplot.close(figure)

    sunspots(save)
    co2(save)
    attention(folder / "attention.png")


if __name__ == "__main__":
    main()
