"""Recordings in iniVation's .aedat4 files."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aedat
import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files.columns import ColumnRules, Columns, interleave
from microexpr_ros.events.files.recording import Recording, agree_on_sensor, explain_read_errors

_EVENTS: Final = 'events'
_TRIGGERS: Final = 'triggers'
_FRAME: Final = 'frame'
_OTHER_STREAMS: Final = 'packets_of_other_streams'
_OTHER_FRAMES: Final = 'frames_not_8_bit'
_CUT_OFF: Final = 'bytes_cut_off'
_RESETS: Final = 'timestamp_resets'

_MAGIC_BYTES: Final = 14
_INDEX_FIELD: Final = 6  # offset, in the header's table of fields, of the place of the index
_PACKET: Final = struct.Struct('<iI')  # stream and size, before each packet

# By type of trigger: a reset of the clock, then edges of the external signal (channel 0), its
# pulse (4), edges of the generator (1), and begin and end of a frame (2) and an exposure (3).
_RESET: Final = 0
_CHANNELS: Final = np.array([0, 0, 0, 4, 1, 1, 2, 2, 3, 3], np.uint8)
_EDGES: Final = np.array([0, 1, 0, 1, 1, 0, 1, 0, 1, 0], np.uint8)


class Aedat4Recording(Recording):
    """Events, triggers and frames of a camera in an .aedat4 file.

    Its times count from the Unix epoch, so `epoch_ns` is 0. Each stream is read by itself, and
    the file once for each stream: events and triggers of one time may lie far apart in the file,
    because a stream with little data is only written when a packet is full.
    """

    def __init__(self, path: Path, sensor: tuple[int, int] | None = None) -> None:
        with explain_read_errors(path):
            streams = aedat.Decoder(path).id_to_stream()
            self._packets, cut_off = _count_packets(path)
        # Of several streams of a kind, the lowest number is the camera's own; programs that
        # process a recording add theirs.
        self._ids = {streams[i]['type']: i for i in sorted(streams, reverse=True)}
        if _EVENTS not in self._ids:
            kinds = ', '.join(sorted(self._ids)) or 'nothing'
            raise MicroexprError(
                f'{path} has no stream of events, only {kinds}: record the events too'
            )
        stream = streams[self._ids[_EVENTS]]
        width, height = agree_on_sensor(path, (stream['width'], stream['height']), sensor)
        super().__init__(path, 'AEDAT4', height, width)
        read = sum(self._count(kind) for kind in (_EVENTS, _TRIGGERS, _FRAME))
        self.losses[_OTHER_STREAMS] = self._packets.total() - read
        self.losses[_CUT_OFF] = cut_off

    def frames(self) -> Iterator[Frame]:
        """Iterate over the frames of 8 bits; others count as losses."""
        taken = 0
        for frame in self._read_stream(_FRAME):
            pixels = frame['pixels']
            if pixels.dtype == np.uint8 and pixels.shape[2:] in ((), (3,)):
                taken += 1
                begin_us, end_us = frame['exposure_begin_t'], frame['exposure_end_t']
                has_exposure = end_us >= begin_us > 0
                t_ns = (begin_us + end_us) * 500 if has_exposure else frame['t'] * 1000
                yield Frame(t_ns, pixels)
        # The library itself skips frames of further formats.
        self.losses[_OTHER_FRAMES] = self._count(_FRAME) - taken

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        return interleave(self._read_events(), self._read_triggers())

    def _read_events(self) -> Iterator[Events]:
        rules = ColumnRules(self.path, 'us', self.height, self.width)
        for number, part in enumerate(self._read_stream(_EVENTS), 1):
            self.fraction = number / self._count(_EVENTS)
            yield rules.to_events(Columns(*(part[name] for name in 'txyp')))

    def _read_triggers(self) -> Iterator[Triggers]:
        self.losses[_RESETS] = 0
        for part in self._read_stream(_TRIGGERS):
            edges = part[part['source'] != _RESET]
            self.losses[_RESETS] += len(part) - len(edges)
            with explain_read_errors(self.path):
                channel, edge = _CHANNELS[edges['source']], _EDGES[edges['source']]
            yield Triggers(edges['t'].astype(np.int64) * 1000, channel, edge)

    def _read_stream(self, kind: str) -> Iterator[Any]:
        """Iterate over the packets of a stream; there are none if the file has no such stream."""
        left = self._count(kind)
        with explain_read_errors(self.path):
            decoder = aedat.Decoder(self.path)
        while left:
            with explain_read_errors(self.path):
                packet = next(decoder, None)
            if packet is None:
                return
            if packet['stream_id'] == self._ids[kind]:
                left -= 1
                yield packet[kind]

    def _count(self, kind: str) -> int:
        return self._packets[self._ids[kind]] if kind in self._ids else 0


def _count_packets(path: Path) -> tuple[Counter[int], int]:
    """Return the number of packets of each stream, and of bytes at the end that are no packet.

    Raises:
        EOFError: The file ends before its last packet.
    """
    counts: Counter[int] = Counter()
    with path.open('rb', buffering=0) as file:
        file.seek(_MAGIC_BYTES)
        header = file.read(*struct.unpack('<I', file.read(4)))
        # A FlatBuffers table, which begins with the distance back to its table of fields.
        (root,) = struct.unpack_from('<I', header)
        fields = root - struct.unpack_from('<i', header, root)[0]
        (place,) = struct.unpack_from('<H', header, fields + _INDEX_FIELD)
        (index,) = struct.unpack_from('<q', header, root + place)
        size = path.stat().st_size
        if index > size:
            raise EOFError('it ends before its last packet')
        # A recorder that was killed wrote no index.
        end = index if index > 0 else size
        position = file.tell()
        while position + _PACKET.size <= end:
            stream, length = _PACKET.unpack(file.read(_PACKET.size))
            if position + _PACKET.size + length > end:
                break
            counts[stream] += 1
            position = file.seek(length, os.SEEK_CUR)
        return counts, end - position
