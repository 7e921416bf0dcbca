"""Writing the folders of arrays that EVREAL reads, to compare reconstructions of others.

EVREAL: Towards a Comprehensive Benchmark and Analysis Suite for Event-based Video Reconstruction
(Ercan et al., CVPRW 2023).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.writers.writer import EventWriter

_COLUMNS: Final[dict[str, tuple[np.dtype[Any], tuple[int, ...]]]] = {
    'events_ts': (np.dtype('<f8'), ()),
    'events_xy': (np.dtype('<i2'), (2,)),
    'events_p': (np.dtype('u1'), ()),
}
"""Type and shape of what each event has in a file."""


class EvrealWriter(EventWriter):
    """Writes a folder of .npy files: events, grey frames, and how many events precede each.

    Times are in s of the sensor's clock. Frames get the size of the sensor, as both cameras are
    taken to see the same. Without frames their files are left out, as EVREAL expects.

    The events wait in files of their own until their number is known.
    """

    takes_frames: ClassVar[bool] = True

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        super().__init__(path, height, width, epoch_ns)
        path.mkdir()
        self._stack = ExitStack()
        self._columns = {name: self._open_beside() for name in (*_COLUMNS, 'images')}
        self._rows = 0
        self._frame_ns: list[int] = []

    def _open_beside(self) -> IO[bytes]:
        return self._stack.enter_context(tempfile.TemporaryFile(dir=self.path))

    def _write(self, events: Events, triggers: Triggers) -> None:
        self._rows += len(events)
        columns: dict[str, NDArray[Any]] = {
            'events_ts': events.t / 1e9,
            'events_xy': np.stack([events.x, events.y], axis=1),
            'events_p': events.p,
        }
        for name, (dtype, _) in _COLUMNS.items():
            self._columns[name].write(np.ascontiguousarray(columns[name], dtype).data)

    def write_frame(self, frame: Frame) -> None:
        """Write the next frame; the events may be written before or after."""
        grey = frame.pixels
        if grey.ndim == 3:
            grey = np.rint(grey @ np.array(srgb.LUMA, np.float32)).astype(np.uint8)
        if grey.shape != (self.height, self.width):
            shrinks = grey.shape[0] >= self.height
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            grey = np.asarray(cv2.resize(grey, (self.width, self.height), interpolation=method))
        self._columns['images'].write(np.ascontiguousarray(grey).data)
        self._frame_ns.append(frame.t)

    def _finish(self) -> None:
        for name, (dtype, shape) in _COLUMNS.items():
            self._save_column(name, dtype, (self._rows, *shape))
        if self._frame_ns:
            count = len(self._frame_ns)
            self._save_column('images', np.dtype('u1'), (count, self.height, self.width, 1))
            times_s = np.array(self._frame_ns, np.float64) / 1e9
            events_s = np.load(self.path / 'events_ts.npy', mmap_mode='r')
            before = np.searchsorted(events_s, times_s, 'right').astype(np.int64)
            np.save(self.path / 'images_ts.npy', times_s)
            np.save(self.path / 'image_event_indices.npy', before[:, None])
        described = {'sensor_resolution': [self.height, self.width]}
        (self.path / 'metadata.json').write_text(json.dumps(described) + '\n')

    def _save_column(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        described = {'descr': dtype.str, 'fortran_order': False, 'shape': shape}
        self._columns[name].seek(0)
        with (self.path / f'{name}.npy').open('wb') as file:
            np.lib.format.write_array_header_1_0(file, described)
            shutil.copyfileobj(self._columns[name], file, 1 << 20)

    def _release(self) -> None:
        self._stack.close()
