"""Writing HDF5 files in the layouts of DSEC and of Metavision."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.ecf import ECF_AXIS_LIMIT, ECF_FILTER, encode_ecf
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.writers.writer import EventWriter

_CHUNK_ROWS: Final = 1 << 14
_PIECE_ROWS: Final = 1 << 20
_MAX_GAP_US: Final = 24 * 3600 * 1_000_000

# As Metavision declares them, padding included.
_CD: Final = np.dtype(
    {
        'names': ['x', 'y', 'p', 't'],
        'formats': ['<u2', '<u2', '<i2', '<i8'],
        'offsets': [0, 2, 4, 8],
        'itemsize': 16,
    }
)
_EXT_TRIGGER: Final = np.dtype(
    {
        'names': ['p', 't', 'id'],
        'formats': ['<i2', '<i8', '<i2'],
        'offsets': [0, 8, 16],
        'itemsize': 24,
    }
)
_INDEX: Final = np.dtype([('id', '<u8'), ('ts', '<i8')])
_INDEX_US: Final = 2000


class DsecWriter(EventWriter):
    """Writes events/{t,x,y,p}, ms_to_idx and t_offset, as DSEC has them, compressed by gzip.

    Times are in us from the whole ms of the first event; with t_offset added, they are host times
    where these are known, else sensor times.
    """

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        super().__init__(path, height, width, epoch_ns)
        self._file = h5py.File(path, 'w')
        self._file.attrs.update(width=width, height=height)
        self._columns = {
            name: _make_dataset(self._file, f'events/{name}', dtype, compression='gzip')
            for name, dtype in (('t', '<i8'), ('x', '<u2'), ('y', '<u2'), ('p', 'u1'))
        }
        self._ms_to_idx = _make_dataset(self._file, 'ms_to_idx', '<u8', compression='gzip')
        self._start_us: int | None = None
        self._newest_ms = -1

    def _write(self, events: Events, triggers: Triggers) -> None:
        if len(events) == 0:
            return
        t_us = events.t // 1000
        if self._start_us is None:
            self._start_us = int(t_us[0]) // 1000 * 1000
        t_us = t_us - self._start_us
        first = len(self._columns['t'])
        # Entry k is the first event at k ms or later.
        ms = t_us // 1000
        steps = np.diff(ms, prepend=self._newest_ms)
        _require_gap(self.path, steps * 1000)
        _append_repeated(self._ms_to_idx, first + np.arange(len(ms)), steps)
        self._newest_ms = int(ms[-1])
        for name, column in (('t', t_us), ('x', events.x), ('y', events.y), ('p', events.p)):
            _append(self._columns[name], column)

    def _finish(self) -> None:
        self._file['t_offset'] = np.int64(self.epoch_ns // 1000 + (self._start_us or 0))

    def _release(self) -> None:
        self._file.close()


class MetavisionWriter(EventWriter):
    """Writes CD and EXT_TRIGGER, each with an index, as Metavision 4 does: events in ECF."""

    trigger_channels = 256

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        super().__init__(path, height, width, epoch_ns)
        if max(height, width) > ECF_AXIS_LIMIT:
            raise MicroexprError(
                f'Metavision files are of sensors of up to {ECF_AXIS_LIMIT} x {ECF_AXIS_LIMIT} '
                f'pixels, not {width} x {height}: choose another format'
            )
        self._file = h5py.File(path, 'w')
        self._file.attrs['version'] = '1.0'
        self._file.attrs['format'] = f'ECF;height={height};width={width}'
        self._file.attrs['geometry'] = f'{width}x{height}'
        self._events = _make_ecf_dataset(self._file.create_group('CD'), b'events')
        self._events_index = _Index(self._file, 'CD/indexes', path)
        self._triggers = _make_dataset(self._file, 'EXT_TRIGGER/events', _EXT_TRIGGER)
        self._triggers_index = _Index(self._file, 'EXT_TRIGGER/indexes', path)
        self._rest = Events.empty()

    def _write(self, events: Events, triggers: Triggers) -> None:
        self._events_index.add(events.t // 1000)
        self._triggers_index.add(triggers.t // 1000)
        edges = np.zeros(len(triggers), _EXT_TRIGGER)
        edges['t'], edges['id'], edges['p'] = triggers.t // 1000, triggers.id, triggers.edge
        _append(self._triggers, edges)
        # Only the last chunk may have less events.
        events = Events.concatenate((self._rest, events))
        whole = len(events) // _CHUNK_ROWS * _CHUNK_ROWS
        for start in range(0, whole, _CHUNK_ROWS):
            self._write_chunk(events[start : start + _CHUNK_ROWS])
        self._rest = events[whole:]

    def _write_chunk(self, events: Events) -> None:
        start = len(self._events)
        self._events.resize(start + len(events), axis=0)
        chunk = encode_ecf(events.t // 1000, events.x, events.y, events.p)
        self._events.id.write_direct_chunk((start,), chunk)

    def _finish(self) -> None:
        if len(self._rest):
            self._write_chunk(self._rest)
        self._events_index.finish()
        self._triggers_index.finish()

    def _release(self) -> None:
        self._file.close()


class _Index:
    """The index of a dataset of Metavision: an entry for each 2 ms from its first time on.

    Entry k + 1 has number and time of the first event of period k, or of the newest one before
    it that has events; entry 0 has none.
    """

    def __init__(self, file: Any, name: str, path: Path) -> None:
        self._dataset = _make_dataset(file, name, _INDEX)
        self._path = path
        self._first_us: int | None = None
        self._period = -1
        self._seen = 0
        self._entry = np.array([(0, -1)], _INDEX)

    def add(self, t_us: NDArray[np.int64]) -> None:
        """Add the times of the next events."""
        if len(t_us) == 0:
            return
        if self._first_us is None:
            self._first_us = int(t_us[0])
            self._dataset.attrs['offset'] = str(-self._first_us)
        t_us = t_us - self._first_us
        steps = np.diff(t_us // _INDEX_US, prepend=self._period)
        _require_gap(self._path, steps * _INDEX_US)
        firsts = np.flatnonzero(steps)
        entries = np.zeros(len(firsts), _INDEX)
        entries['id'], entries['ts'] = self._seen + firsts, t_us[firsts]
        entries = np.concatenate((self._entry, entries))
        _append_repeated(self._dataset, entries[:-1], steps[firsts])
        self._entry = entries[-1:]
        self._period = int(t_us[-1]) // _INDEX_US
        self._seen += len(t_us)

    def finish(self) -> None:
        """Write the last entry."""
        if self._seen:
            _append(self._dataset, self._entry)


def _require_gap(path: Path, steps_us: NDArray[np.int64]) -> None:
    """Refuse times that jump, because the index has entries for all times between."""
    if int(steps_us.max()) > _MAX_GAP_US:
        raise MicroexprError(
            f'the times of {path.name} jump by {steps_us.max() / 3.6e9:.1f} h, for which its '
            'index has no room: choose another format'
        )


def _make_dataset(file: Any, name: str, dtype: Any, **options: Any) -> Any:
    if options:
        options |= {'compression_opts': 1, 'shuffle': True}
    shape = {'shape': (0,), 'maxshape': (None,), 'chunks': (_CHUNK_ROWS,)}
    return file.create_dataset(name, dtype=dtype, **shape, **options)


def _make_ecf_dataset(group: Any, name: bytes) -> Any:
    """Make the dataset of events, which works without the plug-in that reads its chunks."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((_CHUNK_ROWS,))
    plan.set_filter(ECF_FILTER, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
    return h5py.Dataset(h5py.h5d.create(group.id, name, h5py.h5t.py_create(_CD), space, plan))


def _append(dataset: Any, values: NDArray[Any]) -> None:
    start = len(dataset)
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _append_repeated(dataset: Any, values: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Append each value so often, in pieces: gaps in time may be long."""
    ends = np.cumsum(counts)
    for start in range(0, int(ends[-1]) if len(ends) else 0, _PIECE_ROWS):
        rows = np.arange(start, min(start + _PIECE_ROWS, int(ends[-1])))
        _append(dataset, values[np.searchsorted(ends, rows, 'right')])
