"""examples/handwriting.py beside torch: packed sequences, `torch.nn.CTCLoss`, the same recipe and initial weights.

python benchmarks/handwriting_in_torch.py --seeds 3
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import handwriting

from vowels_in_torch import Net, keras_epsilon

BATCH, RATE, CLIP = 32, 0.005, 5.0


class Writing(Net):
    """`handwriting.build`, an output at every step."""

    def forward(self, x: PackedSequence) -> tuple[torch.Tensor, torch.Tensor]:
        y, lengths = pad_packed_sequence(self.lstm(x)[0])
        return self.dense(y), lengths  # [T, B, 11]


class InTorch:
    def __init__(self, weights: list[np.ndarray]) -> None:
        self.net, self.steps = Writing(weights), 0
        self.learning = [p for p in self.net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.learning, lr=RATE, fused=True)
        self.loss = torch.nn.CTCLoss(blank=handwriting.BLANK, reduction="none")

    def step(self, sequences: list[torch.Tensor], labels: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        logits, lengths = self.net(pack_sequence(sequences, enforce_sorted=False))
        places = (labels > 0).sum(dim=1)
        self.loss(logits.log_softmax(dim=2), labels.clamp(min=0), lengths, places).mean().backward()
        for parameter in self.learning:  # Keras' clipnorm: each by its own norm
            torch.nn.utils.clip_grad_norm_([parameter], CLIP)
        self.steps += 1
        keras_epsilon(self.optimizer, self.steps)
        self.optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    print(f"latchwork {lw.__version__} ({lw.cpu.isa()}), torch {torch.__version__}, numpy {np.__version__}")
    rng = np.random.default_rng(0)
    x, y = handwriting.numbers(2000, rng)
    test = handwriting.numbers(300, rng)
    tensors, labels = [torch.from_numpy(s.astype(np.float32)) for s in x], torch.from_numpy(y)
    sequences = [s.astype(np.float32) for s in x]
    for seed in range(given.seeds):
        lw.set_seed(seed)
        ours = handwriting.build()
        theirs = InTorch(ours.get_weights())
        seconds = [0.0, 0.0]
        for epoch in range(given.epochs):
            order = lw.data.permutation(len(x), seed=seed, epoch=epoch)
            for chosen in np.split(order, range(BATCH, len(x), BATCH)):
                start = time.perf_counter()
                ours.train_on_batch(lw.Ragged.from_list([sequences[i] for i in chosen]), y[chosen])
                between = time.perf_counter()
                theirs.step([tensors[i] for i in chosen], labels[chosen])
                seconds[0] += between - start
                seconds[1] += time.perf_counter() - between
        rates = [handwriting.error_rate(ours, *test)]
        ours.set_weights(theirs.net.arrays())
        rates.append(handwriting.error_rate(ours, *test))
        print(
            f"seed {seed}  label error rate: latchwork {rates[0]:.4f}, torch {rates[1]:.4f}; "
            f"trained in {seconds[0]:.1f} s and {seconds[1]:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
