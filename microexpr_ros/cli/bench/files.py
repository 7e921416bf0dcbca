"""Files of events that `bench decode` reads: one stream, written in each format."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from rosbags.rosbag1 import Writer

from microexpr_ros.bags import BagWriter
from microexpr_ros.cli.bench.checksum import sum_columns
from microexpr_ros.cli.bench.streams import Stream
from microexpr_ros.cli.bench.workloads import EVENT_BYTES, OURS, Workload
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.writers import make_writer
from microexpr_ros.topics import EVENTS_TOPIC

_HEADER: Final = '% evt {}\n% format {};height={};width={}\n% end\n'
_DAT_HEADER: Final = '% Data file containing CD events.\n% Version 2\n% Height {}\n% Width {}\n'
_DAT_RECORDS: Final = b'\x0c\x08'
_AEDAT_PACKET: Final = 10_000
_NS: Final = 1_000_000_000


def file_workloads(stream: Stream, folder: Path) -> Iterator[Workload]:
    """Yield how files of a stream's events are read, from `open_recording` to the last event."""
    for name, (suffix, write) in _FILES.items():
        path = folder / f'{name}{suffix}'
        try:
            write(path, stream)
        except ImportError:
            # iniVation's library, which writes its files, is an extra.
            continue
        size = sum(file.stat().st_size for file in path.glob('*.mcap')) or path.stat().st_size
        yield Workload(
            OURS,
            f'{name} file',
            partial(_read, path),
            partial(_is_exact, path, stream),
            size,
            EVENT_BYTES * len(stream.events),
        )


def _read(path: Path) -> None:
    deque(open_recording(path).chunks(), maxlen=0)


def _is_exact(path: Path, stream: Stream) -> bool:
    recording = open_recording(path)
    # Times of DSEC count from the first event.
    parts = [events.shifted(recording.epoch_ns) for events, _ in recording.chunks()]
    return np.array_equal(sum(map(sum_columns, parts)), sum_columns(stream.events))


def _write_raw(
    path: Path, stream: Stream, version: str, codes: tuple[int, int], time: int
) -> None:
    """Write words of 32 bits, or of 64 with one pixel each, as EVT2.1 has them."""
    events = stream.events
    t_us = events.t // 1000
    high = t_us >> 6
    begins = np.flatnonzero(np.diff(high, prepend=-1))
    words = np.choose(events.p, codes) << 28 | (t_us & 63) << 22 | events.x.astype(np.int64) << 11
    words = np.insert(words | events.y, begins, time << 28 | high[begins])
    data = words.astype('<u4') if version != '2.1' else (words << 32 | 1).astype('<u8')
    name = f'EVT{version}'.removesuffix('.0').replace('.', '')
    encoding = f'{name};endianness=little' if version == '2.1' else name
    header = _HEADER.format(version, encoding, stream.height, stream.width)
    path.write_bytes(header.encode() + data.tobytes())


def _write_dat(path: Path, stream: Stream) -> None:
    events = stream.events
    records = np.empty((len(events), 2), '<u4')
    records[:, 0] = events.t // 1000
    records[:, 1] = events.x | events.y.astype(np.uint32) << 14 | events.p.astype(np.uint32) << 28
    header = _DAT_HEADER.format(stream.height, stream.width)
    path.write_bytes(header.encode() + _DAT_RECORDS + records.tobytes())


def _write_aedat4(path: Path, stream: Stream) -> None:
    dv: Any = import_module('dv_processing')
    size = stream.width, stream.height
    writer = dv.io.MonoCameraWriter(
        str(path), dv.io.MonoCameraWriter.EventOnlyConfig('DVXplorer', size)
    )
    events = stream.events
    for start in range(0, len(events), _AEDAT_PACKET):
        part, store = events[start : start + _AEDAT_PACKET], dv.EventStore()
        columns = (part.t // 1000, part.x, part.y, part.p.astype(bool))
        for event in zip(*(column.tolist() for column in columns), strict=True):
            store.push_back(*event)
        writer.writeEvents(store)


def _write(path: Path, stream: Stream, name: str) -> None:
    with make_writer(name, path, stream.height, stream.width) as writer:
        writer.write(stream.events, Triggers.empty())


def _write_bag(path: Path, stream: Stream) -> None:
    content = [(stream.events, Triggers.empty())]
    with BagWriter(path) as writer:
        for packet in packetize(content, stream.height, stream.width):
            writer.write_packet(EVENTS_TOPIC, packet)


def _write_ros1(path: Path, stream: Stream) -> None:
    content = [(stream.events, Triggers.empty())]
    with Writer(path) as writer:
        kind = 'event_camera_msgs/msg/EventPacket'
        connection = writer.add_connection(EVENTS_TOPIC, kind, msgdef=' ', md5sum='0' * 32)
        for packet in packetize(content, stream.height, stream.width):
            stamp, encoding = divmod(packet.stamp_ns, _NS), packet.encoding.encode()
            # The header (seq, stamp, no frame), the size and the numbers of the packet.
            numbers = (packet.height, packet.width, packet.seq, packet.time_base, len(encoding))
            data = struct.pack('<4I2I2QI', packet.seq, *stamp, 0, *numbers) + encoding
            data += struct.pack('<?I', False, len(packet.events)) + packet.events
            writer.write(connection, packet.stamp_ns, data)


_FILES: Final[dict[str, tuple[str, Callable[[Path, Stream], None]]]] = {
    'evt2': ('.raw', partial(_write_raw, version='2.0', codes=(0, 1), time=8)),
    'evt2.1': ('.raw', partial(_write_raw, version='2.1', codes=(0, 1), time=8)),
    'evt3': ('.raw', partial(_write, name='raw')),
    'evt4': ('.raw', partial(_write_raw, version='4.0', codes=(0xA, 0xB), time=0xE)),
    'dat': ('.dat', _write_dat),
    'aedat4': ('.aedat4', _write_aedat4),
    'metavision': ('.hdf5', partial(_write, name='metavision')),
    'dsec': ('.h5', partial(_write, name='dsec')),
    'npz': ('.npz', partial(_write, name='npz')),
    'rosbag2': ('', _write_bag),
    'ros1': ('.bag', _write_ros1),
}
