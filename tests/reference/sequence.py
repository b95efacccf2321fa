"""Runs a cell over a batch, one sequence after another and one step after another, and back."""

from typing import NamedTuple

import numpy as np


class Run(NamedTuple):
    y: np.ndarray  # [B, T, H], in the order of processing, zero beyond a length
    state: tuple[np.ndarray, ...]  # each [B, H], after the last real step
    tapes: list  # [B][step] of (t, what the cell kept)


def forward(cell, x, state, lengths=None, reverse=False):
    B, T, _ = x.shape
    lengths = [T] * B if lengths is None else lengths
    y = np.zeros((B, T, state[0].shape[1]))
    final = tuple(s.copy() for s in state)
    tapes = [[] for _ in range(B)]
    for b in range(B):
        current = tuple(s[b] for s in state)
        times = range(lengths[b])
        for step, t in enumerate(reversed(times) if reverse else times):
            current, tape = cell.step(x[b, t], current)
            y[b, step] = current[0]
            tapes[b].append((t, tape))
        for s, value in zip(final, current, strict=True):
            s[b] = value
    return Run(y, final, tapes)


def backward(cell, x, run, dy, d_state):
    """Gradients of x and of the initial state; those of the parameters are added up in `cell.gradients`."""
    dx = np.zeros_like(x)
    d_initial = tuple(d.copy() for d in d_state)
    for b, tape_of_steps in enumerate(run.tapes):
        current = tuple(d[b] for d in d_state)
        for step in reversed(range(len(tape_of_steps))):
            t, tape = tape_of_steps[step]
            current = (current[0] + dy[b, step], *current[1:])
            dx[b, t], current = cell.step_backward(tape, current)
        for d, value in zip(d_initial, current, strict=True):
            d[b] = value
    return dx, d_initial
