"""Prophesee's .dat files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.raw import read_header, sensor_of
from microexpr_ros.events.files.recording import (
    OUTSIDE_SENSOR,
    Recording,
    agree_on_sensor,
    explain_read_errors,
)
from microexpr_ros.events.kernel import Integer, kernel

_BLOCK_BYTES: Final = 1 << 20
_RECORD_BYTES: Final = 8
_RECORD: Final = np.dtype('<u4')
_CD_EVENTS: Final = (0, 12)
"""Types of the files whose records are brightness changes."""

_LOOP_US: Final = 1 << 32
_CUT_OFF: Final = 'bytes_cut_off'
_EMPTY: Final = 'empty_records'


class DatRecording(Recording):
    """A Prophesee .dat file: a header of text, type and size of its records, and the records.

    A record is a time of 32 bits in us, which is unwrapped after 71 minutes, and a word with
    column, row and polarity.
    """

    def __init__(self, path: Path, sensor: tuple[int, int] | None = None) -> None:
        with explain_read_errors(path), path.open('rb') as file:
            header, start = read_header(file)
            file.seek(start)
            kind, self._start = _read_kind(path, file, bool(header))
        version = header.get('version', '2')
        if version not in ('2', '3'):
            raise MicroexprError(
                f'{path} has records of version {version}, not 2: convert it with a newer '
                'version of Metavision'
            )
        if kind not in _CD_EVENTS:
            raise MicroexprError(
                f'{path} has records of type {kind}, not brightness changes (0 or 12): give the '
                'file that ends in _td.dat or _cd.dat'
            )
        stored = sensor_of(header)
        self._is_sensor_stored = stored is not None
        width, height = agree_on_sensor(path, stored, sensor)
        super().__init__(path, 'Prophesee DAT', height, width)
        self.losses |= {_CUT_OFF: 0, _EMPTY: 0}

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        self.losses |= {OUTSIDE_SENSOR: 0, _EMPTY: 0}
        return self._read_from((0, np.zeros(1, np.int64)))

    def _read_from(
        self, place: tuple[int, NDArray[np.int64]]
    ) -> Iterator[tuple[Events, Triggers]]:
        done, last_us = place
        size = max(1, self.path.stat().st_size - self._start)
        with ExitStack() as stack:
            with explain_read_errors(self.path):
                file = stack.enter_context(self.path.open('rb'))
                file.seek(self._start + done)
            while True:
                with explain_read_errors(self.path):
                    block = file.read(_BLOCK_BYTES)
                if not block:
                    return
                self.losses[_CUT_OFF] = len(block) % _RECORD_BYTES
                words = np.frombuffer(block, _RECORD, len(block) // _RECORD_BYTES * 2)
                t, x, y, p, empty = _decode(words, self.height, self.width, last_us)
                self.losses[OUTSIDE_SENSOR] += len(words) // 2 - len(t) - empty
                self.losses[_EMPTY] += empty
                if self.losses[OUTSIDE_SENSOR] and not self._is_sensor_stored:
                    raise MicroexprError(
                        f'{self.path} has events outside a sensor of {self.width} x '
                        f'{self.height} pixels: give the right sensor size'
                    )
                done += len(block)
                self.fraction = done / size
                self._place = done, last_us
                yield Events(t, x, y, p), Triggers.empty()


def _read_kind(path: Path, file: IO[bytes], has_header: bool) -> tuple[int, int]:
    """Return the type of the records after a header, and where they start."""
    if not has_header:
        raise MicroexprError(
            f'{path} does not begin with the header of a Prophesee .dat file: '
            'give the recording as Metavision wrote it'
        )
    described = file.read(2)
    if len(described) < 2:
        raise EOFError('it ends within its header')
    kind, size = described
    if kind in _CD_EVENTS and size != _RECORD_BYTES:
        raise MicroexprError(
            f'{path} has records of {size} bytes, not {_RECORD_BYTES}: export it again'
        )
    return kind, file.tell()


@kernel
def _decode(
    words: NDArray[np.uint32], height: int, width: int, last_us: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8], Integer]:
    """Decode records after the time `last_us`, which becomes that of the last of them.

    Returns:
        Times in ns, columns, rows and polarities, and the number of records that are empty: a
        power cut leaves zeros at the end of a file.
    """
    count = len(words) // 2
    t, p = np.empty(count, np.int64), np.empty(count, np.uint8)
    x, y = np.empty(count, np.uint16), np.empty(count, np.uint16)
    last = last_us[0]
    kept: Integer = 0
    empty: Integer = 0
    for i in range(count):
        time_us, place = np.int64(words[2 * i]), np.int64(words[2 * i + 1])
        if time_us | place == 0 and last > 0:
            empty += 1
            continue
        time_us += last // _LOOP_US * _LOOP_US
        # A step by most of the range is a loop of the clock, or an event from before it.
        if time_us < last - _LOOP_US // 2:
            time_us += _LOOP_US
        elif time_us > last + _LOOP_US // 2 and last >= _LOOP_US:
            time_us -= _LOOP_US
        last = time_us
        column, row = place & 0x3FFF, place >> 14 & 0x3FFF
        t[kept], x[kept], y[kept], p[kept] = time_us * 1000, column, row, place >> 28 & 1
        kept += column < width and row < height
    last_us[0] = last
    return t[:kept], x[:kept], y[:kept], p[:kept], empty
