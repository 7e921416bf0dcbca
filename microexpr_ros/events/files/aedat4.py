"""Recordings in iniVation's .aedat4 files."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar
from xml.etree import ElementTree

import numpy as np
from lz4.frame import decompress as decompress_lz4  # type: ignore[import-untyped]
from numpy.typing import NDArray
from zstandard import ZstdDecompressor, ZstdError

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files.columns import LAST_NS, interleave
from microexpr_ros.events.files.flat_buffer import Table
from microexpr_ros.events.files.recording import (
    OUTSIDE_SENSOR,
    READ_ERRORS,
    UNDATED,
    UNREADABLE,
    Recording,
    agree_on_sensor,
    explain_read_errors,
)

_MAGIC: Final = b'#!AER-DAT4.0\r\n'
_SIZE: Final = struct.Struct('<I')
_PACKET: Final = struct.Struct('<iI')  # stream and size, before each packet

_KINDS: Final = {'EVTS': 'events', 'FRME': 'frame', 'IMUS': 'imus', 'TRIG': 'triggers'}
_EVENTS: Final = 'events'
_TRIGGERS: Final = 'triggers'
_FRAME: Final = 'frame'

_OTHER_STREAMS: Final = 'packets_of_other_streams'
_OTHER_FRAMES: Final = 'frames_not_8_bit'
_DAMAGED: Final = 'packets_damaged'
_CUT_OFF: Final = 'bytes_cut_off'
_RESETS: Final = 'timestamp_resets'

_EVENT: Final = np.dtype(
    {
        'names': ['t', 'x', 'y', 'p'],
        'formats': ['<i8', '<u2', '<u2', 'u1'],
        'offsets': [0, 8, 10, 12],
        'itemsize': 16,
    }
)

# By type of trigger: a reset of the clock, then edges of the external signal (channel 0), its
# pulse (4), edges of the generator (1), and begin and end of a frame (2) and an exposure (3).
_RESET: Final = 0
_CHANNELS: Final = np.array([0, 0, 0, 4, 1, 1, 2, 2, 3, 3], np.uint8)
_EDGES: Final = np.array([0, 1, 0, 1, 1, 0, 1, 0, 1, 0], np.uint8)

_COLOURS: Final = {0: (), 16: (3,)}
"""Shape of a pixel by the format of a frame, for those of 8 bits that are read: grey, and BGR."""

_NO_STREAM: Final = -1
_DAMAGES: Final = (*READ_ERRORS, ZstdError, MemoryError)
"""What parsing and decompressing a damaged packet raises."""

_Parsed = TypeVar('_Parsed')


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a file says of a stream: its kind, and columns and rows of the sensor if it has one."""

    kind: str
    sensor: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Packets:
    """Where the packets of a file are.

    Attributes:
        stream: of each packet: [N] int64.
        start: first byte of each: [N] int64.
        size: bytes of each: [N] int64.
        elements: number of events or the like in each, [N] int64; None if the file has no index.
        rest: bytes at the end of the file that are no packet.
    """

    stream: NDArray[np.int64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    elements: NDArray[np.int64] | None
    rest: int


class Aedat4Recording(Recording):
    """Events, triggers and frames of a camera in an .aedat4 file.

    Its times count from the Unix epoch, so `epoch_ns` is 0. Each stream is read by itself: events
    and triggers of one time may lie far apart in the file, because a stream with little data is
    only written when a packet is full. A packet that is damaged is left out and counted, with its
    events if the file has its index.
    """

    def __init__(self, path: Path, sensor: tuple[int, int] | None = None) -> None:
        with explain_read_errors(path), path.open('rb') as file:
            self._compression, index, streams = _read_header(file)
            self._packets = _find_packets(file, index, self._compression)
        # Of several streams of a kind, the lowest number is the camera's own; programs that
        # process a recording add theirs.
        self._ids = {streams[number].kind: number for number in sorted(streams, reverse=True)}
        if _EVENTS not in self._ids:
            kinds = ', '.join(sorted(self._ids)) or 'nothing'
            raise MicroexprError(
                f'{path} has no stream of events, only {kinds}: record the events too'
            )
        if self._packets.rest and not self._count(_EVENTS):
            raise MicroexprError(
                f'cannot read {path} (it ends before its first packet of events): copy or record '
                'it again'
            )
        width, height = agree_on_sensor(path, streams[self._ids[_EVENTS]].sensor, sensor)
        super().__init__(path, 'AEDAT4', height, width)
        read = sum(self._count(kind) for kind in (_EVENTS, _TRIGGERS, _FRAME))
        self._damaged: Counter[str] = Counter()
        self.losses |= {
            UNREADABLE: 0,
            _OTHER_STREAMS: len(self._packets.stream) - read,
            _DAMAGED: 0,
            _CUT_OFF: self._packets.rest,
        }

    def frames(self) -> Iterator[Frame]:
        """Iterate over the frames of 8 bits; others count as losses."""
        others = 0
        for frame in self._read_stream(_FRAME, _to_frame):
            if frame is None:
                others += 1
            else:
                yield frame
        self.losses[_OTHER_FRAMES] = others

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        return interleave(self._read_events(), self._read_triggers())

    def _read_events(self) -> Iterator[Events]:
        self.losses |= {OUTSIDE_SENSOR: 0, UNDATED: 0, UNREADABLE: 0}
        for part in self._read_stream(_EVENTS, lambda table: table.array(0, _EVENT)):
            # Compression has no checksum: numbers that a sensor cannot send are damage.
            is_dated = (part['t'] >= 0) & (part['t'] <= LAST_NS // 1000)
            is_inside = (part['x'] < self.width) & (part['y'] < self.height)
            self.losses[UNDATED] += int(np.count_nonzero(~is_dated))
            self.losses[OUTSIDE_SENSOR] += int(np.count_nonzero(is_dated & ~is_inside))
            if not (is_dated & is_inside).all():
                part = part[is_dated & is_inside]
            x, y = (np.ascontiguousarray(part[name]) for name in 'xy')
            yield Events(part['t'] * 1000, x, y, (part['p'] > 0).astype(np.uint8))
        self.fraction = 1.0
        if self._damaged[_EVENTS] == self._count(_EVENTS) > 0:
            raise MicroexprError(
                f'cannot read {self.path}: all its {self._count(_EVENTS)} packets of events are '
                'damaged, copy it again'
            )

    def _read_triggers(self) -> Iterator[Triggers]:
        self.losses[_RESETS] = 0
        for t_us, source in self._read_stream(_TRIGGERS, _to_triggers):
            is_edge = source != _RESET
            self.losses[_RESETS] += int(np.count_nonzero(~is_edge))
            kept = source[is_edge]
            yield Triggers(t_us[is_edge] * 1000, _CHANNELS[kept], _EDGES[kept])

    def _read_stream(self, kind: str, parse: Callable[[Table], _Parsed]) -> Iterator[_Parsed]:
        """Iterate over the packets of a stream, and count those that are damaged.

        There are none if the file has no such stream.
        """
        self._damaged[kind] = 0
        numbers = np.flatnonzero(self._packets.stream == self._ids.get(kind, _NO_STREAM))
        with explain_read_errors(self.path):
            file = self.path.open('rb')
        with file:
            for done, number in enumerate(numbers.tolist(), 1):
                with explain_read_errors(self.path):
                    file.seek(self._packets.start[number])
                    data = file.read(self._packets.size[number])
                if kind == _EVENTS:
                    self.fraction = done / len(numbers)
                try:
                    table = Table.root_behind_size(_decompress(data, self._compression))
                    self._require_elements(kind, number, table)
                    parsed = parse(table)
                except _DAMAGES:
                    self._count_damaged(kind, number)
                    continue
                yield parsed

    def _require_elements(self, kind: str, number: int, table: Table) -> None:
        """Check that a packet has as many elements as the index says; a frame is one itself."""
        elements = self._packets.elements
        if elements is not None and kind != _FRAME and table.length(0) != elements[number]:
            raise ValueError('a packet has other elements than the index says')

    def _count_damaged(self, kind: str, number: int) -> None:
        self._damaged[kind] += 1
        self.losses[_DAMAGED] = self._damaged.total()
        if kind == _EVENTS and self._packets.elements is not None:
            self.losses[UNREADABLE] += int(self._packets.elements[number])

    def _count(self, kind: str) -> int:
        return int(np.count_nonzero(self._packets.stream == self._ids.get(kind, _NO_STREAM)))


def _read_header(file: BinaryIO) -> tuple[int, int, dict[int, _Stream]]:
    """Return the compression, where the index begins (-1 without one), and the streams.

    Raises:
        ValueError: It is not the header of such a file.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError('it does not begin as such a file')
    header = Table.root(file.read(*_SIZE.unpack(file.read(_SIZE.size))))
    compression = header.number(0, '<i')
    if not 0 <= compression < len(_DECOMPRESSORS):
        raise ValueError(f'its compression {compression} is not known')
    try:
        description = ElementTree.fromstring(header.text(2))
    except ElementTree.ParseError as error:
        raise ValueError(f'its description is damaged, {error}') from error
    streams = {}
    for node in description.findall("node[@name='outInfo']/node"):
        identifier = node.findtext("attr[@key='typeIdentifier']", '')
        size = [node.findtext(f"node[@name='info']/attr[@key='size{axis}']") for axis in 'XY']
        width, height = (int(text) if text else 0 for text in size)
        streams[int(node.get('name', ''))] = _Stream(
            _KINDS.get(identifier, identifier),
            (width, height) if width > 0 and height > 0 else None,
        )
    return compression, header.number(1, '<q', -1), streams


def _find_packets(file: BinaryIO, index: int, compression: int) -> _Packets:
    """Return where the packets are, which follow the header that was read from the file."""
    begin = file.tell()
    size = file.seek(0, os.SEEK_END)
    if begin <= index < size:
        with suppress(*_DAMAGES):
            return _read_index(file, index, compression)
    # A recorder that was killed wrote no index, and a copy may have lost it.
    end = index if begin <= index < size else size
    found = []
    position = begin
    while position + _PACKET.size <= end:
        file.seek(position)
        stream, length = _PACKET.unpack(file.read(_PACKET.size))
        start = position + _PACKET.size
        # Zeros are what a power cut leaves.
        if length == 0 or start + length > end:
            break
        found.append((stream, start, length))
        position = start + length
    streams, starts, sizes = np.array(found, np.int64).reshape(-1, 3).T
    return _Packets(streams, starts, sizes, None, end - position)


def _read_index(file: BinaryIO, index: int, compression: int) -> _Packets:
    """Return what the index says of the packets.

    Raises:
        ValueError: It is damaged, or of another file.
    """
    file.seek(index)
    table = Table.root_behind_size(_decompress(file.read(), compression))
    rows = [
        (*packet.struct(1, '<ii'), packet.number(0, '<q'), packet.number(2, '<q'))
        for packet in table.tables(0)
    ]
    stream, size, start, elements = np.array(rows, np.int64).reshape(-1, 4).T
    if (start < 0).any() or (size < 0).any() or (start + size > index).any():
        raise ValueError('the index is damaged')
    return _Packets(stream, start, size, elements, rest=0)


def _decompress_zstd(data: bytes) -> bytes:
    # In pieces: of a damaged packet, the size that it says may be anything.
    return ZstdDecompressor().decompressobj().decompress(data)


_DECOMPRESSORS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    bytes,
    decompress_lz4,
    decompress_lz4,
    _decompress_zstd,
    _decompress_zstd,
)
"""By number of the compression: none, LZ4, LZ4 that took longer, zstd, zstd that took longer."""


def _decompress(data: bytes, compression: int) -> bytes:
    return _DECOMPRESSORS[compression](data)


def _to_triggers(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return times in us and types of the triggers of a packet."""
    rows = [(row.number(0, '<q'), row.number(1, '<b')) for row in table.tables(0)]
    t_us, source = np.array(rows, np.int64).reshape(-1, 2).T
    if ((source < 0) | (source >= len(_CHANNELS)) | (t_us < 0) | (t_us > LAST_NS // 1000)).any():
        raise ValueError('a packet of triggers is damaged')
    return t_us, source


def _to_frame(table: Table) -> Frame | None:
    """Return the frame of a packet; None if it is not of 8 bits, or has transparency.

    The fields are t, begin and end, begin and end of the exposure, format, columns, rows,
    place, and pixels.
    """
    t_us, begin_us, end_us = (table.number(field, '<q') for field in (0, 3, 4))
    shape = _COLOURS.get(table.number(5, '<b'))
    if shape is None:
        return None
    width, height = table.number(6, '<h'), table.number(7, '<h')
    pixels = table.array(10, np.dtype('u1')).reshape(height, width, *shape)
    if shape:
        pixels = np.ascontiguousarray(pixels[..., ::-1])
    has_exposure = end_us >= begin_us > 0
    return Frame((begin_us + end_us) * 500 if has_exposure else t_us * 1000, pixels)
