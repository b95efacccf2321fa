"""Layers with Keras' names, arguments and defaults. A layer holds parameters and configuration, nothing else."""

from latchwork.layers.attention import AdditiveAttention, Attention
from latchwork.layers.base import Layer, Variable
from latchwork.layers.batch_normalization import BatchNormalization
from latchwork.layers.bidirectional import Bidirectional
from latchwork.layers.cell import Cell, GRUCell, LSTMCell, SimpleRNNCell
from latchwork.layers.concatenate import Concatenate
from latchwork.layers.convolution import Conv1D
from latchwork.layers.dense import Activation, Dense
from latchwork.layers.dot import Dot
from latchwork.layers.dropout import Dropout, GaussianNoise, SpatialDropout1D
from latchwork.layers.embedding import Embedding
from latchwork.layers.explanation import CallPlan, Explanation
from latchwork.layers.gru import GRU
from latchwork.layers.input import Input
from latchwork.layers.lstm import LSTM
from latchwork.layers.masking import Masking
from latchwork.layers.merge_functions import (
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from latchwork.layers.merging import Add, Average, Maximum, Merge, Minimum, Multiply, Subtract
from latchwork.layers.multi_head import MultiHeadAttention
from latchwork.layers.normalization import LayerNormalization, Normalization
from latchwork.layers.pooling import AveragePooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D, MaxPooling1D
from latchwork.layers.recurrent import Recurrent
from latchwork.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from latchwork.layers.rnn import RNN
from latchwork.layers.simple_rnn import SimpleRNN
from latchwork.layers.stacked import StackedRNNCells
from latchwork.layers.symbol import Symbol
from latchwork.layers.wrapper import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "AveragePooling1D",
    "BatchNormalization",
    "Bidirectional",
    "CallPlan",
    "Cell",
    "Concatenate",
    "Conv1D",
    "Dense",
    "Dot",
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
    "Maximum",
    "Merge",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "Permute",
    "Recurrent",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "SpatialDropout1D",
    "StackedRNNCells",
    "Subtract",
    "Symbol",
    "TimeDistributed",
    "Variable",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
