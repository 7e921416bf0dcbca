"""Prophesee's .dat files, written by hand."""

from __future__ import annotations

import event_streams as streams
import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import dat, open_recording

SENSOR = (streams.WIDTH, streams.HEIGHT)
HEADER = '% Data file containing CD events.\n% Version 2\n% Height 48\n% Width 64\n'


def write_dat(path, t_us, x, y, p, header=HEADER, kind=12, size=8):
    records = np.zeros((len(t_us), 2), '<u4')
    records[:, 0] = np.asarray(t_us, np.int64) % 2**32
    places = [np.asarray(column, np.uint32) for column in (x, y, p)]
    records[:, 1] = places[0] | places[1] << 14 | places[2] << 28
    path.write_bytes(header.encode() + bytes([kind, size]) + records.tobytes())


def write_events(path, events, **options):
    write_dat(path, events.t // 1000, events.x, events.y, events.p, **options)


@pytest.fixture
def events():
    return streams.random_events(np.random.default_rng(0), 3000, 40_000_000)


def test_by_hand(tmp_path):
    path = tmp_path / 'hand_td.dat'
    records = '0400000005800110090000003f800b00'
    path.write_bytes(HEADER.encode() + b'\x00\x08' + bytes.fromhex(records))
    recording = open_recording(path)
    assert (recording.kind, recording.width, recording.height) == ('Prophesee DAT', 64, 48)
    want = streams.make_events([4000, 9000], [5, 63], [6, 46], [1, 0])
    streams.assert_same(streams.read(path)[0], want)


@pytest.mark.parametrize('kind', [0, 12])
def test_in_blocks(tmp_path, events, kind, monkeypatch):
    monkeypatch.setattr(dat, '_BLOCK_BYTES', 4096)
    path = tmp_path / 'events.dat'
    write_events(path, events, kind=kind)
    streams.assert_same(streams.read(path)[0], events)
    header = HEADER.replace('% Height 48\n', '')
    write_events(path, events, header=header)
    with pytest.raises(MicroexprError, match='--sensor'):
        open_recording(path)
    streams.assert_same(streams.read(path, sensor=SENSOR)[0], events)
    with pytest.raises(MicroexprError, match='outside a sensor of 64 x 40'):
        streams.read(path, sensor=(64, 40))


def test_times_loop_after_71_minutes(tmp_path):
    t_us = [2**32 - 5, 2**32 - 1, 2**32 + 1, 2**32 - 2, 2**32 + 2, 3 * 2**31, 2**33 - 1, 2**33 + 4]
    path = tmp_path / 'events.dat'
    write_dat(path, t_us, *[[1] * 8] * 3)
    recording = open_recording(path)
    [(events, _)] = recording.chunks()
    t_us[3] = t_us[2]
    assert (events.t // 1000).tolist() == t_us
    assert recording.held == 1


def test_what_is_outside_or_cut_off_is_counted(tmp_path):
    path = tmp_path / 'events.dat'
    write_dat(path, [1, 2, 3], [63, 64, 0], [47, 0, 48], [1, 0, 1])
    path.write_bytes(path.read_bytes() + b'123')
    recording = open_recording(path)
    [(events, triggers)] = recording.chunks()
    streams.assert_same(events, streams.make_events([1000], [63], [47], [1]))
    streams.assert_same(triggers, Triggers.empty())
    assert recording.losses == {
        'outside_sensor': 2,
        'undated': 0,
        'bytes_cut_off': 3,
        'empty_records': 0,
    }


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'kind': 14, 'size': 18}, 'records of type 14, not brightness changes'),
        ({'kind': 12, 'size': 16}, 'records of 16 bytes, not 8'),
        ({'header': HEADER.replace('Version 2', 'Version 1')}, 'records of version 1, not 2'),
        ({'header': ''}, 'does not begin with the header of a Prophesee .dat file'),
    ],
)
def test_other_records_are_refused(tmp_path, events, options, message):
    path = tmp_path / 'events.dat'
    write_events(path, events, **options)
    with pytest.raises(MicroexprError, match=message):
        open_recording(path)


def test_a_file_that_ends_within_its_header_is_refused(tmp_path):
    path = tmp_path / 'events.dat'
    for end in ('', '\x0c'):
        path.write_text(HEADER + end)
        with pytest.raises(MicroexprError, match=r'cannot read .*it ends within its header'):
            open_recording(path)
