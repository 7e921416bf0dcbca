"""Recordings in numpy's .npy and .npz files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.columns import (
    COLUMN_NAMES,
    UNIT_OF_NAMES,
    ColumnRules,
    Columns,
    choose_unit,
)
from microexpr_ros.events.files.recording import Recording, agree_on_sensor, explain_read_errors

_BLOCK_ROWS: Final = 1 << 17
_NAMES: Final = COLUMN_NAMES[0]


TIME_UNIT: Final = 'time_unit'
SENSOR: Final = 'sensor'
EPOCH_NS: Final = 'epoch_ns'
"""Arrays of an .npz that say what the events are: unit, columns and rows, host time at 0."""


class ArrayRecording(Recording):
    """A numpy file with times, columns, rows and polarities."""

    def __init__(
        self,
        path: Path,
        sensor: tuple[int, int] | None = None,
        time_unit: str | None = None,
    ) -> None:
        with _open_table(path) as table:
            first = next(table.blocks(0), None)
        self.time_unit = choose_unit(path, time_unit or table.time_unit, first)
        width, height = agree_on_sensor(path, table.sensor, sensor)
        kind = f'numpy {path.suffix}, times in {self.time_unit}'
        super().__init__(path, kind, height, width, table.epoch_ns)

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        return self._read_from(0)

    def _read_from(self, place: int) -> Iterator[tuple[Events, Triggers]]:
        rules = ColumnRules(
            self.path,
            self.time_unit,
            self.height,
            self.width,
            f'give columns in the order {", ".join(_NAMES)}',
        )
        done = place
        with _open_table(self.path) as table:
            for block in table.blocks(place):
                done += len(block.t)
                self.fraction = done / table.rows
                self._place = done
                yield rules.to_events(block), Triggers.empty()


@dataclass(frozen=True, slots=True)
class _Table:
    """Four columns of a file, read once in blocks from a row on, and what it says of them."""

    rows: int
    blocks: Callable[[int], Iterator[Columns]]
    time_unit: str | None = None
    sensor: tuple[int, int] | None = None
    epoch_ns: int = 0


@contextmanager
def _open_table(path: Path) -> Iterator[_Table]:
    with ExitStack() as stack:
        with explain_read_errors(path):
            if path.suffix.lower() == '.npy':
                if zipfile.is_zipfile(path):
                    raise MicroexprError(f'{path} is an archive: give it the suffix .npz')
                readers = {'': _from_member(partial(_open_file, stack, path))}
                facts: dict[str, Any] = {}
            else:
                archive = stack.enter_context(zipfile.ZipFile(path))
                names = [name.removesuffix('.npy') for name in archive.namelist()]
                readers = {
                    name: _from_member(partial(_open_member, stack, archive, f'{name}.npy'))
                    for name in _choose_arrays(path, names)
                }
                facts = _read_facts(path, names)
        if len(readers) == len(_NAMES):
            table = _table_of_columns(path, readers)
        else:
            table = _table_of_one(path, next(iter(readers.values())))
        yield replace(table, **facts)


def _read_facts(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return what an archive says of its events besides them."""
    makers: dict[str, Callable[[Any], Any]] = {
        TIME_UNIT: str,
        SENSOR: lambda size: (int(size[0]), int(size[1])),
        EPOCH_NS: int,
    }
    with np.load(path) as archive:
        return {name: make(archive[name]) for name, make in makers.items() if name in names}


def _choose_arrays(path: Path, names: Sequence[str]) -> Sequence[str]:
    for wanted in (*COLUMN_NAMES, ('events',)):
        if set(wanted) <= set(names):
            return wanted
    if len(names) != 1:
        raise MicroexprError(
            f'{path} holds {", ".join(names) or "no arrays"}: name one of its arrays events, '
            f'or four {", ".join(_NAMES)}'
        )
    return names


def _open_file(stack: ExitStack, path: Path) -> IO[bytes]:
    return stack.enter_context(path.open('rb'))


def _open_member(stack: ExitStack, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return stack.enter_context(archive.open(name))


@dataclass(frozen=True, slots=True)
class _ArrayReader:
    """An array that is read in order, _BLOCK_ROWS rows at a time.

    `skip` leaves out rows before that; in an archive they are decompressed all the same.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]
    skip: Callable[[int], None]


def _from_member(open_member: Callable[[], IO[bytes]]) -> _ArrayReader:
    file = open_member()
    shape, is_fortran, dtype = _read_npy_header(file)
    if is_fortran and shape[1:] == (len(_NAMES),):
        return _from_columns(open_member, shape, dtype)
    width = int(np.prod(shape[1:], dtype=np.int64))

    def read() -> NDArray[Any]:
        data = file.read(_BLOCK_ROWS * width * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(-1, *shape[1:])

    def skip(rows: int) -> None:
        _skip(file, rows, width * dtype.itemsize)

    return _ArrayReader(shape, dtype, read, skip)


def _from_columns(
    open_member: Callable[[], IO[bytes]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> _ArrayReader:
    """Read an array in Fortran order, each column through an open file of its own."""
    files = []
    for i in range(shape[1]):
        file = open_member()
        _read_npy_header(file)
        _skip(file, i * shape[0], dtype.itemsize)
        files.append(file)
    done = 0

    def read() -> NDArray[Any]:
        nonlocal done
        rows = min(_BLOCK_ROWS, shape[0] - done)
        done += rows
        size = rows * dtype.itemsize
        return np.stack([np.frombuffer(file.read(size), dtype) for file in files], 1)

    def skip(rows: int) -> None:
        nonlocal done
        done += rows
        for file in files:
            _skip(file, rows, dtype.itemsize)

    return _ArrayReader(shape, dtype, read, skip)


def _skip(file: IO[bytes], rows: int, row_bytes: int) -> None:
    # In steps, because a seek in an archive reads all bytes on the way into memory.
    for row in range(0, rows, _BLOCK_ROWS):
        file.seek(min(_BLOCK_ROWS, rows - row) * row_bytes, os.SEEK_CUR)


def _read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    shape, is_fortran, dtype = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version](file)
    if dtype.hasobject:
        raise ValueError('it holds Python objects')
    return shape, is_fortran, dtype


def _table_of_columns(path: Path, readers: Mapping[str, _ArrayReader]) -> _Table:
    shapes = {reader.shape for reader in readers.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise MicroexprError(f'{path} has columns of different shapes {sorted(shapes)}: repair it')
    rows = next(iter(shapes))[0]
    unit = UNIT_OF_NAMES.get(tuple(readers))
    return _Table(rows, partial(_read_columns, path, readers, rows), unit)


def _read_columns(
    path: Path, readers: Mapping[str, _ArrayReader], rows: int, first: int
) -> Iterator[Columns]:
    for reader in readers.values():
        reader.skip(first)
    for start in range(first, rows, _BLOCK_ROWS):
        with explain_read_errors(path):
            block = Columns(*(reader.read() for reader in readers.values()))
        _require_rows(path, block, min(_BLOCK_ROWS, rows - start))
        yield block


def _table_of_one(path: Path, reader: _ArrayReader) -> _Table:
    fields = reader.dtype.names
    known = [names for names in COLUMN_NAMES if fields is not None and set(names) <= set(fields)]
    is_structured = bool(known) and len(reader.shape) == 1
    if not is_structured and (fields is not None or reader.shape[1:] != (4,)):
        raise MicroexprError(
            f'{path} holds an array of {reader.dtype} {list(reader.shape)}: give a structured '
            f'array with the fields {", ".join(_NAMES)} or [N, 4] with these columns'
        )
    names = known[0] if known else None
    unit = None if names is None else UNIT_OF_NAMES.get(names)
    return _Table(reader.shape[0], partial(_read_rows, path, reader, names), unit)


def _read_rows(
    path: Path, reader: _ArrayReader, names: Sequence[str] | None, first: int
) -> Iterator[Columns]:
    rows = reader.shape[0]
    reader.skip(first)
    for start in range(first, rows, _BLOCK_ROWS):
        with explain_read_errors(path):
            part = reader.read()
        if names is not None:
            block = Columns(*(part[name] for name in names))
        else:
            block = Columns(*(part[:, i] for i in range(len(_NAMES))))
        _require_rows(path, block, min(_BLOCK_ROWS, rows - start))
        yield block


def _require_rows(path: Path, block: Columns, rows: int) -> None:
    if any(len(column) != rows for column in (block.t, block.x, block.y, block.p)):
        raise MicroexprError(f'{path} ends before its last event: copy it again')
