"""A folder of checkpoints: whole or not there, verified by hash, the last few kept."""

from __future__ import annotations

import errno
import os
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core

_NAME = re.compile(r"backup-(\d+)\.safetensors")
_FORMAT = {"format": "latchwork checkpoint", "format_version": "1"}
_TEMPORARY = re.compile(r"\.latchwork-(\d+)-\d+\.tmp")


@dataclass(eq=False, repr=False)
class State:
    """What a run goes on from: plain data that JSON can hold, and float arrays by name."""

    plain: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints `backup-N.safetensors` of one run in `folder`.

    A file is written beside its place, forced to the disk, then renamed: at any moment there is the whole file or none.
    Its metadata hold a SHA-256 of all that is in it.
    """

    def __init__(self, folder: str, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._good: list[int] = []  # numbers of the files that are to be kept, oldest first
        self._next = 0

    def open(self) -> None:
        """Make the folder, see what there is, remove the temporary files of processes that are gone.

        Raises:
            OSError: The folder cannot be made or written: now, not after the first epoch.
        """
        os.makedirs(self.folder, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(errno.EACCES, "checkpoints cannot be written there", self.folder)
        names = os.listdir(self.folder)
        self._good = sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))
        self._next = self._good[-1] + 1 if self._good else 0
        for name in names:
            found = _TEMPORARY.fullmatch(name)
            if found and (int(found[1]) == os.getpid() or not _is_alive(int(found[1]))):
                os.remove(os.path.join(self.folder, name))

    def newest(self) -> tuple[str, State] | None:
        """The path and content of the newest checkpoint that is whole; a warning for each newer one that is not.

        Raises:
            ValueError: There are checkpoints, and all are damaged.
        """
        damage = []
        for number in reversed(self._good):
            path = self._path(number)
            try:
                state = read(path)
            except (OSError, ValueError) as error:
                damage.append(str(error))
                continue
            self._good = self._good[: len(self._good) - len(damage)]
            for text in damage:
                warnings.warn(f"{text}; going on from the checkpoint before it", RuntimeWarning, stacklevel=2)
            return path, state
        if damage:
            told = "; ".join(damage)
            raise ValueError(f"no checkpoint in {self.folder} can be read: {told}. Remove the folder to begin anew")
        return None

    def save(self, state: State) -> None:
        """Write `state` as the newest one; then remove all but the last `keep`.

        Raises:
            OSError: It cannot be written; those that were there are as they were.
        """
        write(self._path(self._next), state)
        self._good = [*self._good, self._next][-self.keep :]
        self._next += 1
        for name in os.listdir(self.folder):
            found = _NAME.fullmatch(name)
            if found and int(found[1]) not in self._good:
                os.remove(os.path.join(self.folder, name))

    def delete(self) -> None:
        """Remove all checkpoints, and the folder if nothing else is in it."""
        if not os.path.isdir(self.folder):
            return
        for name in os.listdir(self.folder):
            if _NAME.fullmatch(name):
                os.remove(os.path.join(self.folder, name))
        self._good = []
        if not os.listdir(self.folder):
            os.rmdir(self.folder)

    def _path(self, number: int) -> str:
        return os.path.join(self.folder, f"backup-{number:010}.safetensors")


def write(path: str, state: State) -> None:
    """Write `state`, whole or not at all."""
    import json  # 2 ms, for this alone

    text = json.dumps(state.plain)
    metadata = _FORMAT | {"state": text, "sha256": _digest(text, state.arrays)}
    _core.write_safetensors(os.fsencode(path), list(state.arrays.items()), metadata)


def read(path: str) -> State:
    """What `write` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged.
    """
    import json

    file = _core.SafetensorsFile(os.fsencode(path))
    text, digest = file.metadata.get("state"), file.metadata.get("sha256")
    if text is None or digest is None or _FORMAT.items() - file.metadata.items():
        raise ValueError(f'"{path}" must be a checkpoint of {_FORMAT}, got {file.metadata.keys() or "no metadata"}')
    arrays = {name: file.read(name) for name in file.tensors}
    if _digest(text, arrays) != digest:
        raise ValueError(f'"{path}" is damaged: its SHA-256 must be {digest}, got {_digest(text, arrays)}')
    return State(json.loads(text), arrays)


def _digest(text: str, arrays: dict[str, NDArray[Any]]) -> str:
    import hashlib

    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        found.update(f"\n{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
