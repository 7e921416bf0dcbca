"""Writing numpy's .npz archives."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.arrays import EPOCH_NS, SENSOR, TIME_UNIT
from microexpr_ros.events.writers.writer import EventWriter

_TYPES: Final[dict[str, np.dtype[Any]]] = {
    't': np.dtype('<i8'),
    'x': np.dtype('<u2'),
    'y': np.dtype('<u2'),
    'p': np.dtype('u1'),
}


class NpzWriter(EventWriter):
    """Writes arrays t (us), x, y and p, and what they are: time_unit, sensor, epoch_ns.

    The columns wait in files of their own, beside the archive, until their length is known.
    """

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        super().__init__(path, height, width, epoch_ns)
        self._stack = ExitStack()
        self._columns = {name: self._open_beside(path) for name in _TYPES}
        self._rows = 0

    def _open_beside(self, path: Path) -> IO[bytes]:
        return self._stack.enter_context(tempfile.TemporaryFile(dir=path.parent))

    def _write(self, events: Events, triggers: Triggers) -> None:
        self._rows += len(events)
        columns: dict[str, NDArray[Any]]
        columns = {'t': events.t // 1000, 'x': events.x, 'y': events.y, 'p': events.p}
        for name, dtype in _TYPES.items():
            self._columns[name].write(columns[name].astype(dtype).data)

    def _finish(self) -> None:
        facts: dict[str, Any] = {
            TIME_UNIT: np.array('us'),
            SENSOR: np.array([self.width, self.height]),
            EPOCH_NS: np.array(self.epoch_ns),
        }
        with zipfile.ZipFile(self.path, 'w') as archive:
            for name, dtype in _TYPES.items():
                described = {'descr': dtype.str, 'fortran_order': False, 'shape': (self._rows,)}
                self._columns[name].seek(0)
                with archive.open(f'{name}.npy', 'w', force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, described)
                    shutil.copyfileobj(self._columns[name], member, 1 << 20)
            for name, value in facts.items():
                with archive.open(f'{name}.npy', 'w') as member:
                    np.lib.format.write_array(member, value)

    def _release(self) -> None:
        self._stack.close()
