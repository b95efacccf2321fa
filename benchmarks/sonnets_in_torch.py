"""examples/sonnets.py beside torch: the same recipe, streams and initial weights, truncated back-propagation by hand.

python benchmarks/sonnets_in_torch.py --seeds 3
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

import latchwork as lw

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import sonnets

from vowels_in_torch import keras_epsilon

RATE, CLIP = 0.005, 1.0
Streams = tuple[np.ndarray, np.ndarray]  # x and y, [streams, T] each


class Net(torch.nn.Module):
    """Embedding, LSTM, Dense with latchwork's weights."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        super().__init__()
        embedding, kernel, recurrent_kernel, bias, dense, dense_bias = weights
        self.embedding = torch.nn.Embedding(*embedding.shape)
        self.lstm = torch.nn.LSTM(len(kernel), len(dense), batch_first=True)
        self.dense = torch.nn.Linear(*dense.shape)
        self.to(torch.from_numpy(dense).dtype)
        values = (embedding, kernel.T, recurrent_kernel.T, bias, np.zeros_like(bias), dense.T, dense_bias)
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), values, strict=True):
                parameter.copy_(torch.from_numpy(value.copy()))
        self.lstm.bias_hh_l0.requires_grad_(False)  # one bias, as in latchwork
        self.learning = [p for p in self.parameters() if p.requires_grad]

    def arrays(self) -> list[np.ndarray]:
        embedding, kernel, recurrent_kernel, bias, dense, dense_bias = (p.detach().numpy() for p in self.learning)
        return [embedding, kernel.T, recurrent_kernel.T, bias, dense.T, dense_bias]


class InTorch:
    """What `fit(tbptt=...)` does."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.net, self.loss, self.steps = Net(weights), torch.nn.CrossEntropyLoss(), 0
        self.optimizer = torch.optim.Adam(self.net.learning, lr=RATE, fused=True)

    def epoch(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """The streams from their beginning, a step of the optimizer a piece: the mean loss of a letter."""
        state, total = None, 0.0
        for piece, target in zip(x.split(sonnets.PIECE, dim=1), y.split(sonnets.PIECE, dim=1), strict=True):
            self.optimizer.zero_grad(set_to_none=True)
            hidden, state = self.net.lstm(self.net.embedding(piece), state)
            state = (state[0].detach(), state[1].detach())  # it goes on, gradients end
            loss = self.loss(self.net.dense(hidden).flatten(0, 1), target.flatten())
            loss.backward()
            for parameter in self.net.learning:  # Keras' clipnorm: each by its own norm, to which torch's adds 1e-6
                parameter.grad *= CLIP / torch.linalg.vector_norm(parameter.grad).clamp(min=CLIP)
            self.steps += 1
            keras_epsilon(self.optimizer, self.steps)
            self.optimizer.step()
            total += loss.item() * target.numel()
        return total / y.numel()


def epoch_in_latchwork(model: lw.models.Sequential, streams: Streams, epoch: int) -> float:
    fitted = model.fit(
        *streams, batch_size=sonnets.STREAMS, tbptt=sonnets.PIECE, initial_epoch=epoch, epochs=epoch + 1, verbose=0
    )
    return float(fitted.history["loss"][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    print(f"latchwork {lw.__version__} ({lw.cpu.isa()}), torch {torch.__version__}, numpy {np.__version__}")
    text, held_out = sonnets.load()
    alphabet = lw.data.CharacterVocabulary(text + held_out)
    streams = sonnets.in_streams(alphabet.encode(text), sonnets.STREAMS)
    tensors = [torch.from_numpy(part) for part in streams]
    later = sonnets.in_streams(alphabet.encode(held_out), 1)

    for seed in range(given.seeds):
        lw.set_seed(seed)
        ours = sonnets.build(len(alphabet))
        theirs = InTorch(ours.get_weights())
        seconds, apart = [0.0, 0.0], []
        for epoch in range(given.epochs):
            start = time.perf_counter()
            loss = epoch_in_latchwork(ours, streams, epoch)
            between = time.perf_counter()
            apart.append(abs(theirs.epoch(*tensors) - loss))
            seconds[0] += between - start
            seconds[1] += time.perf_counter() - between
        found = [ours.evaluate(*later)[1]]
        ours.set_weights(theirs.net.arrays())
        found.append(ours.evaluate(*later)[1])
        print(
            f"seed {seed}  losses apart by {apart[0]:.0e} after 1 epoch, {apart[-1]:.0e} in the last; "
            f"perplexity of lines not seen: latchwork {found[0]:.2f}, torch {found[1]:.2f}; "
            f"trained in {seconds[0]:.1f} s and {seconds[1]:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
