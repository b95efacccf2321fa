"""Layers with Keras' names, arguments and defaults. A layer holds parameters and configuration, nothing else."""

from latchwork.layers.base import Layer, Variable
from latchwork.layers.dense import Activation, Dense
from latchwork.layers.dropout import Dropout
from latchwork.layers.gru import GRU
from latchwork.layers.input import Input
from latchwork.layers.lstm import LSTM
from latchwork.layers.masking import Masking
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.simple_rnn import SimpleRNN

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Dense",
    "Dropout",
    "Input",
    "Layer",
    "Masking",
    "Recurrent",
    "SimpleRNN",
    "Variable",
]
