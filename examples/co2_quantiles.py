"""How sure is the forecast? Weekly CO2 with quantiles: nine futures out of ten should lie below the 90 % line."""

import argparse

import numpy as np

import latchwork as lw
from latchwork.callbacks import EarlyStopping
from latchwork.data import StandardScaler, fill_missing
from latchwork.layers import GRU, Dense, Input
from latchwork.models import Sequential

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
LENGTH, HORIZON = 156, 26


def load():
    """[weeks, 3]: the change of a week in scaled ppm, and the season as sine and cosine; the scaler of the changes."""
    time, ppm = lw.datasets.co2()
    changes = np.diff(fill_missing(ppm, "previous"))[:, None]
    split = int(0.7 * len(changes))
    scaler = StandardScaler().fit(changes[:split])
    year = 2 * np.pi * (time[1:] - time[1:].astype("datetime64[Y]")).astype(float) / 365.25
    return np.column_stack([scaler.transform(changes), np.sin(year), np.cos(year)]), scaler, split


def sequences(series):
    """At every week of [samples, LENGTH, 3], say what the change of the next will be."""
    starts = range(0, len(series) - LENGTH, LENGTH // 6)
    return np.stack([series[s : s + LENGTH] for s in starts]), np.stack(
        [series[s + 1 : s + LENGTH + 1, :1] for s in starts]
    )


def build():
    model = Sequential([Input((None, 3)), GRU(32, return_sequences=True), Dense(len(LEVELS))])
    model.compile(loss=lw.losses.Quantile(LEVELS), optimizer=lw.optimizers.Adam(0.01))
    return model


def rmse(errors):
    return float(np.mean(errors**2) ** 0.5)


def main(epochs=60):
    lw.set_seed(0)
    series, scaler, split = load()
    middle = (split + len(series)) // 2
    model = build()
    stop = EarlyStopping(patience=15, restore_best_weights=True)
    later = sequences(series[split - LENGTH : middle])
    model.fit(
        *sequences(series[:split]), batch_size=16, epochs=epochs, validation_data=later, callbacks=[stop], verbose=2
    )

    # From every fourth week of the last years: the next half year, its season known, its changes fed back.
    starts = np.arange(middle, len(series) - HORIZON, 4)
    histories = np.stack([series[s - LENGTH : s] for s in starts])
    ahead = [series[s : s + HORIZON] for s in starts]
    season = np.stack([weeks[:, 1:] for weeks in ahead])
    truth = np.stack([weeks[:, :1] for weeks in ahead])
    forecast = model.forecast(histories, HORIZON, known=season, outputs="quantiles", quantiles=LEVELS)

    below = truth[..., None] < forecast
    print("share of the true changes that lie below each quantile")
    print("nominal        " + "".join(f"{level:7.2f}" for level in LEVELS))
    print("a week ahead   " + "".join(f"{share:7.2f}" for share in below[:, 0].mean(axis=(0, 1))))
    print("26 weeks ahead " + "".join(f"{share:7.2f}" for share in below[:, -1].mean(axis=(0, 1))))
    print("all 26 weeks   " + "".join(f"{share:7.2f}" for share in below.mean(axis=(0, 1, 2))))

    said, happened = (scaler.inverse_transform(changes).sum(axis=1) for changes in (forecast[..., 2], truth))
    print(f"half a year ahead: off by {rmse(said - happened):.2f} ppm, and as it is now by {rmse(happened):.2f} ppm")
    return below.mean(axis=(0, 1, 2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
