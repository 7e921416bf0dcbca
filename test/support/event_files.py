"""Small files of events in every format that is read, made from the same events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pytest
from event_streams import HEIGHT, WIDTH
from ros1_bags import write_arrays, write_packets
from rosbags.rosbag1 import Writer

from microexpr_ros.events import codecs
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.writers import make_writer

SIZE = {'sensor': (WIDTH, HEIGHT)}
HEADER = '% evt {}\n% format {};height=48;width=64\n% geometry 64x48\n% end\n'


@dataclass(frozen=True)
class EventFile:
    """A format: how it is written and opened.

    Attributes:
        suffix: of its files.
        write: writes events to a path.
        options: what `open_recording` needs.
        is_stream: whether a part of a file from its beginning is one too.
        is_in_packets: whether the whole packets of a part from its beginning are read.
    """

    suffix: str
    write: Callable[[Any, Any], None]
    options: dict[str, Any]
    is_stream: bool = False
    is_in_packets: bool = False


def evt_words(events, codes, step, time_code):
    """Return words of 32 bits, in units of `step`: times, and events as vectors of one pixel."""
    units, high = [], -1
    for t, x, y, p in zip(
        events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.tolist(), strict=True
    ):
        t_us = t // 1000
        if t_us >> 6 != high:
            high = t_us >> 6
            units.append([time_code << 28 | high] + [0] * (step - 1))
        units.append([codes[p] << 28 | (t_us & 63) << 22 | x << 11 | y, 1][:step])
    # The half with the code is the second of a word of EVT2.1.
    words = [word for unit in units for word in reversed(unit)]
    return np.array(words, '<u4').tobytes()


def write_evt2(path, events):
    path.write_bytes(HEADER.format('2.0', 'EVT2').encode() + evt_words(events, (0, 1), 1, 8))


def write_evt21(path, events):
    header = HEADER.format('2.1', 'EVT21;endianness=little')
    path.write_bytes(header.encode() + evt_words(events, (0, 1), 2, 8))


def write_evt3(path, events):
    payload = codecs.encoder('evt3', HEIGHT, WIDTH).encode(events)[1]
    path.write_bytes(HEADER.format('3.0', 'EVT3').encode() + payload)


def write_evt4(path, events):
    header = HEADER.format('4.0', 'EVT4')
    path.write_bytes(header.encode() + evt_words(events, (0xA, 0xB), 1, 0xE))


def write_dat(path, events):
    records = np.zeros((len(events), 2), '<u4')
    records[:, 0] = events.t // 1000
    records[:, 1] = events.x | events.y.astype(np.uint32) << 14 | events.p.astype(np.uint32) << 28
    header = '% Data file containing CD events.\n% Version 2\n% Height 48\n% Width 64\n'
    path.write_bytes(header.encode() + b'\x0c\x08' + records.tobytes())


def write_aedat4(path, events):
    dv = pytest.importorskip('dv_processing')
    config = dv.io.MonoCameraWriter.EventOnlyConfig('DVXplorer', (WIDTH, HEIGHT))
    writer = dv.io.MonoCameraWriter(str(path), config)
    for start in range(0, len(events), 150):
        store = dv.EventStore()
        part = events[start : start + 150]
        for t, x, y, p in zip(part.t // 1000, part.x, part.y, part.p, strict=True):
            store.push_back(int(t), int(x), int(y), bool(p))
        writer.writeEvents(store)


def write_ros1_packets(path, events):
    bz2 = Writer.CompressionFormat.BZ2
    write_packets(path, events, Triggers.empty(), epoch_ns=0, compression=bz2, chunk_bytes=1000)


def write_ros1_arrays(path, events):
    parts = [events[start : start + 150] for start in range(0, len(events), 150)]
    write_arrays(path, parts, 'dvs_msgs', chunk_bytes=3000)


def writing(name):
    def write(path, events):
        with make_writer(name, path, HEIGHT, WIDTH) as writer:
            writer.write(events, Triggers.empty())

    return write


def write_npy(path, events):
    np.save(path, np.stack((events.t // 1000, events.x, events.y, events.p), 1))


def write_v2e(path, events):
    table = np.stack((events.t // 1000, events.x, events.y, events.p), 1).astype(np.uint32)
    with h5py.File(path, 'w') as file:
        file.create_dataset('events', data=table, chunks=(256, 4), compression='gzip')


def write_columns(path, events):
    with h5py.File(path, 'w') as file:
        for name, column in (('t', events.t // 1000), ('x', events.x), ('y', events.y)):
            file[name] = column
        file['p'] = events.p


MICROSECONDS = {'time_unit': 'us'}
EVENT_FILES = {
    'evt2': EventFile('.raw', write_evt2, {}, is_stream=True),
    'evt21': EventFile('.raw', write_evt21, {}, is_stream=True),
    'evt3': EventFile('.raw', write_evt3, {}, is_stream=True),
    'evt4': EventFile('.raw', write_evt4, {}, is_stream=True),
    'dat': EventFile('.dat', write_dat, {}, is_stream=True),
    'aedat4': EventFile('.aedat4', write_aedat4, {}, is_in_packets=True),
    'ros1 packets': EventFile('.bag', write_ros1_packets, {}, is_in_packets=True),
    'ros1 arrays': EventFile('.bag', write_ros1_arrays, {}, is_in_packets=True),
    'metavision': EventFile('.hdf5', writing('metavision'), {}),
    'dsec': EventFile('.h5', writing('dsec'), {}),
    'v2e': EventFile('.h5', write_v2e, SIZE),
    'columns': EventFile('.h5', write_columns, SIZE | MICROSECONDS),
    'npz': EventFile('.npz', writing('npz'), {}),
    'npy': EventFile('.npy', write_npy, SIZE | MICROSECONDS),
}
