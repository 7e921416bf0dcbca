"""Events in HDF5 files, in the layouts of Metavision, of DSEC and of plain columns."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.columns import ColumnRules, Columns, choose_unit, interleave
from microexpr_ros.events.files.raw import sensor_of
from microexpr_ros.events.files.recording import Recording, agree_on_sensor, explain_read_errors

_BLOCK_ROWS: Final = 1 << 17
_TRIGGERS: Final = 'EXT_TRIGGER/events'


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of the datasets with the events of a file.

    Attributes:
        name: for people.
        datasets: one with fields t, x, y and p, or one for each of these.
        time_unit: unit of the times, None if the layout does not define it.
        signs: other datasets by which the layout is recognized.
    """

    name: str
    datasets: tuple[str, ...]
    time_unit: str | None = None
    signs: tuple[str, ...] = ()


_COLUMNS: Final = ('events/t', 'events/x', 'events/y', 'events/p')
_DSEC: Final = _Layout('DSEC', _COLUMNS, 'us', ('ms_to_idx', 't_offset'))
_LAYOUTS: Final = (
    _Layout('Metavision', ('CD/events',), 'us'),
    _DSEC,
    _Layout('columns', _COLUMNS),
    _Layout('columns', ('events/ts', 'events/xs', 'events/ys', 'events/ps')),
)

_ECF: Final = 0x8ECF
_FILTERS: Final = {
    32001: 'blosc',
    32004: 'lz4',
    32008: 'bitshuffle',
    32015: 'zstd',
    32026: 'blosc2',
    _ECF: 'ECF',
}
"""Compressions that the HDF5 library only has through plug-ins."""


class Hdf5Recording(Recording):
    """Events in an HDF5 file.

    Three layouts are known: `CD/events` of Metavision, with triggers and sensor;
    `events/{t,x,y,p}`, which in DSEC's files are in us, with the host time of 0 as t_offset;
    and `events/{ts,xs,ys,ps}`.
    """

    def __init__(
        self,
        path: Path,
        sensor: tuple[int, int] | None = None,
        time_unit: str | None = None,
    ) -> None:
        with _open(path) as file:
            layout = _find_layout(path, file)
            stored = sensor_of({key.lower(): str(value) for key, value in file.attrs.items()})
            first = next(_read_columns(path, file, layout), None)
            self.time_unit = layout.time_unit or choose_unit(path, time_unit, first)
            # Added to DSEC's times, it makes those of its images.
            epoch_us = int(file['t_offset'][()]) if layout is _DSEC else 0
        width, height = agree_on_sensor(path, stored, sensor)
        super().__init__(path, f'HDF5 {layout.name}', height, width, epoch_us * 1000)

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        with _open(self.path) as file:
            yield from interleave(self._read_events(file), _read_triggers(self.path, file))

    def _read_events(self, file: Any) -> Iterator[Events]:
        rules = ColumnRules(self.path, self.time_unit, self.height, self.width)
        layout = _find_layout(self.path, file)
        rows = len(file[layout.datasets[0]])
        done = 0
        for block in _read_columns(self.path, file, layout):
            done += len(block.t)
            self.fraction = done / rows
            yield rules.to_events(block)


def _find_layout(path: Path, file: Any) -> _Layout:
    for layout in _LAYOUTS:
        if all(_is_dataset(file, name) for name in layout.datasets + layout.signs):
            break
    else:
        places = '; '.join(dict.fromkeys(', '.join(known.datasets) for known in _LAYOUTS))
        raise MicroexprError(
            f'{path} has no events in a known layout: convert it to one of {places}'
        )
    shapes = {file[name].shape for name in layout.datasets}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise MicroexprError(f'{path} has columns of the shapes {sorted(shapes)}: repair it')
    for name in layout.datasets:
        _require_filters(path, file[name])
    return layout


def _is_dataset(file: Any, name: str) -> bool:
    return isinstance(file.get(name), h5py.Dataset)


def _require_filters(path: Path, dataset: Any) -> None:
    filters = dataset.id.get_create_plist()
    for i in range(filters.get_nfilters()):
        code = filters.get_filter(i)[0]
        if not h5py.h5z.filter_avail(code):
            remedy = (
                "install Prophesee's hdf5_ecf and set HDF5_PLUGIN_PATH to it, "
                'or export the recording as .raw'
                if code == _ECF
                else 'pip install hdf5plugin'
            )
            raise MicroexprError(
                f'{path} is compressed with {_FILTERS.get(code, "a filter")} (HDF5 filter '
                f'{code}), which is not installed: {remedy}'
            )


def _read_columns(path: Path, file: Any, layout: _Layout) -> Iterator[Columns]:
    for start in range(0, len(file[layout.datasets[0]]), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        with explain_read_errors(path):
            parts = [file[dataset][rows] for dataset in layout.datasets]
            if len(parts) == 1:
                parts = [parts[0][name] for name in 'txyp']
        yield Columns(*parts)


def _read_triggers(path: Path, file: Any) -> Iterator[Triggers]:
    if not _is_dataset(file, _TRIGGERS):
        return
    _require_filters(path, file[_TRIGGERS])
    for start in range(0, len(file[_TRIGGERS]), _BLOCK_ROWS):
        with explain_read_errors(path):
            part = file[_TRIGGERS][start : start + _BLOCK_ROWS]
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
