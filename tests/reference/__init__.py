"""Naive float64 cells written from the papers, for the kernels to be compared with.

Nothing here is vectorised over the batch or over time, and nothing is shared with the library: a cell is its
equations for one sample and one step, its backward is the chain rule written out. Weights are stored as the
library stores them: kernel [I, G*H], recurrent_kernel [H, G*H], gates in Keras' order.
"""

from reference.dense import Dense
from reference.elman import Elman
from reference.gru import GruResetAfter, GruResetBefore
from reference.lstm import Lstm
from reference.sequence import Run, backward, forward

__all__ = ["Dense", "Elman", "GruResetAfter", "GruResetBefore", "Lstm", "Run", "backward", "forward"]
