from __future__ import annotations

import event_streams as streams
import h5py
import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.ecf import ECF_FILTER, encode_ecf
from microexpr_ros.events.files import hdf5, open_recording

SENSOR = (streams.WIDTH, streams.HEIGHT)
# As Metavision declares them, padding included.
CD = np.dtype(
    {
        'names': ['x', 'y', 'p', 't'],
        'formats': ['<u2', '<u2', '<i2', '<i8'],
        'offsets': [0, 2, 4, 8],
        'itemsize': 16,
    }
)
EXT_TRIGGER = np.dtype(
    {
        'names': ['p', 't', 'id'],
        'formats': ['<i2', '<i8', '<i2'],
        'offsets': [0, 8, 16],
        'itemsize': 24,
    }
)


@pytest.fixture
def events():
    return streams.random_events(np.random.default_rng(0), 3000, 40_000_000)


@pytest.fixture
def triggers():
    return streams.make_triggers(np.arange(50) * 1_000_000, [3] * 50, [1, 0] * 25)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(hdf5, '_BLOCK_ROWS', 700)


def write_metavision(path, events, triggers, **attributes):
    table = np.zeros(len(events), CD)
    table['t'], table['x'], table['y'], table['p'] = events.t // 1000, events.x, events.y, events.p
    edges = np.zeros(len(triggers), EXT_TRIGGER)
    edges['t'], edges['id'], edges['p'] = triggers.t // 1000, triggers.id, triggers.edge
    with h5py.File(path, 'w') as file:
        file.attrs.update(attributes)
        file.create_dataset('CD/events', data=table, chunks=(512,))
        file.create_dataset('EXT_TRIGGER/events', data=edges, chunks=(16,))


def write_dsec(path, events, t_offset=0, **options):
    with h5py.File(path, 'w') as file:
        file.create_dataset('events/t', data=(events.t // 1000).astype(np.uint32), **options)
        for name in 'xyp':
            file.create_dataset(f'events/{name}', data=getattr(events, name), **options)
        file['ms_to_idx'] = np.searchsorted(events.t // 1_000_000, np.arange(41))
        file['t_offset'] = np.int64(t_offset)


@pytest.mark.parametrize(
    'attributes',
    [{'geometry': '64x48'}, {'format': 'ECF;height=48;width=64'}, {'Width': '64', 'Height': '48'}],
)
def test_metavision(tmp_path, events, triggers, small_blocks, attributes):
    path = tmp_path / 'events.hdf5'
    write_metavision(path, events, triggers, **attributes)
    got, got_triggers = streams.read(path)
    streams.assert_same(got, events)
    streams.assert_same(got_triggers, triggers)


def test_triggers_come_with_the_events_of_their_time(tmp_path, events, triggers, small_blocks):
    path = tmp_path / 'events.h5'
    write_metavision(path, events, triggers)
    *chunks, (last_events, last_triggers) = open_recording(path, sensor=SENSOR).chunks()
    newest = -1
    for part, edges in chunks:
        assert all(newest < t <= part.t[-1] for t in edges.t)
        newest = part.t[-1]
    assert len(last_events) == 0
    assert last_triggers.t[0] > newest


def test_dsec(tmp_path, events, small_blocks):
    path = tmp_path / 'events.h5'
    write_dsec(path, events, t_offset=49_599_300_523, compression='gzip', chunks=(512,))
    recording = open_recording(path, sensor=SENSOR)
    assert recording.epoch_ns == 49_599_300_523_000
    streams.assert_same(streams.read(path, sensor=SENSOR)[0], events)
    with pytest.raises(MicroexprError, match='--sensor WIDTHxHEIGHT'):
        open_recording(path)


def test_plain_columns(tmp_path, events, small_blocks):
    path = tmp_path / 'events.h5'
    with h5py.File(path, 'w') as file:
        file['events/ts'] = events.t / 1e9
        file['events/xs'], file['events/ys'] = events.x.astype(np.int16), events.y
        file['events/ps'] = events.p.astype(bool)
    streams.assert_same(streams.read(path, sensor=SENSOR)[0], events)


def test_the_unit_of_whole_times_must_be_given(tmp_path, events):
    path = tmp_path / 'events.h5'
    with h5py.File(path, 'w') as file:
        for name in 'txyp':
            file[f'events/{name}'] = getattr(events, name)
    with pytest.raises(MicroexprError, match=r'--time-unit s\|us\|ns'):
        open_recording(path, sensor=SENSOR)
    streams.assert_same(streams.read(path, sensor=SENSOR, time_unit='ns')[0], events)


@pytest.mark.parametrize(
    ('code', 'message'),
    [
        (32001, r'compressed with blosc .* not installed: pip install hdf5plugin'),
        (0x8ECF, r'compressed with ECF .* HDF5_PLUGIN_PATH'),
        (511, r'compressed with a filter \(HDF5 filter 511\)'),
    ],
)
def test_a_compression_that_is_not_installed_is_named(tmp_path, events, code, message):
    if h5py.h5z.filter_avail(code):
        pytest.skip('this compression is installed')
    path = tmp_path / 'events.h5'
    write_dsec(path, events[:0])
    with h5py.File(path, 'a') as file:
        del file['events/p']
        filters = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        filters.set_chunk((512,))
        # An optional filter can be missing when a dataset is made, though not when it is read.
        filters.set_filter(code, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
        kind = h5py.h5t.NATIVE_UINT8
        h5py.h5d.create(file['events'].id, b'p', kind, space, filters)
    with pytest.raises(MicroexprError, match=message):
        open_recording(path, sensor=SENSOR)


def test_a_file_without_events_is_told(tmp_path):
    path = tmp_path / 'events.h5'
    with h5py.File(path, 'w') as file:
        file['images'] = np.zeros(3)
    with pytest.raises(MicroexprError, match='in a known layout: convert it to one of CD/events'):
        open_recording(path, sensor=SENSOR)


@pytest.mark.parametrize('name', ['x', 't'])
def test_columns_must_fit_together(tmp_path, events, name):
    path = tmp_path / 'events.h5'
    write_dsec(path, events)
    with h5py.File(path, 'a') as file:
        del file[f'events/{name}']
        file[f'events/{name}'] = np.zeros(len(events) - 1, np.uint16)
    with pytest.raises(MicroexprError, match='columns of the shapes'):
        open_recording(path, sensor=SENSOR)


def test_a_file_that_was_cut_off_is_told(tmp_path, events):
    path = tmp_path / 'events.h5'
    write_dsec(path, events)
    content = path.read_bytes()
    for size in (0, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(MicroexprError, match=r'cannot read|is empty'):
            open_recording(path, sensor=SENSOR)


def test_events_must_lie_on_the_sensor(tmp_path, events):
    path = tmp_path / 'events.h5'
    write_dsec(path, events)
    with pytest.raises(MicroexprError, match='outside a sensor of 64 x 40 pixels'):
        streams.read(path, sensor=(64, 40))


def test_times_that_decrease_between_blocks_are_told(tmp_path, events, small_blocks):
    path = tmp_path / 'events.h5'
    again = streams.concatenate([events[:700], events[:700]])
    write_dsec(path, again)
    with pytest.raises(MicroexprError, match=r'times in .* decrease'):
        streams.read(path, sensor=SENSOR)


SIZES = {'sensor': SENSOR}


def write_table(path, name, table, **options):
    with h5py.File(path, 'w') as file:
        file.create_dataset(name, data=table, chunks=(512, *table.shape[1:]), **options)


def test_v2e(tmp_path, events, small_blocks):
    path = tmp_path / 'events.h5'
    columns = events.t // 1000, events.x, events.y, events.p
    write_table(path, 'events', np.stack(columns, 1).astype(np.uint32), compression='gzip')
    assert open_recording(path, **SIZES).kind == 'HDF5 v2e'
    streams.assert_same(streams.read(path, **SIZES)[0], events)


def test_mvsec(tmp_path, events, small_blocks):
    path = tmp_path / 'indoor_flying1_data.hdf5'
    epoch_us = 1_504_645_177_000_000
    seconds = (events.t // 1000 + epoch_us) / 1e6
    table = np.stack((events.x, events.y, seconds, events.p * 2.0 - 1), 1)
    write_table(path, 'davis/left/events', table)
    with h5py.File(path, 'a') as file:
        file['davis/right/events'] = table[:7]
    recording = open_recording(path)
    assert (recording.kind, recording.width, recording.height) == ('HDF5 MVSEC', 346, 260)
    assert recording.losses['events_of_right_camera'] == 7
    got, _ = streams.read(path)
    # At such times, the numbers have a resolution of a quarter of a microsecond.
    assert np.abs(got.t - events.t - epoch_us * 1000).max() <= 250
    for name in 'xyp':
        np.testing.assert_array_equal(getattr(got, name), getattr(events, name))


@pytest.mark.parametrize('group', ['events/', ''])
@pytest.mark.parametrize('names', ['t x y p', 'ts xs ys ps', 'timestamp x y polarity', 't x y on'])
def test_columns_of_any_names(tmp_path, events, small_blocks, group, names):
    path = tmp_path / 'events.h5'
    columns = events.t // 1000, events.x, events.y, events.p
    with h5py.File(path, 'w') as file:
        for name, column in zip(names.split(), columns, strict=True):
            file[group + name] = column
    unit = {} if names in ('timestamp x y polarity', 't x y on') else {'time_unit': 'us'}
    streams.assert_same(streams.read(path, **SIZES, **unit)[0], events)


def test_a_table_of_dv_processing(tmp_path, events, small_blocks):
    fields = [('timestamp', '<i8'), ('x', '<i2'), ('y', '<i2'), ('polarity', 'i1')]
    table = np.zeros(len(events), fields)
    table['timestamp'], table['x'], table['y'] = events.t // 1000, events.x, events.y
    table['polarity'] = events.p
    write_table(tmp_path / 'events.h5', 'events', table)
    np.save(tmp_path / 'events.npy', table)
    for name in ('events.h5', 'events.npy'):
        streams.assert_same(streams.read(tmp_path / name, **SIZES)[0], events)


def write_ecf(path, events, chunk_rows=512):
    """Write events as Metavision does: its last chunk has no more events than there are."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((chunk_rows,))
    plan.set_filter(ECF_FILTER, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((len(events),), (h5py.h5s.UNLIMITED,))
    with h5py.File(path, 'w') as file:
        file.attrs['geometry'] = '64x48'
        file.create_group('CD')
        kind = h5py.h5t.py_create(CD)
        dataset = h5py.h5d.create(file['CD'].id, b'events', kind, space, plan)
        for start in range(0, len(events), chunk_rows):
            part = events[start : start + chunk_rows]
            dataset.write_direct_chunk(
                (start,), encode_ecf(part.t // 1000, part.x, part.y, part.p)
            )


def test_ecf_is_read_without_its_plug_in(tmp_path, events):
    path = tmp_path / 'events.hdf5'
    write_ecf(path, events)
    streams.assert_same(streams.read(path)[0], events)


def test_a_damaged_chunk_of_ecf_costs_that_chunk(tmp_path, events):
    path = tmp_path / 'events.hdf5'
    write_ecf(path, events)
    with h5py.File(path) as file:
        chunk = file['CD/events'].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset] ^= 0xFF  # The number of its events.
    path.write_bytes(content)
    recording = open_recording(path)
    got = streams.concatenate(part for part, _ in recording.chunks())
    streams.assert_same(got, streams.concatenate([events[:1024], events[1536:]]))
    assert recording.losses['events_unreadable'] == recording.dropped == 512


def test_a_damaged_chunk_of_columns_costs_the_rows_about_it(tmp_path, events):
    path = tmp_path / 'events.h5'
    write_dsec(path, events, compression='gzip', chunks=(512,), fletcher32=True)
    with h5py.File(path) as file:
        chunk = file['events/x'].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 5] ^= 0xFF
    path.write_bytes(content)
    recording = open_recording(path, **SIZES)
    got = streams.concatenate(part for part, _ in recording.chunks())
    lost = recording.losses['events_unreadable']
    assert len(got) + lost == len(events)
    assert 512 <= lost <= 512 + 2 * hdf5._PIECE_ROWS


def test_a_file_of_which_nothing_can_be_read_is_refused(tmp_path, events):
    path = tmp_path / 'events.h5'
    write_dsec(path, events[:512], compression='gzip', chunks=(512,), fletcher32=True)
    with h5py.File(path) as file:
        chunk = file['events/x'].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 5] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(MicroexprError, match='all its 512 events are damaged'):
        list(open_recording(path, **SIZES).chunks())
