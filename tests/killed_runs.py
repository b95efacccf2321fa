"""Training that is killed and run again; run as a program by test_backup.py: `killed_runs.py FOLDER SEED KILLS`.

Each run is the child of a fork: it trains the same small model with a BackupAndRestore, until it is killed with SIGKILL
at a random moment, or in the midst of a write, or ends. It prints a line of JSON: how often runs were killed, how often
with a temporary file left behind, and in how many different places they went on.
"""

import hashlib
import json
import os
import random
import select
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

import latchwork as lw
from latchwork.callbacks import checkpoints

# What differs between the programs: (optimizer, save_freq, stateful)
PROGRAMS = [
    (lambda: lw.optimizers.Nadam(0.01), "epoch", False),
    (lambda: lw.optimizers.Adam(lw.schedules.CosineDecay(0.02, 40), use_ema=True, ema_overwrite_frequency=7), 1, False),
    (lambda: lw.optimizers.SGD(0.05, momentum=0.9, clipnorm=0.5), 5, True),
]
EPOCHS, ROWS, BATCH = 4, 36, 6


def program(number, folder, tell):
    """The user's program. Returns what must be the same bits."""
    optimizer, save_freq, stateful = PROGRAMS[number]
    lw.set_seed(7)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 5, 2)), rng.normal(size=(ROWS, 1))
    layers = [lw.layers.LSTM(24, stateful=stateful), lw.layers.Dropout(0.3), lw.layers.Dense(500), lw.layers.Dense(1)]
    model = lw.models.Sequential([lw.layers.Input((5, 2)), *layers], dtype="float64")
    made = optimizer()
    model.compile(made, "mse", metrics=["mae"])
    callbacks = [
        lw.callbacks.BackupAndRestore(folder / "backup", save_freq, delete_checkpoint=False),
        lw.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=not made.use_ema),
        lw.callbacks.CSVLogger(folder / "log.csv"),
        lw.callbacks.LambdaCallback(on_train_begin=lambda logs=None: tell(b"b")),
    ]
    if made.schedule is None:
        callbacks.append(lw.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.5, factor=0.5))
    history = model.fit(x, y, BATCH, EPOCHS, 0, callbacks, validation_data=(x[:12], y[:12]), shuffle=not stateful)
    digest = hashlib.sha256()
    for array in (*model.get_weights(), *made.slots.values()):
        digest.update(array.tobytes())
    return (
        repr((digest.hexdigest(), made.iterations, model.epochs_trained, history.epoch, history.history))
        + (folder / "log.csv").read_text()
    )


def run_once(number, folder, kill):
    """A fork that runs the program; kill(pid, ready) may kill it. Returns its result, None if it was killed."""
    ready, says = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            save = checkpoints.write

            def telling(*arguments):
                os.write(says, b"w")
                save(*arguments)

            checkpoints.write = telling
            result = program(number, folder, lambda text: os.write(says, text))
            (folder / "result").write_text(result)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    os.close(says)
    kill(child, ready)
    _, status = os.waitpid(child, 0)
    os.close(ready)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return None
    assert os.WEXITSTATUS(status) == 0, "the program failed"
    return (folder / "result").read_text()


def wait_for(ready, wanted, count):
    """Until the child has told `wanted` so often; False if it ended before."""
    while count:
        text = os.read(ready, 1)
        if not text:
            return False
        count -= text == wanted
    return True


def killer(rng, seconds):
    """Kills at a random moment of the training, or some hundred microseconds into a write."""
    in_write = rng.random() < 0.5

    def kill(child, ready):
        if not wait_for(ready, b"w" if in_write else b"b", rng.randint(1, 3) if in_write else 1):
            return
        delay = rng.uniform(0, 0.003) if in_write else rng.uniform(0, seconds)
        end = time.monotonic() + delay
        while time.monotonic() < end and not (select.select([ready], [], [], 0)[0] and not os.read(ready, 1)):
            time.sleep(delay / 10)
        os.kill(child, signal.SIGKILL)

    return kill


def main(folder, seed, kills):
    rng = random.Random(seed)
    counted = {"killed": 0, "in_a_write": 0, "places": set(), "finished": 0}
    wanted, seconds = [], []
    for number in range(len(PROGRAMS)):
        began = time.monotonic()
        (folder / "whole").mkdir()
        wanted.append(run_once(number, folder / "whole", lambda child, ready: None))
        seconds.append(time.monotonic() - began)
        shutil.rmtree(folder / "whole")
    number = 0
    while counted["killed"] < kills:
        (folder / "run").mkdir()
        found = None
        while found is None:
            kill = killer(rng, seconds[number]) if counted["killed"] < kills else (lambda child, ready: None)
            found = run_once(number, folder / "run", kill)
            if found is None:
                counted["killed"] += 1
                left = [p.name for p in (folder / "run" / "backup").glob("*")]
                counted["in_a_write"] += any(name.endswith(".tmp") for name in left)
                counted["places"].add((number, max((n for n in left if not n.endswith(".tmp")), default="")))
        assert found == wanted[number], f"program {number}:\n{found}\nmust be\n{wanted[number]}"
        left = [p.name for p in (folder / "run" / "backup").glob(".*")]
        assert not left, f"temporary files were not removed: {left}"
        counted["finished"] += 1
        shutil.rmtree(folder / "run")
        number = (number + 1) % len(PROGRAMS)
    print(json.dumps(counted | {"places": len(counted["places"])}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
