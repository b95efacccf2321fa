"""Layers with Keras' names, arguments and defaults. A layer holds parameters and configuration, nothing else."""

from latchwork.layers.base import Layer, Variable
from latchwork.layers.bidirectional import Bidirectional
from latchwork.layers.cell import Cell, GRUCell, LSTMCell, SimpleRNNCell
from latchwork.layers.convolution import Conv1D
from latchwork.layers.dense import Activation, Dense
from latchwork.layers.dropout import Dropout, GaussianNoise, SpatialDropout1D
from latchwork.layers.embedding import Embedding
from latchwork.layers.explanation import CallPlan, Explanation
from latchwork.layers.gru import GRU
from latchwork.layers.input import Input
from latchwork.layers.lstm import LSTM
from latchwork.layers.masking import Masking
from latchwork.layers.normalization import BatchNormalization, LayerNormalization, Normalization
from latchwork.layers.pooling import AveragePooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D, MaxPooling1D
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from latchwork.layers.rnn import RNN
from latchwork.layers.simple_rnn import SimpleRNN
from latchwork.layers.stacked import StackedRNNCells
from latchwork.layers.wrapper import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AveragePooling1D",
    "BatchNormalization",
    "Bidirectional",
    "CallPlan",
    "Cell",
    "Conv1D",
    "Dense",
    "Dropout",
    "Embedding",
    "Explanation",
    "Flatten",
    "GRUCell",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Input",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "Masking",
    "MaxPooling1D",
    "Normalization",
    "Permute",
    "Recurrent",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "SpatialDropout1D",
    "StackedRNNCells",
    "TimeDistributed",
    "Variable",
]
