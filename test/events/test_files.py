from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import event_streams as streams
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import files
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import Recording, arrays, open_recording

SENSOR = (streams.WIDTH, streams.HEIGHT)


@pytest.fixture
def events():
    return streams.random_events(np.random.default_rng(0), 3000, 40_000_000)


def structured(events, unit='s', time_type='f8'):
    table = np.zeros(len(events), [('x', 'u2'), ('y', 'u2'), ('t', time_type), ('p', 'i1')])
    table['t'] = events.t / files.NS_OF_UNIT[unit]
    table['x'], table['y'] = events.x, events.y
    table['p'] = events.p.astype(np.int8) * 2 - 1
    return table


def columns(events):
    return np.stack([events.t // 1000, events.x, events.y, events.p], 1)


def read(path, **options):
    recording = open_recording(path, **options)
    parts = [chunk[0] for chunk in recording.chunks()]
    assert recording.fraction == pytest.approx(1.0)
    return streams.concatenate(parts)


@pytest.mark.parametrize(
    ('suffix', 'unit'), [('.npy', 's'), ('.npy', 'us'), ('.npz', 's'), ('.npz', 'ns')]
)
def test_structured_arrays(tmp_path, events, suffix, unit, monkeypatch):
    monkeypatch.setattr(arrays, '_BLOCK_ROWS', 700)
    path = tmp_path / f'events{suffix}'
    table = structured(events, unit, 'f8' if unit == 's' else 'i8')
    np.save(path, table) if suffix == '.npy' else np.savez_compressed(path, anything=table)
    given = {} if unit == 's' else {'time_unit': unit}
    streams.assert_same(read(path, sensor=SENSOR, **given), events)


def test_a_unit_that_does_not_fit_the_events_is_refused(tmp_path, events):
    path = tmp_path / 'events.npy'
    np.save(path, columns(events))
    with pytest.raises(MicroexprError, match=rf'{path} make 0.075 events/s .* --time-unit us$'):
        open_recording(path, sensor=SENSOR, time_unit='s')


@pytest.mark.parametrize('suffix', ['.npy', '.npz'])
@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('dtype', ['i8', 'f8'])
def test_column_arrays(tmp_path, events, suffix, order, dtype, monkeypatch):
    monkeypatch.setattr(arrays, '_BLOCK_ROWS', 700)
    path = tmp_path / f'events{suffix}'
    table = np.asarray(columns(events).astype(dtype), order=order)
    np.save(path, table) if suffix == '.npy' else np.savez(path, table)
    streams.assert_same(read(path, sensor=SENSOR, time_unit='us'), events)


def test_named_columns(tmp_path, events, monkeypatch):
    monkeypatch.setattr(arrays, '_BLOCK_ROWS', 700)
    path = tmp_path / 'events.npz'
    np.savez_compressed(path, t=events.t, x=events.x, y=events.y, p=events.p.astype(bool))
    streams.assert_same(read(path, sensor=SENSOR, time_unit='ns'), events)


def test_of_several_arrays_the_events_are_named(tmp_path, events):
    path = tmp_path / 'events.npz'
    np.savez(path, labels=np.zeros((2, 4)), events=structured(events))
    streams.assert_same(read(path, sensor=SENSOR, time_unit='s'), events)
    np.savez(path, labels=np.zeros((2, 4)), more=structured(events))
    with pytest.raises(MicroexprError, match='holds labels, more: name one of its arrays events'):
        read(path, sensor=SENSOR, time_unit='s')


def test_an_archive_with_the_suffix_of_an_array_is_told(tmp_path, events):
    np.savez(tmp_path / 'events.npz', structured(events))
    (tmp_path / 'events.npz').rename(tmp_path / 'events.npy')
    with pytest.raises(MicroexprError, match=r'give it the suffix \.npz'):
        open_recording(tmp_path / 'events.npy', sensor=SENSOR, time_unit='ns')


def write_npy(path, table):
    np.save(path, table)


def write_npz_by_rows(path, table):
    np.savez(path, np.ascontiguousarray(table))


def write_npz_by_columns(path, table):
    np.savez(path, np.asfortranarray(table))


def write_hdf5(path, table):
    with h5py.File(path, 'w') as file:
        for name, column in zip('txyp', table.T, strict=True):
            file.create_dataset(f'events/{name}', data=column, chunks=(1 << 14,))


@pytest.mark.parametrize(
    ('name', 'write'),
    [
        ('events.npy', write_npy),
        ('rows.npz', write_npz_by_rows),
        ('columns.npz', write_npz_by_columns),
        ('events.h5', write_hdf5),
    ],
)
def test_memory_does_not_grow_with_the_recording(tmp_path, name, write):
    peaks = []
    for rows in (300_000, 1_200_000):
        table = np.zeros((rows, 4), np.int64)
        table[:, 0] = np.arange(rows)
        write(tmp_path / name, table)
        recording = open_recording(tmp_path / name, sensor=SENSOR, time_unit='us')
        tracemalloc.start()
        assert sum(len(events) for events, _ in recording.chunks()) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 20e6


@pytest.mark.parametrize('dtype', ['i8', 'f8'])
def test_the_unit_of_whole_times_must_be_given(tmp_path, events, dtype):
    path = tmp_path / 'events.npy'
    np.save(path, columns(events).astype(dtype))
    with pytest.raises(MicroexprError, match=r'--time-unit s\|us\|ns'):
        open_recording(path, sensor=SENSOR)
    with pytest.raises(MicroexprError, match="'ms': choose one of s, us, ns"):
        open_recording(path, sensor=SENSOR, time_unit='ms')


def test_the_sensor_of_an_array_must_be_given(tmp_path, events):
    path = tmp_path / 'events.npy'
    np.save(path, structured(events))
    with pytest.raises(MicroexprError, match='--sensor WIDTHxHEIGHT'):
        open_recording(path)


def test_a_sensor_must_hold_the_events(tmp_path, events):
    path = tmp_path / 'events.npy'
    np.save(path, structured(events))
    with pytest.raises(MicroexprError, match='x = 63, outside a sensor of 63 x 48 pixels'):
        read(path, sensor=(63, 48))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda table: table[:, [1, 2, 0, 3]], 'in the order t, x, y, p|sort'),
        (lambda table: table[::-1], 'sort'),
        (lambda table: table + np.array([0, 0.5, 0, 0]), 'not pixels'),
        (lambda table: table - np.array([0, 0, 99, 0]), 'not pixels'),
        (lambda table: table + np.array([0, 0, 0, 2]), 'polarities'),
        (lambda table: table * np.array([np.nan, 1, 1, 1]), 'not finite'),
        (lambda table: table - np.array([1e6, 0, 0, 0]), 'has times from -999993 '),
        (lambda table: table + np.array([2**31 * 1e6, 0, 0, 0]), 'at most 68 years'),
        (lambda table: table[:, :3], r'\[N, 4\]'),
        (lambda table: table[0], r'\[N, 4\]'),
    ],
)
def test_wrong_columns_are_told(tmp_path, events, change, message):
    path = tmp_path / 'events.npy'
    np.save(path, change(columns(events)[:2000].astype(float)))
    with pytest.raises(MicroexprError, match=message):
        read(path, sensor=SENSOR, time_unit='us')


def test_python_objects_are_never_loaded(tmp_path):
    for path, save in ((tmp_path / 'a.npy', np.save), (tmp_path / 'a.npz', np.savez)):
        save(path, np.array([{}], object), allow_pickle=True)
        with pytest.raises(MicroexprError, match='cannot read'):
            open_recording(path, sensor=SENSOR, time_unit='us')


@pytest.mark.parametrize('suffix', ['.npy', '.npz'])
def test_truncated_arrays_are_told(tmp_path, events, suffix):
    path = tmp_path / f'events{suffix}'
    np.save(path, structured(events)) if suffix == '.npy' else np.savez(path, structured(events))
    content = path.read_bytes()
    for size in (0, 9, 1000, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(MicroexprError, match=r'cannot read|is empty'):
            read(path, sensor=SENSOR)


def write_raw(path, header, words, dtype='<u2'):
    path.write_bytes(header.encode() + np.array(words, dtype).tobytes())


EVT3_WORDS = (0x8000, 0x6005, 0x0002, 0x2803)
EVT3_EVENT = streams.make_events([5000], [3], [2], [1])


@pytest.mark.parametrize(
    'header',
    [
        '% evt 3.0\n% format EVT3;height=48;width=64\n% geometry 64x48\n% end\n',
        '% date 2024-01-01\n% format EVT3;height=48;width=64\n% end\n',
        '% evt 3.0\n% geometry 64x48\n',
        '% evt 3.0\n% Width 64\n% Height 48\n',
    ],
)
def test_raw_evt3(tmp_path, header):
    path = tmp_path / 'events.raw'
    write_raw(path, header, EVT3_WORDS)
    recording = open_recording(path)
    assert (recording.width, recording.height, recording.kind) == (64, 48, 'Prophesee EVT3')
    streams.assert_same(read(path), EVT3_EVENT)


def test_raw_evt2(tmp_path):
    path = tmp_path / 'events.raw'
    words = [0x80000001, 0x1 << 28 | 1 << 22 | 3 << 11 | 2]
    write_raw(path, '% evt 2.0\n% geometry 64x48\n% end\n', words, '<u4')
    streams.assert_same(read(path), streams.make_events([65_000], [3], [2], [1]))


def test_raw_of_other_encodings_is_told(tmp_path):
    path = tmp_path / 'events.raw'
    for header, message in (
        ('% format HISTO3D\n', 'encoded as HISTO3D, not EVT2, EVT21, EVT3 or EVT4'),
        ('% camera x\n', 'encoded as an unknown encoding, not EVT2, EVT21, EVT3 or EVT4'),
        ('', 'does not begin with the header of a Prophesee'),
    ):
        write_raw(path, header, EVT3_WORDS)
        with pytest.raises(MicroexprError, match=message):
            open_recording(path)


def test_raw_without_a_sensor_size(tmp_path):
    path = tmp_path / 'events.raw'
    write_raw(path, '% evt 3.0\n% end\n', EVT3_WORDS)
    with pytest.raises(MicroexprError, match='--sensor'):
        open_recording(path)
    streams.assert_same(read(path, sensor=SENSOR), EVT3_EVENT)
    with pytest.raises(MicroexprError, match='outside a sensor of 3 x 48'):
        read(path, sensor=(3, 48))


@pytest.mark.parametrize(
    ('line', 'size'),
    [
        ('sensor_generation 3.1', (640, 480)),
        ('sensor_generation 4.2', (1280, 720)),
        ('sensor_name IMX636', (1280, 720)),
        ('sensor_name GenX320', (320, 320)),
        ('sensor_generation 320.0', (320, 320)),
        ('plugin_name hal_plugin_gen41_evk3', (1280, 720)),
        ('plugin_name hal_plugin_genx320_cx3', (320, 320)),
        ('system_ID 28', (640, 480)),
        ('system_ID 49', (1280, 720)),
        ('system_ID 64', (320, 320)),
    ],
)
def test_raw_that_names_its_sensor_has_its_size(tmp_path, line, size):
    path = tmp_path / 'events.raw'
    write_raw(path, f'% evt 3.0\n% {line}\n% end\n', EVT3_WORDS)
    recording = open_recording(path)
    assert (recording.width, recording.height) == size
    # The camera may have read out a part of its sensor.
    streams.assert_same(read(path, sensor=SENSOR), EVT3_EVENT)


@pytest.mark.parametrize('line', ['system_ID 9', 'system_ID x', 'sensor_generation 0.0'])
def test_raw_of_an_unknown_sensor_needs_its_size(tmp_path, line):
    path = tmp_path / 'events.raw'
    write_raw(path, f'% evt 3.0\n% {line}\n% end\n', EVT3_WORDS)
    with pytest.raises(MicroexprError, match='--sensor'):
        open_recording(path)


def test_a_sensor_size_must_agree_with_the_file(tmp_path):
    path = tmp_path / 'events.raw'
    write_raw(path, '% evt 3.0\n% geometry 64x48\n% end\n', EVT3_WORDS)
    streams.assert_same(read(path, sensor=(64, 48)), EVT3_EVENT)
    with pytest.raises(MicroexprError, match='64 x 48 pixels, not 48 x 64'):
        open_recording(path, sensor=(48, 64))


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    path = tmp_path / 'events.h5'
    path.write_text('events')
    monkeypatch.delitem(sys.modules, 'microexpr_ros.events.files.hdf5', raising=False)
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(MicroexprError, match='pip install h5py'):
        open_recording(path)


def test_unknown_formats_list_the_known_ones(tmp_path):
    (tmp_path / 'events.xyz').write_text('events')
    for path in (tmp_path / 'events.xyz', tmp_path):
        with pytest.raises(
            MicroexprError,
            match=r'\.raw \(EVT2, EVT2.1, .*\) and \.dat, .*\.npz, rosbag2 .*ROS 1 \.bag',
        ):
            open_recording(path)
    with pytest.raises(MicroexprError, match='there is no recording'):
        open_recording(tmp_path / 'nothing.raw')


@pytest.mark.parametrize('text', ['640', '640x', '0x480', '640x480x3', '-1x5', 'axb'])
def test_a_sensor_size_is_two_numbers(text):
    with pytest.raises(MicroexprError, match='640x480'):
        files.parse_sensor(text)


class TimesRecording(Recording):
    """Has events at given times, piece by piece."""

    def __init__(self, *pieces):
        super().__init__(Path('times.test'), 'times', streams.HEIGHT, streams.WIDTH)
        self.pieces = pieces

    def _read(self):
        for times in self.pieces:
            yield streams.events_at(times), Triggers.empty()


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=8), max_size=8))
def test_the_times_of_chunks_do_not_decrease(pieces):
    recording = TimesRecording(*pieces)
    times = np.array([t for piece in pieces for t in piece], np.int64)
    expected = np.maximum.accumulate(times)
    try:
        got = np.concatenate([np.empty(0, np.int64), *(e.t for e, _ in recording.chunks())])
    except MicroexprError:
        assert np.count_nonzero(expected != times) > 4
    else:
        assert got.tolist() == expected.tolist()
        assert recording.held == np.count_nonzero(expected != times)


@pytest.mark.parametrize(
    'pieces',
    [
        # A clock that was set back, a tenth and more out of order, and a backward file.
        [range(0, 5 * 10**9, 10**7), range(10)],
        [[time ^ 1 for time in range(100)]],
        [range(100, 0, -1)],
    ],
)
def test_a_recording_that_is_mostly_out_of_order_is_refused(pieces):
    with pytest.raises(MicroexprError, match=r'times in times.test decrease from .* sort'):
        list(TimesRecording(*pieces).chunks())


@pytest.mark.parametrize('stray', [0, 3 * 10**10])
def test_a_single_time_that_is_far_from_the_others_is_held(stray):
    times = 10**10 + 10**6 * np.arange(9)
    for place in range(1, 7):
        wrong = np.array(times)
        wrong[place] = stray
        for cut in (0, place, place + 1):
            recording = TimesRecording(wrong[:cut], wrong[cut:])
            if stray > 10**10 and cut == place + 1:
                # At the end of a piece it may be right.
                with pytest.raises(MicroexprError, match='decrease'):
                    list(recording.chunks())
                continue
            got = np.concatenate([events.t for events, _ in recording.chunks()])
            want = np.array(times)
            want[place] = times[place - 1]
            assert got.tolist() == want.tolist()
            assert recording.held == 1
