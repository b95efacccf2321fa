"""Layers with Keras' names, arguments and defaults. A layer holds parameters and configuration, nothing else."""

from latchwork.layers.base import Layer, Variable
from latchwork.layers.bidirectional import Bidirectional
from latchwork.layers.cell import Cell, GRUCell, LSTMCell, SimpleRNNCell
from latchwork.layers.dense import Activation, Dense
from latchwork.layers.dropout import Dropout
from latchwork.layers.embedding import Embedding
from latchwork.layers.explanation import CallPlan, Explanation
from latchwork.layers.gru import GRU
from latchwork.layers.input import Input
from latchwork.layers.lstm import LSTM
from latchwork.layers.masking import Masking
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.reshaping import Flatten, RepeatVector
from latchwork.layers.rnn import RNN
from latchwork.layers.simple_rnn import SimpleRNN
from latchwork.layers.stacked import StackedRNNCells
from latchwork.layers.wrapper import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "Bidirectional",
    "CallPlan",
    "Cell",
    "Dense",
    "Dropout",
    "Embedding",
    "Explanation",
    "Flatten",
    "GRUCell",
    "Input",
    "LSTMCell",
    "Layer",
    "Masking",
    "Recurrent",
    "RepeatVector",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "TimeDistributed",
    "Variable",
]
