"""Hooks into training, with Keras' names, arguments and defaults."""

from latchwork.callbacks.averages import SwapEMAWeights
from latchwork.callbacks.backup import BackupAndRestore
from latchwork.callbacks.base import Callback, CallbackList, History, LambdaCallback
from latchwork.callbacks.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from latchwork.callbacks.others import CSVLogger, LearningRateScheduler, TerminateOnNaN
from latchwork.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
