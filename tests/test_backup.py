"""BackupAndRestore: a run that was ended at any moment goes on to the same bits; files are whole or not there."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import latchwork as lw
from latchwork.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback, checkpoints
from latchwork.callbacks.checkpoints import Checkpoints, State

X, Y = np.random.default_rng(0).normal(size=(12, 4, 2)), np.random.default_rng(1).normal(size=(12, 1))


class Killed(BaseException):
    """In place of the end of the process: nothing of the package catches it."""


class KillAt(Callback):
    def __init__(self, epoch, batch=None):
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, self.batch):
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == (self.epoch, self.batch):
            raise Killed


def model_of(optimizer=None, units=3, seed=5, **options):
    if seed is not None:
        lw.set_seed(seed)
    layers = [lw.layers.LSTM(units, **options), lw.layers.Dropout(0.5), lw.layers.Dense(1)]
    model = lw.models.Sequential([lw.layers.Input((4, 2)), *layers])
    model.compile(optimizer or lw.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def train(folder, *more, model=None, save_freq=1, epochs=3, killed=False, **options):
    model = model or model_of()
    backup = BackupAndRestore(folder, save_freq, **options.pop("backup", {}))
    more = [*more, *([] if any(isinstance(c, KillAt) for c in more) else [KillAt(-1)])]
    if killed:
        with pytest.raises(Killed):
            model.fit(X, Y, 4, epochs, 0, [backup, *more], **options)
    else:
        model.fit(X, Y, 4, epochs, 0, [backup, *more], **options)
    return model


def result(model):
    slots = {name: values.tolist() for name, values in model.optimizer.slots.items()}
    weights = [w.tolist() for w in model.get_weights()]
    counts = model.optimizer.iterations, model.epochs_trained, model.optimizer.learning_rate
    return weights, slots, counts, model.history.epoch, model.history.history


def files(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def test_kill_and_resume_cycles(tmp_path, thorough):
    """kill -9 at seeded random moments, also in the midst of a write; the program is run again until it ends."""
    kills = 100 if thorough else 20
    command = [sys.executable, str(Path(__file__).parent / "killed_runs.py"), str(tmp_path), "11", str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert counted["killed"] == kills
    assert counted["places"] >= kills // 4, counted  # the runs went on from many places
    assert not thorough or counted["in_a_write"] > 0, counted


@pytest.mark.parametrize("when", [(0, 0), (0, 2), (1, 0), (1, 1), (2, None)])
@pytest.mark.parametrize("save_freq", [1, 2, "epoch"])
def test_the_same_bits(tmp_path, when, save_freq):
    """Ended between two batches, behind the last batch of an epoch, in a hook at an epoch's end."""
    wanted = result(train(tmp_path / "whole", validation_split=0.25))
    train(tmp_path / "run", KillAt(*when), save_freq=save_freq, validation_split=0.25, killed=True)
    again = train(tmp_path / "run", save_freq=save_freq, validation_split=0.25)
    assert result(again) == wanted


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        ({"optimizer": lambda: lw.optimizers.SGD(lw.schedules.CosineDecay(0.1, 9), momentum=0.9)}, {}),
        ({"optimizer": lambda: lw.optimizers.Lion(0.01, use_ema=True, ema_momentum=0.8)}, {}),
        ({"shuffle": False}, {"stateful": True}),
    ],
)
def test_what_else_is_state(tmp_path, options, layer):
    """Schedules, averages of weights, states that layers carry."""
    options = dict(options)
    optimizer = options.pop("optimizer", lambda: None)

    def run(folder, *more, **others):
        return train(folder, *more, model=model_of(optimizer(), **layer), **options, **others)

    wanted = result(run(tmp_path / "whole"))
    run(tmp_path / "run", KillAt(1, 2), killed=True)
    assert result(run(tmp_path / "run")) == wanted


def test_without_a_seed_the_run_keeps_its_own(tmp_path, monkeypatch):
    """Seeds of shuffles and dropout come from the checkpoint, not from the process that goes on."""
    wanted = result(train(tmp_path / "whole", model=model_of(seed=1)))
    train(tmp_path / "run", KillAt(1, 1), model=model_of(seed=1), killed=True)
    assert result(train(tmp_path / "run", model=model_of(seed=2))) == wanted


def test_a_model_that_has_run_before(tmp_path):
    """Its packed copies of the weights are not those of the checkpoint."""
    wanted = result(train(tmp_path / "whole"))
    train(tmp_path / "run", KillAt(1, 1), killed=True)
    model = model_of()
    model.predict(X)
    model.set_weights([w * 2 for w in model.get_weights()])
    model.predict(X)
    assert result(train(tmp_path / "run", model=model)) == wanted


def test_callbacks_go_on(tmp_path):
    """Their state comes back; what the program says anew, such as patience, stays as the program says."""

    def callbacks():
        return [
            EarlyStopping("loss", patience=2, min_delta=10.0, restore_best_weights=True),
            lw.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0),
            lw.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        ]

    wanted = train(tmp_path / "whole", *callbacks(), epochs=9)
    assert len(wanted.history.epoch) == 3
    for when in ((1, 0), (1, 2), (2, None)):
        train(tmp_path / "run", *callbacks(), KillAt(*when), epochs=9, killed=True)
        assert result(train(tmp_path / "run", *callbacks(), epochs=9)) == result(wanted)


def test_a_stopped_run_stays_stopped(tmp_path):
    stop = EarlyStopping("loss", patience=0, min_delta=100.0)
    keep = {"delete_checkpoint": False}
    first = train(tmp_path / "run", stop, epochs=9, save_freq="epoch", backup=keep)
    assert len(first.history.epoch) == 2
    again = train(tmp_path / "run", stop, epochs=9, save_freq="epoch", backup=keep)
    assert result(again) == result(first)


def test_csv_lines_come_once(tmp_path):
    path = tmp_path / "log.csv"
    train(tmp_path / "run", lw.callbacks.CSVLogger(path), KillAt(2, 1), save_freq="epoch", killed=True)
    whole = path.read_text()
    with path.open("a") as file:
        file.write("2,a line that was written behind the checkpoint\n")
    train(tmp_path / "run", lw.callbacks.CSVLogger(path), save_freq="epoch")
    assert path.read_text().startswith(whole)
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["epoch", "0", "1", "2"]


def test_files_come_and_go(tmp_path):
    seen = []
    note = LambdaCallback(on_epoch_begin=lambda epoch, logs=None: seen.append(os.path.isdir(tmp_path / "run")))
    train(tmp_path / "run", note, save_freq="epoch")
    assert seen == [True, True, True]
    assert not (tmp_path / "run").exists()
    train(tmp_path / "run", KillAt(2, 2), backup={"keep": 3}, killed=True)
    assert files(tmp_path / "run") == [f"backup-{n:010}.safetensors" for n in (5, 6, 7)]
    (tmp_path / "run" / "mine").write_text("kept")
    train(tmp_path / "run")
    assert files(tmp_path / "run") == ["mine"]


def test_temporary_files_of_the_dead_are_removed(tmp_path):
    alive = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (alive.pid, dead.pid, os.getpid()):
        (tmp_path / f".latchwork-{process}-0.tmp").write_text("half")
    Checkpoints(str(tmp_path), 2).open()
    assert files(tmp_path) == [f".latchwork-{alive.pid}-0.tmp"]
    alive.communicate(b"\n")


def damaged(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "bit of the weights":
        data[-5] ^= 1
    elif how == "bit of the state":
        data[data.index(b"epochs_trained") + 20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "empty", "bit of the weights", "bit of the state"])
def test_a_damaged_file(tmp_path, how):
    wanted = result(train(tmp_path / "whole"))
    train(tmp_path / "run", KillAt(2, 1), killed=True)
    newest = tmp_path / "run" / files(tmp_path / "run")[-1]
    damaged(newest, how)
    keep = {"delete_checkpoint": False}
    with pytest.warns(RuntimeWarning, match=rf"{newest.name}.*going on from the checkpoint before it"):
        again = train(tmp_path / "run", backup=keep)
    assert result(again) == wanted
    for name in files(tmp_path / "run"):  # the damaged one has gone
        checkpoints.read(str(tmp_path / "run" / name))


def test_all_files_damaged(tmp_path):
    train(tmp_path / "run", KillAt(2, 1), killed=True)
    for name in files(tmp_path / "run"):
        damaged(tmp_path / "run" / name, "cut")
    model = model_of()
    before = [w.tolist() for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"no checkpoint in .*run can be read: .*Remove the folder to begin anew"):
        train(tmp_path / "run", model=model)
    assert [w.tolist() for w in model.get_weights()] == before


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (lambda: model_of(units=4), {}, r"variables must be \['lstm/kernel', \[2, 12\]\], got .*\[2, 16\]"),
        (
            lambda: model_of(lw.optimizers.SGD()),
            {},
            r"optimizer must be \['Adam', 'momentum', 'velocity'\], got \['SGD'",
        ),
        (model_of, {"shuffle": False}, "shuffle must be True, got False"),
        (model_of, {"more": [EarlyStopping("loss")]}, "callbacks must be .*, got .*EarlyStopping"),
        (model_of, {"validation_split": 0.5}, r"batches must be \[3, 4\], got \[2, 4\]"),
    ],
)
def test_the_checkpoint_of_another_run(tmp_path, model, options, message):
    train(tmp_path / "run", KillAt(1, 1), killed=True)
    other = model()
    before, options = [w.tolist() for w in other.get_weights()], dict(options)
    with pytest.raises(ValueError, match=f"is the checkpoint of another run: {message}.*Give this run a backup_dir"):
        train(tmp_path / "run", *options.pop("more", []), model=other, **options)
    assert [w.tolist() for w in other.get_weights()] == before


def test_a_full_disk(tmp_path):
    """The write that fails raises; the checkpoints before it are whole; the run goes on when there is room again."""
    wanted = result(train(tmp_path / "whole"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(epoch, logs=None):
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # a write is cut short there, the next one fails

    try:
        with pytest.raises(OSError, match=r"backup-0000000003\.safetensors.*writing failed"):
            train(tmp_path / "run", LambdaCallback(on_epoch_begin=fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path / "run") == [f"backup-{n:010}.safetensors" for n in (1, 2)]
    for name in files(tmp_path / "run"):
        checkpoints.read(str(tmp_path / "run" / name))
    assert result(train(tmp_path / "run", LambdaCallback())) == wanted


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    """Said before the first step."""
    model = model_of()
    with pytest.raises(OSError, match="proc"):  # read-only for everybody, root too
        train("/proc/latchwork", model=model, save_freq="epoch")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train(tmp_path / "file", model=model)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write where permissions say no
    with pytest.raises(PermissionError, match="checkpoints cannot be written there"):
        train(tmp_path / "run", model=model)
    assert model.optimizer.iterations == 0


def test_states_of_every_kind(tmp_path):
    arrays = {"a": np.zeros((0, 3)), "b": np.full((), 0.1), "c": np.arange(6, dtype=np.float32).reshape(2, 3)}
    checkpoints.write(str(tmp_path / "s.safetensors"), State({"x": [1, float("nan"), 0.1, None, "ä"]}, arrays))
    found = checkpoints.read(str(tmp_path / "s.safetensors"))
    assert repr(found.plain) == repr({"x": [1, float("nan"), 0.1, None, "ä"]})
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


class Own(Callback):
    """State of many kinds, configuration, and what cannot be kept."""

    def __init__(self, limit=3):
        super().__init__()
        self.limit, self.seen, self.lock = limit, {}, threading.Lock()
        self.nested = {"t": (1, [2.5, None]), 3: np.arange(3), "f": np.float32(0.1)}

    def on_train_batch_end(self, batch, logs=None):
        self.seen[batch] = self.seen.get(batch, 0) + 1
        self.nested["f"] += np.float32(1)
        self.nested[3][1] += 1


def test_a_callback_of_your_own(tmp_path):
    own = Own()
    train(tmp_path / "run", own, KillAt(1, 2), killed=True)
    again = Own(limit=9)
    train(tmp_path / "run", again, KillAt(1, 2), killed=True)
    assert again.limit == 9
    assert again.seen == own.seen == {0: 2, 1: 2, 2: 1}
    assert again.nested["t"] == (1, [2.5, None])
    assert (again.nested["f"], again.nested[3].tolist()) == (own.nested["f"], [0, 6, 2])
    assert again.nested["f"].dtype == np.float32


# ---- signals --------------------------------------------------------------------------------------------------------


def terminated(folder, handler, after):
    """A fork whose SIGTERM comes after batch `after` of epoch 1. Returns its exit status."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, handler)
        count = []

        def press(batch, logs=None):
            count.append(batch)
            if len(count) == after + 4:
                os.kill(os.getpid(), signal.SIGTERM)

        try:
            train(folder, LambdaCallback(on_train_batch_end=press), save_freq="epoch")
            os._exit(0 if signal.getsignal(signal.SIGTERM) is handler else 7)
        except SystemExit:
            os._exit(3)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_sigterm_takes_a_checkpoint_first(tmp_path, after):
    wanted = result(train(tmp_path / "whole"))
    status = terminated(tmp_path / "run", signal.SIG_DFL, after)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM
    newest = checkpoints.read(str(tmp_path / "run" / files(tmp_path / "run")[-1]))
    assert newest.plain["iterations"] == 4 + after
    assert result(train(tmp_path / "run", LambdaCallback(), save_freq="epoch")) == wanted


class At(Callback):
    """Sends a signal from a hook of epoch 1, or what evaluates or predicts there, and notes the hooks behind it."""

    def __init__(self, where, number, path=None):
        super().__init__()
        self.where, self.number, self.path, self.epoch, self.sent = where, number, path, 0, False

    def note(self, hook):
        if self.sent and self.path:
            with self.path.open("a") as file:
                file.write(hook + "\n")
        if not self.sent and (hook, self.epoch) == (self.where, 1):
            self.sent = True
            os.kill(os.getpid(), self.number)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.note("epoch begin")

    def on_epoch_end(self, epoch, logs=None):
        if self.where == "evaluate in a hook" and epoch == 1 and not self.sent:
            inner = At("test batch end", self.number)
            inner.epoch = 1
            self.sent = True
            self.model.evaluate(X, Y, 4, 0, callbacks=inner)
        self.note("epoch end")

    def on_train_batch_begin(self, batch, logs=None):
        self.note("train batch begin")

    def on_train_batch_end(self, batch, logs=None):
        self.note("train batch end")

    def on_test_begin(self, logs=None):
        self.note("test begin")

    def on_test_batch_begin(self, batch, logs=None):
        self.note("test batch begin")

    def on_test_batch_end(self, batch, logs=None):
        self.note("test batch end")

    def on_test_end(self, logs=None):
        self.note("test end")


PLACES = {  # and the hooks that still run
    "epoch begin": ["train batch begin", "train batch end"],
    "train batch begin": ["train batch end"],
    "train batch end": [],
    "test begin": ["test batch begin", "test batch end"],
    "test batch begin": ["test batch end"],
    "test batch end": [],
    "test end": ["epoch end"],
    "epoch end": [],
    "evaluate in a hook": ["epoch end"],
}


def validated(stream):
    """Six rows, two at a time, as arrays or batch by batch."""
    if stream:
        return {"validation_data": [(X[i : i + 2], Y[i : i + 2]) for i in range(0, 6, 2)]}
    return {"validation_data": (X[:6], Y[:6]), "validation_batch_size": 2}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where", list(PLACES))
def test_sigterm_anywhere(tmp_path, where, stream):
    """The run ends by the signal, soon and with a checkpoint; one that goes on has the bits of one that was whole.

    Weights are their averages while it validates, and layers carry states through it: neither is in the checkpoint.
    """

    def run(folder, at):
        model = model_of(lw.optimizers.Adam(0.01, use_ema=True), stateful=True)
        swap = lw.callbacks.SwapEMAWeights()
        return train(folder, swap, at, model=model, save_freq="epoch", shuffle=False, **validated(stream))

    wanted = result(run(tmp_path / "whole", At(where, 0)))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            run(tmp_path / "run", At(where, signal.SIGTERM, tmp_path / "behind"))
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM
    behind = (tmp_path / "behind").read_text().split("\n")[:-1] if (tmp_path / "behind").exists() else []
    assert behind == PLACES[where]
    newest = checkpoints.read(str(tmp_path / "run" / files(tmp_path / "run")[-1]))
    assert newest.plain["iterations"] == {"epoch begin": 4, "train batch begin": 4, "train batch end": 4}.get(where, 6)
    assert result(run(tmp_path / "run", At(where, 0))) == wanted


def test_sigterm_from_outside_while_it_validates(tmp_path):
    """A validation of many minutes ends within the seconds that are left before SIGKILL."""
    ready, says = os.pipe()
    many = [(np.repeat(X, 300, 0), np.repeat(Y, 300, 0))] * 10_000

    def tell(batch, logs=None):
        if batch == 3:
            os.write(says, b"v")

    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            train(tmp_path, LambdaCallback(on_test_batch_end=tell), save_freq="epoch", validation_data=many)
        finally:
            os._exit(1)
    os.close(says)
    assert os.read(ready, 1) == b"v"
    began = time.monotonic()
    os.kill(child, signal.SIGTERM)
    status = os.waitpid(child, 0)[1]
    os.close(ready)
    assert os.WIFSIGNALED(status)
    assert time.monotonic() - began < 5
    assert checkpoints.read(str(tmp_path / files(tmp_path)[-1])).plain["iterations"] == 3


def test_sigterm_with_a_handler_of_your_own(tmp_path):
    def leave(number, frame):
        raise SystemExit

    assert os.WEXITSTATUS(terminated(tmp_path / "one", leave, 0)) == 3
    assert len(files(tmp_path / "one")) == 2

    def go_on(number, frame):
        (tmp_path / "heard").write_text("once more")

    assert os.WEXITSTATUS(terminated(tmp_path / "two", go_on, 1)) == 0
    assert (tmp_path / "heard").exists()
    assert os.WEXITSTATUS(terminated(tmp_path / "three", signal.SIG_IGN, 1)) == 0


def test_handlers_are_as_they_were(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    within = []
    train(tmp_path / "a", LambdaCallback(on_epoch_begin=lambda *_: within.append(signal.getsignal(signal.SIGTERM))))
    assert within[0] != before
    assert signal.getsignal(signal.SIGTERM) == before
    train(tmp_path / "a", KillAt(1, 1), killed=True)
    assert signal.getsignal(signal.SIGTERM) == before
    within.clear()
    note = LambdaCallback(on_epoch_begin=lambda *_: within.append(signal.getsignal(signal.SIGTERM)))
    model_of().fit(X, Y, epochs=1, verbose=0, callbacks=note)
    assert within == [before]
    thread = threading.Thread(target=train, args=(tmp_path / "b", note))  # signals are the main thread's
    thread.start()
    thread.join()
    assert within == [before] * 4


def test_a_forked_child_can_be_terminated(tmp_path):
    """Workers of a pool that is made in a callback inherit the handler."""
    ended = []

    def fork(epoch, logs=None):
        ready, says = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(says, b"r")
            time.sleep(20)
            os._exit(0)
        os.read(ready, 1)
        os.kill(child, signal.SIGTERM)
        ended.append(os.waitpid(child, 0)[1])

    train(tmp_path / "run", LambdaCallback(on_epoch_begin=fork), epochs=1)
    assert [os.WTERMSIG(status) for status in ended] == [signal.SIGTERM]


def test_ctrl_c_leaves_a_model_and_a_history():
    model, twin = model_of(), model_of()

    def press(batch, logs=None):
        if model.optimizer.iterations == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, 4, 9, 0, LambdaCallback(on_train_batch_end=press))
    assert model.history.epoch == [0]
    assert len(model.history.history["loss"]) == 1
    twin.fit(X, Y, 4, 1, 0)
    assert model.history.history == twin.history.history
    assert np.isfinite(model.predict(X)).all()
    assert model.fit(X, Y, 4, 1, 0) is model.history


@pytest.mark.parametrize("where", list(PLACES))
def test_ctrl_c_anywhere(where):
    """Weights are those of the steps that were made, History has the epochs that ended, and training goes on."""
    model, twin = model_of(), model_of()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, 4, 9, 0, At(where, signal.SIGINT), **validated(stream=False))
    steps = {"epoch begin": 3, "train batch begin": 3, "train batch end": 4}.get(where, 6)
    assert model.optimizer.iterations == steps
    assert model.history.epoch == [0]  # hooks at the end of an epoch run before History's
    twin.fit(X, Y, 4, 1, 0, **validated(stream=False))
    assert model.history.history == twin.history.history
    if steps > 3:
        twin.fit(X, Y, 4, 1, 0, steps_per_epoch=steps - 3)
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    assert model.fit(X, Y, 4, 1, 0) is model.history
    assert model.history.epoch == [0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackupAndRestore(""), "backup_dir must be a folder, got ''"),
        (lambda: BackupAndRestore("a", "batch"), "save_freq must be 'epoch' or a number of batches, got 'batch'"),
        (lambda: BackupAndRestore("a", 0), "save_freq must be 'epoch' or a number of batches, got 0"),
        (lambda: BackupAndRestore("a", keep=0), "keep must be a number of checkpoints, 1 or more, got 0"),
        (lambda: BackupAndRestore("a", delete_checkpoint=1), "delete_checkpoint must be True or False, got 1"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=f"^BackupAndRestore: {message}$"):
        make()


def test_two_of_them(tmp_path):
    with pytest.raises(ValueError, match="callbacks may hold one BackupAndRestore, got 2"):
        train(tmp_path / "a", BackupAndRestore(tmp_path / "b"))
