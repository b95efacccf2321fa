"""Figures of lw.viz and History: drawn without a screen, with titles and labels, and never shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import LSTM, Bidirectional, Dense, Input, SimpleRNN
from latchwork.models import Model, Sequential

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

X = np.random.default_rng(1).normal(size=(6, 9, 2))
LEVELS = [0.1, 0.5, 0.9]
DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(autouse=True)
def _closed(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("a figure was shown"))
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def model():
    lw.set_seed(0)
    model = Sequential([Bidirectional(LSTM(4, return_sequences=True), input_shape=(None, 2)), LSTM(3), Dense(1)])
    model.compile(loss="mse", metrics=["mae"])
    return model


def history_of(epochs=3, validation=True):
    history = lw.callbacks.History()
    for epoch in range(epochs):
        logs = {"loss": 3.0 - epoch, "mae": 2.0 - epoch / 2}
        history.on_epoch_end(epoch, logs | ({"val_loss": [2.0, 1.0, 4.0][epoch], "val_mae": 1.0} if validation else {}))
    return history


def words(figure):
    """Everything that is written on a drawn figure."""
    figure.canvas.draw()
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


SINGLE = {
    "half life": (lambda m: lw.viz.half_life(m, X).plot, ["half-life by forget gate f, time steps", "unit", "9 steps"]),
    "saturation": (lambda m: lw.viz.saturation(m, X).plot, ["(< 0.1)", "(> 0.9)", "output gate o", "switches"]),
    "gradients": (
        lambda m: lw.viz.gradient_norms(m, X, X[:, 0, 0]).plot, ["time step", "norm", "vanishes", "cell state c"]
    ),
    "attribution": (lambda m: lw.viz.integrated_gradients(m, X).plot, ["time step", "feature", "units of the output"]),
    "attribution over time": (
        lambda m: lw.viz.integrated_gradients(m, lw.Ragged.from_list(list(X)), target=0).plot, ["baseline", "add up"]
    ),
    "attention": (
        lambda m: lw.viz.Looks("heads", np.eye(3)[None]).plot, ["query", "value", "weight", "heads: each row"]
    ),
    "fan": (lambda m: lw.viz.fan([[1.0, 2, 3], [0, 2, 5]], LEVELS).plot, ["steps ahead", "80% of the time", "horizon"]),
    "calibration": (
        lambda m: lw.viz.calibration([1.0, 2.0], [[1, 2, 3], [1, 2, 3]], LEVELS).plot,
        ["level of the quantile", "share of the truth below it", "2 values", "too sure"],
    ),
    "confusion": (
        lambda m: lw.viz.confusion_matrix([0, 1, 1], [0, 1, 0], names=["calm", "storm"]).plot,
        ["predicted class", "true class", "storm", "66.7% of 3"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_one_panel(name, model):
    find, expected = SINGLE[name]
    plot = find(model)
    figure = plot()
    axis = figure.axes[0]
    assert axis.get_title()
    assert axis.get_xlabel()
    assert axis.get_ylabel()
    written = words(figure)
    assert not [text for text in expected if text not in written]
    own, (left, right) = pyplot.subplots(1, 2)
    assert plot(ax=right) is own
    assert right.has_data()
    assert not left.has_data()
    with pytest.raises(ValueError, match="ax must hold 1 Axes, one a panel, got 2"):
        plot(ax=[left, right])


def test_gates(model):
    found = lw.viz.gates(model, X, direction="backward")
    figure = found.plot()
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert len(titles) == 7  # x above six gates and states
    assert titles[2] == "forget gate f: bright keeps the cell state, dark forgets"
    assert "time step" in words(figure)
    image = figure.axes[2].images[0]
    assert (np.asarray(image.get_array()) == found.values["f"].T).all()
    assert image.get_clim() == (0, 1)
    own, axes = pyplot.subplots(2, 1)
    assert found.plot(["f", "c"], ax=axes) is own
    low, high = axes[1].images[0].get_clim()
    assert high == -low > 0
    with pytest.raises(ValueError, match="unknown gate or state 'q'"):
        found.plot(["q"])


def test_attention():
    weights = np.random.default_rng(2).uniform(size=(2, 3, 4))
    found = lw.viz.Looks("heads", weights)
    figure = found.plot("ab", "xyz", head=1)
    assert (np.asarray(figure.axes[0].images[0].get_array()) == weights[1, :2, :3]).all()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["x", "y", "z"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
    for call, message in (
        (lambda: found.plot("abcd"), "queries must be at most 3, got 4"),
        (lambda: found.plot(values="vwxyz"), "values must be at most 4, got 5"),
        (lambda: found.plot(head=2), r"head must be a whole number within \[0, 2\), got 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_gates_of_masked_steps_are_blank():
    values = np.array([[0.1], [np.nan], [1.0]])
    found = lw.viz.Gates("lstm", {"f": values}, np.ones((3, 1)), np.array([True, False, True]), {"f": "forget gate f"})
    shown = found.plot().axes[1].images[0].get_array()
    assert np.ma.getmaskarray(shown).tolist() == [[False, True, False]]
    lw.viz.Gates("lstm", {"f": values * np.nan}, np.ones((3, 1)), np.zeros(3, bool), {"f": "forget gate f"}).plot()


def test_rows_of_gradients_that_are_masked(model):
    norms = np.array([[np.nan, 1.0, 2.0], [np.nan, np.nan, 4.0]])
    figure = lw.viz.GradientNorms("lstm", {"h": norms, "x": norms}, 0.0).plot(["x"])
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == [1.0, 3.0]
    with pytest.raises(ValueError, match="names must be among h, x, got 'c'"):
        lw.viz.GradientNorms("lstm", {"h": norms, "x": norms}, 0.0).plot("c")


def test_attributions_of_one_feature_are_bars():
    model = Sequential([SimpleRNN(3, input_shape=(None, 1)), Dense(1)])
    found = lw.viz.integrated_gradients(model, X[:, :, :1])
    heights = [bar.get_height() for bar in found.plot(2).axes[0].patches]
    np.testing.assert_allclose(heights, found.values[2, :, 0])
    with pytest.raises(ValueError, match=r"sample must be within \[0, 6\), got 6"):
        found.plot(6)
    with pytest.raises(ValueError, match="name is for a model of several inputs"):
        found.plot(name="x")


def test_attributions_of_several_inputs():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    found = lw.viz.integrated_gradients(Model([a, b], Dense(1)(lw.layers.Add()([a, b]))), [X[:, 0], X[:, 1]])
    assert "through b" in words(found.plot(name="b"))
    with pytest.raises(ValueError, match="name must be one of the inputs a, b, got None"):
        found.plot()


def test_fan_with_past_and_truth():
    days = np.arange("2001-01-01", "2001-01-06", dtype="datetime64[D]")
    found = lw.viz.fan([[1.0, 2, 3], [0, 2, 5]], LEVELS)
    figure = found.plot(past=[1.0, 2, 2], truth=[2.0, np.nan], time=days, unit="CO2, ppm")
    assert figure.axes[0].get_ylabel() == "CO2, ppm"
    written = words(figure)
    assert not [text for text in ("past", "what came", "median") if text not in written]
    for given, message in (
        ({"truth": [1.0]}, r"truth must be \(2,\), got shape \(1,\)"),
        ({"past": 1.0}, r"past must be \[P\]"),
        ({"time": [1, 2, 3]}, r"time must be \(2,\), got shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            found.plot(**given)


# ---- History ------------------------------------------------------------------------------------------------------


def test_history():
    figure = history_of().plot()
    loss, mae = figure.axes
    assert (loss.get_xlabel(), loss.get_ylabel(), mae.get_ylabel()) == ("epoch", "loss", "mae")
    training, validation, best = loss.lines
    assert training.get_xdata().tolist() == [1, 2, 3]
    assert training.get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert validation.get_ydata().tolist() == [2.0, 1.0, 4.0]
    assert list(best.get_xdata()) == [2, 2]
    assert "lowest in epoch 2" in words(figure)
    assert len(mae.lines) == 2
    assert history_of().plot("mae", log=True).axes[0].get_yscale() == "log"


def test_history_of_a_fit(model):
    x, y = X.astype(np.float32), np.ones(6)
    figure = model.fit(x, y, epochs=2, validation_split=0.3, verbose=0).plot()
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss", "mae"]


def test_history_without_validation_and_with_figures_that_begin_late():
    history = history_of(validation=False)
    history.history["val_loss"] = [5.0, 6.0]
    loss, mae = history.plot().axes
    assert loss.lines[1].get_xdata().tolist() == [2, 3]
    assert len(mae.lines) == 1
    assert mae.get_legend() is None


def test_history_errors():
    with pytest.raises(ValueError, match="nothing to plot"):
        lw.callbacks.History().plot()
    with pytest.raises(ValueError, match="names must be among loss, mae, got 'acc'"):
        history_of().plot("acc")
    with pytest.raises(ValueError, match="ax must hold 2 Axes"):
        history_of().plot(ax=pyplot.subplots()[1])


# ---- matplotlib ---------------------------------------------------------------------------------------------------


def run(program, path):
    path = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path}
    ).stdout.strip()


def test_data_need_no_matplotlib_and_figures_say_what_is_missing(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    program = """
import latchwork as lw
found = lw.viz.confusion_matrix([0, 1], [0, 1])
print(found.accuracy)
try:
    found.plot()
except ImportError as error:
    print(error)
"""
    assert run(program, tmp_path).splitlines() == [
        "1.0",
        'figures need matplotlib: pip install "latchwork[viz]"',
    ]


def test_matplotlib_is_imported_when_a_figure_is_drawn(tmp_path):
    program = """
import sys, latchwork as lw
print("latchwork.viz" in sys.modules)
found = lw.viz.confusion_matrix([0, 1], [0, 1])
print("matplotlib" in sys.modules)
"""
    assert run(program, tmp_path).split() == ["False", "False"]


# ---- the page -----------------------------------------------------------------------------------------------------


def test_the_page_has_its_images_and_the_figures_it_quotes(tmp_path):
    page = (DOCS / "seeing.md").read_text("utf-8")
    command = [sys.executable, str(DOCS / "make_images.py"), str(tmp_path)]
    quoted = subprocess.run(command, check=True, capture_output=True, text=True, timeout=250).stdout.splitlines()
    assert len(quoted) == 5
    assert not [line for line in quoted if line not in page.replace("\n", " ")]
    drawn = {path.name for path in tmp_path.iterdir()}
    assert (
        drawn
        == set(re.findall(r"\(images/([a-z]+\.png)\)", page))
        == {path.name for path in (DOCS / "images").iterdir()}
    )
    for path in (*tmp_path.iterdir(), *(DOCS / "images").iterdir()):
        assert 5_000 < path.stat().st_size < 60_000, path


def test_the_code_of_the_page_runs():
    program = "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / "seeing.md").read_text("utf-8"), re.S))
    exec(compile(program, "seeing.md", "exec"), {})
    assert len(pyplot.get_fignums()) == program.count(".plot(") == 10
