"""torch's recurrent modules run by latchwork's functional calls: the place where gate orders are converted for tests.

torch keeps weights as [G*H, I]; its LSTM has the gates in Keras' order (i, f, g, o), its GRU has r, z, n for z, r, n.
"""

from dataclasses import dataclass

import numpy as np
import torch

from problems import CELLS


def _swap_gates(array, swap):
    """Exchanges the first two of three blocks along the last axis; its own inverse."""
    if not swap:
        return array
    first, second, third = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, third], axis=-1)


@dataclass
class Direction:
    """One layer in one direction: its parameters in our layout, and how its gradients go back to torch's names."""

    suffix: str  # "_l0", "_l1_reverse"; empty for a cell module
    module: torch.nn.Module
    cell: object

    def __post_init__(self):
        self.is_gru = isinstance(self.module, torch.nn.GRU | torch.nn.GRUCell)
        kernel, recurrent_kernel = self._weight("weight_ih"), self._weight("weight_hh")
        bias = None
        if self.module.bias:
            both = np.stack([self._weight("bias_ih"), self._weight("bias_hh")])
            bias = both if self.is_gru else both[0] + both[1]
        self.parameters = (kernel, recurrent_kernel, bias)

    def _weight(self, name):
        array = getattr(self.module, name + self.suffix).detach().numpy()
        return np.ascontiguousarray(_swap_gates(array.T, self.is_gru))

    def torch_gradients(self, gradients):
        named = {"weight_ih": gradients.kernel, "weight_hh": gradients.recurrent_kernel}
        if self.module.bias:
            rows = gradients.bias if self.is_gru else (gradients.bias, gradients.bias)
            named |= {"bias_ih": rows[0], "bias_hh": rows[1]}
        return {name + self.suffix: _swap_gates(value, self.is_gru).T for name, value in named.items()}


def cell_of(module):
    if isinstance(module, torch.nn.LSTM | torch.nn.LSTMCell):
        return CELLS["lstm"]
    if isinstance(module, torch.nn.GRU | torch.nn.GRUCell):
        return CELLS["gru"]
    return CELLS[f"rnn_{module.nonlinearity}"]


def _flip(array, lengths):
    """Turns each sequence of [B, T, F] around within its own length."""
    out = np.zeros_like(array)
    for b, length in enumerate(lengths):
        out[b, :length] = array[b, :length][::-1]
    return out


class Stack:
    """A torch.nn.LSTM, GRU or RNN: layers of one or two directions, each one functional call."""

    def __init__(self, module):
        cell = cell_of(module)
        ends = ("", "_reverse") if module.bidirectional else ("",)
        self.layers = [[Direction(f"_l{k}{end}", module, cell) for end in ends] for k in range(module.num_layers)]
        self.directions = len(ends)
        self.cell = cell

    def forward(self, x, states, lengths):
        """x [B, T, I]; states: arrays [layers * directions, B, H]. Returns y and states of the same shapes."""
        self.contexts, self.lengths, final = [], np.asarray(lengths), []
        for k, layer in enumerate(self.layers):
            outputs = []
            for d, direction in enumerate(layer):
                state = tuple(np.ascontiguousarray(s[k * self.directions + d]) for s in states)
                y, state, ctx = self.cell.run(x, direction.parameters, state, lengths=self.lengths, reverse=d == 1)
                outputs.append(_flip(y, lengths) if d == 1 else np.array(y))
                final.append(state)
                self.contexts.append(ctx)
            x = np.ascontiguousarray(np.concatenate(outputs, axis=-1))
        return x, tuple(np.stack(s) for s in zip(*final, strict=True))

    def backward(self, dy, d_states):
        """Returns dx, the gradients of the initial states, and those of the parameters by torch's names."""
        named, d_initial = {}, [None] * len(self.contexts)
        for k in reversed(range(len(self.layers))):
            parts = np.split(dy, self.directions, axis=-1)
            dy = None
            for d, direction in enumerate(self.layers[k]):
                at = k * self.directions + d
                part = _flip(parts[d], self.lengths) if d == 1 else np.ascontiguousarray(parts[d])
                d_state = tuple(np.ascontiguousarray(s[at]) for s in d_states)
                gradients = self.cell.backward(self.contexts[at], part, d_state)
                named |= direction.torch_gradients(gradients)
                d_initial[at] = gradients.state
                dy = gradients.x if dy is None else dy + gradients.x
        return dy, tuple(np.stack(s) for s in zip(*d_initial, strict=True)), named
