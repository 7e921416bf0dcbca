"""Events in HDF5 files, in the layouts of Metavision, DSEC, MVSEC, v2e and of plain columns."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.ecf import ECF_FILTER, decode_ecf
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.columns import (
    COLUMN_NAMES,
    UNIT_OF_NAMES,
    ColumnRules,
    Columns,
    choose_unit,
    interleave,
)
from microexpr_ros.events.files.raw import sensor_of
from microexpr_ros.events.files.recording import (
    READ_ERRORS,
    UNREADABLE,
    Recording,
    agree_on_sensor,
    explain_read_errors,
)

_BLOCK_ROWS: Final = 1 << 17
_PIECE_ROWS: Final = 1 << 10
"""Rows that are left out together where a block cannot be read."""

_TRIGGERS: Final = 'EXT_TRIGGER/events'


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of the datasets with the events of a file.

    Attributes:
        name: for people.
        datasets: one with times, columns, rows and polarities, or one for each of these.
        fields: names of these four in the only dataset, or their numbers if it is [N, 4].
        time_unit: unit of the times, None if the layout does not define it.
        signs: other datasets by which the layout is recognized.
        sensor: columns and rows of the sensor, if the layout has always the same.
        kinds: kinds of numbers that the first dataset may have, as in `numpy.dtype.kind`.
    """

    name: str
    datasets: tuple[str, ...]
    fields: Sequence[str | int] = ()
    time_unit: str | None = None
    signs: tuple[str, ...] = ()
    sensor: tuple[int, int] | None = None
    kinds: str = 'biufV'

    def is_in(self, file: Any) -> bool:
        """Return whether a file has this layout."""
        found = [file.get(name) for name in self.datasets + self.signs]
        if not all(isinstance(dataset, h5py.Dataset) for dataset in found):
            return False
        first = found[0]
        if first.dtype.kind not in self.kinds:
            return False
        if not self.fields:
            return True
        if isinstance(self.fields[0], str):
            return set(self.fields) <= set(first.dtype.names or ()) and first.ndim == 1
        return first.dtype.names is None and first.shape[1:] == (len(self.fields),)


_TXYP: Final = COLUMN_NAMES[0]
_DSEC: Final = _Layout(
    'DSEC',
    tuple(f'events/{name}' for name in _TXYP),
    time_unit='us',
    signs=('ms_to_idx', 't_offset'),
)
_MVSEC: Final = _Layout('MVSEC', ('davis/left/events',), (2, 0, 1, 3), 's', sensor=(346, 260))
_LAYOUTS: Final = (
    _Layout('Metavision', ('CD/events',), _TXYP, 'us'),
    _DSEC,
    _MVSEC,
    *(
        _Layout('columns', tuple(group + name for name in names), (), UNIT_OF_NAMES.get(names))
        for group in ('events/', '')
        for names in COLUMN_NAMES
    ),
    *(_Layout('table', ('events',), names, UNIT_OF_NAMES.get(names)) for names in COLUMN_NAMES),
    _Layout('v2e', ('events',), range(4), 'us', kinds='iu'),
    _Layout('table', ('events',), range(4), kinds='f'),
)
_RIGHT_OF_MVSEC: Final = 'davis/right/events'
_OTHER_CAMERA: Final = 'events_of_right_camera'

_FILTERS: Final = {
    32001: 'blosc',
    32004: 'lz4',
    32008: 'bitshuffle',
    32015: 'zstd',
    32026: 'blosc2',
    ECF_FILTER: 'ECF',
}
"""Compressions that the HDF5 library only has through plug-ins; events in ECF need none."""


class Hdf5Recording(Recording):
    """Events in an HDF5 file, in one of the layouts that are known.

    Metavision's has triggers and the sensor. The times of DSEC count from `t_offset`, a host
    time. Rows that cannot be read are left out and counted.
    """

    def __init__(
        self,
        path: Path,
        sensor: tuple[int, int] | None = None,
        time_unit: str | None = None,
    ) -> None:
        with _open(path) as file, explain_read_errors(path):
            layout = _find_layout(path, file)
            stored = sensor_of({key.lower(): str(value) for key, value in file.attrs.items()})
            first = next(_read_columns(file, layout, {}), None)
            self.time_unit = layout.time_unit or choose_unit(path, time_unit, first)
            # Added to DSEC's times, it makes those of its images.
            epoch_us = int(file['t_offset'][()]) if layout is _DSEC else 0
            others = len(file[_RIGHT_OF_MVSEC]) if _is_right_left_out(file, layout) else 0
        width, height = agree_on_sensor(path, stored, sensor or layout.sensor)
        super().__init__(path, f'HDF5 {layout.name}', height, width, epoch_us * 1000)
        self.losses |= {UNREADABLE: 0, _OTHER_CAMERA: others}
        self._row = 0

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        self.losses[UNREADABLE] = 0
        return self._read_from((0, 0))

    def _read_from(self, place: tuple[int, int]) -> Iterator[tuple[Events, Triggers]]:
        row, trigger = place
        with _open(self.path) as file:
            with explain_read_errors(self.path):
                layout = _find_layout(self.path, file)
            read = self._read_events(file, layout, row)
            for events, triggers in interleave(read, _read_triggers(self.path, file, trigger)):
                trigger += len(triggers)
                self._place = self._row, trigger
                yield events, triggers

    def _read_events(self, file: Any, layout: _Layout, first: int) -> Iterator[Events]:
        rules = ColumnRules(self.path, self.time_unit, self.height, self.width)
        rows = len(file[layout.datasets[0]])
        self._row = first
        done = first - self.losses[UNREADABLE]
        for block in _read_columns(file, layout, self.losses, first):
            done += len(block.t)
            self._row = done + self.losses[UNREADABLE]
            self.fraction = self._row / rows
            yield rules.to_events(block)
        self._row = rows
        self.fraction = 1.0
        if rows and not done:
            raise MicroexprError(
                f'cannot read {self.path}: all its {rows} events are damaged, copy it again'
            )


def _is_right_left_out(file: Any, layout: _Layout) -> bool:
    return layout is _MVSEC and _is_dataset(file, _RIGHT_OF_MVSEC)


def _find_layout(path: Path, file: Any) -> _Layout:
    for layout in _LAYOUTS:
        if layout.is_in(file):
            break
    else:
        places = '; '.join(dict.fromkeys(', '.join(known.datasets) for known in _LAYOUTS))
        raise MicroexprError(
            f'{path} has no events in a known layout: convert it to one of {places}'
        )
    shapes = {file[name].shape for name in layout.datasets}
    if len(shapes) != 1 or (not layout.fields and len(next(iter(shapes))) != 1):
        raise MicroexprError(f'{path} has columns of the shapes {sorted(shapes)}: repair it')
    for name in layout.datasets:
        _require_filters(path, file[name])
    return layout


def _is_dataset(file: Any, name: str) -> bool:
    return isinstance(file.get(name), h5py.Dataset)


def _filters_of(dataset: Any) -> list[int]:
    """Return the numbers of the compressions of a dataset, in their order."""
    filters = dataset.id.get_create_plist()
    return [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]


def _require_filters(path: Path, dataset: Any) -> None:
    if _is_ecf(dataset):
        return
    for code in _filters_of(dataset):
        if not h5py.h5z.filter_avail(code):
            remedy = (
                "install Prophesee's hdf5_ecf and set HDF5_PLUGIN_PATH to it"
                if code == ECF_FILTER
                else 'pip install hdf5plugin'
            )
            raise MicroexprError(
                f'{path} is compressed with {_FILTERS.get(code, "a filter")} (HDF5 filter '
                f'{code}), which is not installed: {remedy}'
            )


def _is_ecf(dataset: Any) -> bool:
    """Return whether a dataset of events is compressed as Metavision does it."""
    return _filters_of(dataset) == [ECF_FILTER] and set(_TXYP) <= set(dataset.dtype.names or ())


def _read_columns(
    file: Any, layout: _Layout, losses: dict[str, int], first: int = 0
) -> Iterator[Columns]:
    """Iterate over the events from a row on, and count those that cannot be read."""
    datasets = [file[name] for name in layout.datasets]
    if _is_ecf(datasets[0]):
        yield from _read_ecf(datasets[0], losses, first)
        return
    rows = len(datasets[0])
    waiting = [
        (start, min(start + _BLOCK_ROWS, rows)) for start in range(first, rows, _BLOCK_ROWS)
    ]
    waiting.reverse()
    while waiting:
        start, stop = waiting.pop()
        try:
            parts = [dataset[start:stop] for dataset in datasets]
        except READ_ERRORS:
            if stop - start <= _PIECE_ROWS:
                losses[UNREADABLE] = losses.get(UNREADABLE, 0) + stop - start
            else:
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]
            continue
        if layout.fields:
            is_table = isinstance(layout.fields[0], int)
            parts = [parts[0][:, i] if is_table else parts[0][i] for i in layout.fields]
        yield Columns(*parts)


def _read_ecf(dataset: Any, losses: dict[str, int], first: int) -> Iterator[Columns]:
    """Iterate over the chunks of a dataset in Metavision's own compression."""
    rows, chunk_rows = len(dataset), dataset.chunks[0]
    for start in range(first, rows, chunk_rows):
        count = min(chunk_rows, rows - start)
        parts = None
        with suppress(*READ_ERRORS):
            skipped, chunk = dataset.id.read_direct_chunk((start,))
            if skipped:
                table = np.frombuffer(chunk, dataset.dtype, count)
                parts = tuple(table[name] for name in _TXYP)
            else:
                parts = decode_ecf(chunk)
        if parts is None or len(parts[0]) < count:
            losses[UNREADABLE] = losses.get(UNREADABLE, 0) + count
        else:
            yield Columns(*(part[:count] for part in parts))


def _read_triggers(path: Path, file: Any, first: int) -> Iterator[Triggers]:
    with explain_read_errors(path):
        if not _is_dataset(file, _TRIGGERS):
            return
        dataset = file[_TRIGGERS]
        _require_filters(path, dataset)
        rows = len(dataset)
    for start in range(first, rows, _BLOCK_ROWS):
        with explain_read_errors(path):
            part = dataset[start : start + _BLOCK_ROWS]
            t, channel, edge = part['t'].astype(np.int64) * 1000, part['id'], part['p'] > 0
        yield Triggers(t, channel.astype(np.uint8), edge.astype(np.uint8))


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    # Importing it registers further compressions.
    with suppress(ImportError):
        importlib.import_module('hdf5plugin')
    with explain_read_errors(path):
        file = h5py.File(path, 'r')
    with file:
        yield file
