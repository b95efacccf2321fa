"""Forecast a series of your own in thirty lines: weekly CO2, half a year ahead, with its missing weeks filled."""

import argparse

import latchwork as lw
from latchwork.callbacks import EarlyStopping
from latchwork.data import StandardScaler, fill_missing, split_by_time, windows
from latchwork.layers import LSTM, Dense
from latchwork.models import Sequential

LOOKBACK, HORIZON = 52, 26


def prepare(part, scaler):
    """Inputs and targets as changes from the last value of each window: the level may outgrow the training years."""
    x, y = windows(scaler.transform(part), LOOKBACK, HORIZON, relative_to="last")
    return x - x[:, -1:], y


def main(epochs=100):
    lw.set_seed(0)
    time, values = lw.datasets.co2()
    parts = split_by_time(fill_missing(values), validation=0.15, test=0.15, context=LOOKBACK)
    scaler = StandardScaler().fit(parts[0])
    train, validation, test = (prepare(part, scaler) for part in parts)

    model = Sequential([LSTM(32, input_shape=(LOOKBACK, 1)), Dense(HORIZON)])
    model.compile(loss="mse", optimizer="adam", metrics=["rmse"])
    stop = EarlyStopping(patience=10, restore_best_weights=True)
    model.fit(*train, epochs=epochs, validation_data=validation, callbacks=[stop], verbose=2)

    _, rmse = model.evaluate(*test)
    print(f"test RMSE: {rmse * scaler.scale_[0]:.2f} ppm")
    x, _ = test
    forecast = parts[2][-HORIZON - 1] + model.predict(x[-1:])[0] * scaler.scale_[0]
    print(f"the {HORIZON} weeks up to {time[-1]}: forecast ends at {forecast[-1]:.1f} ppm, truth {values[-1]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
