"""examples/sonnets.py beside torch: the same recipe, streams and initial weights, states handed from piece to piece.

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


class Net(torch.nn.Module):
    """Embedding, LSTM, Dense with latchwork's weights."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        super().__init__()
        embedding, kernel, recurrent_kernel, bias, dense, dense_bias = weights
        self.embedding = torch.nn.Embedding(*embedding.shape)
        self.lstm = torch.nn.LSTM(len(kernel), len(dense), batch_first=True)
        self.dense = torch.nn.Linear(*dense.shape)
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
    def __init__(self, weights: list[np.ndarray]) -> None:
        self.net, self.loss, self.steps = Net(weights), torch.nn.CrossEntropyLoss(), 0
        self.optimizer = torch.optim.Adam(self.net.learning, lr=RATE, fused=True)
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        hidden, state = self.net.lstm(self.net.embedding(x), self.state)
        self.state = (state[0].detach(), state[1].detach())
        self.loss(self.net.dense(hidden).flatten(0, 1), y.flatten()).backward()
        for parameter in self.net.learning:  # Keras' clipnorm: each by its own norm
            torch.nn.utils.clip_grad_norm_([parameter], CLIP)
        self.steps += 1
        keras_epsilon(self.optimizer, self.steps)
        self.optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    print(f"latchwork {lw.__version__} ({lw.cpu.isa()}), torch {torch.__version__}, numpy {np.__version__}")
    text, held_out = sonnets.load()
    alphabet = lw.data.CharacterVocabulary(text + held_out)
    x, y = sonnets.in_pieces(alphabet.encode(text), sonnets.STREAMS)
    later = sonnets.in_pieces(alphabet.encode(held_out), 1)

    def perplexity(model: lw.models.Sequential) -> float:
        model.reset_states()
        return float(np.exp(model.evaluate(*later, batch_size=1)))

    for seed in range(given.seeds):
        lw.set_seed(seed)
        ours = sonnets.build(len(alphabet))
        theirs = InTorch(ours.get_weights())
        seconds = [0.0, 0.0]
        for _ in range(given.epochs):
            ours.reset_states()
            theirs.state = None
            for first in range(0, len(x), sonnets.STREAMS):
                piece = slice(first, first + sonnets.STREAMS)
                tensors = torch.from_numpy(x[piece]), torch.from_numpy(y[piece])
                start = time.perf_counter()
                ours.train_on_batch(x[piece], y[piece])
                between = time.perf_counter()
                theirs.step(*tensors)
                seconds[0] += between - start
                seconds[1] += time.perf_counter() - between
        found = [perplexity(ours)]
        ours.set_weights(theirs.net.arrays())
        found.append(perplexity(ours))
        print(
            f"seed {seed}  perplexity of lines not seen: latchwork {found[0]:.2f}, torch {found[1]:.2f}; "
            f"trained in {seconds[0]:.1f} s and {seconds[1]:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
