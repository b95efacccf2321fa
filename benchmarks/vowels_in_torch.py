"""examples/vowels.py beside torch on packed sequences: the same recipe, batches and initial weights in one run.

chrt -f 50 python benchmarks/vowels_in_torch.py speed
python benchmarks/vowels_in_torch.py accuracy --seeds 10
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import vowels

BATCH = vowels.BATCH
Batch = tuple[lw.Ragged, np.ndarray]


class Net(torch.nn.Module):
    """Bidirectional(LSTM) and Dense with latchwork's weights: what `vowels.build` makes."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        super().__init__()
        *directions, dense, dense_bias = weights
        units = len(dense) // 2
        self.lstm = torch.nn.LSTM(len(directions[0]), units, bidirectional=True)
        self.dense = torch.nn.Linear(2 * units, len(dense_bias))
        values = []
        for kernel, recurrent_kernel, bias in (directions[:3], directions[3:]):  # the gates of both are i, f, g, o
            values += [kernel.T, recurrent_kernel.T, bias, np.zeros_like(bias)]
        self.to(torch.from_numpy(dense).dtype)
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), [*values, dense.T, dense_bias], strict=True):
                parameter.copy_(torch.from_numpy(value.copy()))
        self.lstm.bias_hh_l0.requires_grad_(False)  # one bias, as in latchwork: Adam on two would step twice
        self.lstm.bias_hh_l0_reverse.requires_grad_(False)

    def forward(self, x: PackedSequence) -> torch.Tensor:
        _, (h, _) = self.lstm(x)
        return self.dense(torch.cat([h[0], h[1]], dim=1))

    def arrays(self) -> list[np.ndarray]:
        """As latchwork's `get_weights` has them."""
        by_name = {name: p.detach().numpy() for name, p in self.named_parameters()}
        recurrent = [
            by_name[f"lstm.{name}_l0{end}"]
            for end in ("", "_reverse")
            for name in ("weight_ih", "weight_hh", "bias_ih")
        ]
        return [array.T for array in (*recurrent, by_name["dense.weight"], by_name["dense.bias"])]


def keras_epsilon(adam: torch.optim.Adam, step: int) -> None:
    """Keras adds epsilon to the root of the second moment before that is corrected, torch after."""
    adam.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**step) ** 0.5


class InTorch:
    """The training loop by hand, with the fused Adam."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.net, self.loss = Net(weights), torch.nn.CrossEntropyLoss()
        learning = [p for p in self.net.parameters() if p.requires_grad]
        self.optimizer, self.steps = torch.optim.Adam(learning, lr=0.001, fused=True), 0

    def read(self, batch: Batch) -> tuple[PackedSequence, torch.Tensor]:
        x, y = batch
        return pack_sequence([torch.from_numpy(s.copy()) for s in x], enforce_sorted=False), torch.from_numpy(y)

    def step(self, batch: tuple[PackedSequence, torch.Tensor]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.net(batch[0]), batch[1]).backward()
        self.steps += 1
        keras_epsilon(self.optimizer, self.steps)
        self.optimizer.step()

    def accuracy(self, data: Batch) -> float:
        x, y = self.read(data)
        with torch.inference_mode():
            return float((self.net(x).argmax(1) == y).double().mean())


class InLatchwork:
    """The example's model, step by step."""

    def __init__(self, model: lw.models.Sequential) -> None:
        self.model = model

    def step(self, batch: Batch) -> None:
        self.model.train_on_batch(*batch)

    def accuracy(self, data: Batch) -> float:
        return self.model.evaluate(*data)[1]


def pair(seed: int, dtype: str = "float32") -> tuple[InLatchwork, InTorch]:
    """Both, beginning with the same weights."""
    lw.set_seed(seed)
    model = vowels.build(dtype=dtype)
    return InLatchwork(model), InTorch(model.get_weights())


def batches(data: Batch, seed: int, epoch: int) -> Iterator[Batch]:
    """The samples of an epoch, shuffled, in batches of 27."""
    x, y = data
    order = lw.data.permutation(len(x), seed=seed, epoch=epoch)
    for chosen in np.split(order, range(BATCH, len(x), BATCH)):
        yield lw.Ragged.from_list([x[i] for i in chosen]), y[chosen]


def accuracy(train: Batch, test: Batch, seeds: int, epochs: int) -> None:
    found: dict[str, list[float]] = {"latchwork": [], "torch": []}
    torch.set_num_threads(1)  # it is no faster on two, and slower where others run
    for seed in range(seeds):
        ours, theirs = pair(seed)
        for epoch in range(epochs):
            for batch in batches(train, seed, epoch):
                ours.step(batch)
                theirs.step(theirs.read(batch))
        found["latchwork"].append(ours.accuracy(test))
        found["torch"].append(theirs.accuracy(test))
        print(f"seed {seed}   " + "   ".join(f"{name} {values[-1]:.4f}" for name, values in found.items()), flush=True)
    means = {name: statistics.mean(values) for name, values in found.items()}
    errors = {name: statistics.stdev(values) / seeds**0.5 for name, values in found.items()}
    for name in found:
        print(f"{name:<10} mean accuracy {means[name]:.4f}, standard error {errors[name]:.4f}")
    apart = abs(means["latchwork"] - means["torch"])
    print(f"apart by {apart / errors['torch']:.2f} standard errors of torch's mean")


def speed(train: Batch, rounds: int) -> None:
    """Milliseconds a training step, taken in turns: of batches made beforehand, and of epochs as a user writes them,
    which shuffle and lay the batches together too. Neither computes a metric. Each on one thread and on all."""
    ours, theirs = pair(0)
    ours.model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    x, y = train
    parts = list(batches(train, 0, 0))
    packed = [theirs.read(batch) for batch in parts]
    tensors, speakers = [torch.from_numpy(s.copy()) for s in x], torch.from_numpy(y)

    def epoch_in_torch() -> None:
        for chosen in torch.randperm(len(y)).split(BATCH):
            theirs.step((pack_sequence([tensors[i] for i in chosen], enforce_sorted=False), speakers[chosen]))

    engines: dict[tuple[str, str], tuple[Callable[[int], None], Callable[[], Any]]] = {
        ("batches made before", "latchwork"): (lw.set_num_threads, lambda: [ours.step(batch) for batch in parts]),
        ("batches made before", "torch"): (torch.set_num_threads, lambda: [theirs.step(batch) for batch in packed]),
        ("whole epochs", "latchwork"): (
            lw.set_num_threads,
            lambda: ours.model.fit(x, y, batch_size=BATCH, verbose=0),
        ),
        ("whole epochs", "torch"): (torch.set_num_threads, epoch_in_torch),
    }
    counts = sorted({1, lw.cpu.num_threads()})
    taken: dict[tuple[str, str, int], list[float]] = {}
    for _ in range(rounds):
        for (what, name), (set_threads, run) in engines.items():
            for threads in counts:
                set_threads(threads)
                time.sleep(0.05)  # until the other's workers sleep
                (ours.step(parts[0]) if name == "latchwork" else theirs.step(packed[0]))
                start = time.perf_counter()
                run()
                taken.setdefault((what, name, threads), []).append((time.perf_counter() - start) * 1e3 / len(parts))
    best: dict[tuple[str, str], float] = {}
    for (what, name, threads), each in taken.items():
        low, middle, high = np.percentile(each, [25, 50, 75])
        best[what, name] = min(best.get((what, name), middle), middle)
        print(f"{what:<20} {name:<10} {threads} thread(s) {middle:8.3f} ms a step (quartiles {low:.3f} to {high:.3f})")
    for what in ("batches made before", "whole epochs"):
        print(f"{what:<20} torch / latchwork, each at its best: {best[what, 'torch'] / best[what, 'latchwork']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("accuracy", "speed"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    print(f"latchwork {lw.__version__} ({lw.cpu.isa()}), torch {torch.__version__}, numpy {np.__version__}")
    folder = vowels.data_folder()
    train, test = (vowels.read(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    if given.what == "speed":
        speed(train, given.rounds)
    else:
        accuracy(train, test, given.seeds, given.epochs)


if __name__ == "__main__":
    main()
