"""Files of events that are written, read back by the libraries that others use."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from itertools import pairwise

import event_streams as streams
import h5py
import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import writers
from microexpr_ros.events.codecs.ecf import ECF_FILTER, decode_ecf
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import Recording, open_recording
from microexpr_ros.events.writers import writer as base

EPOCH_NS = 1_700_000_000_123_456_000
FORMATS = [name for name in writers.FORMATS if name not in (writers.BAG, writers.EVREAL)]
NAMES = {'raw': 'e.raw', 'dsec': 'e.h5', 'metavision': 'e.hdf5', 'npz': 'e.npz', 'csv': 'e.csv'}
START_NS = 7_654_321_000


class PiecesRecording(Recording):
    """Has these pieces of events and triggers."""

    def __init__(self, path, *pieces, epoch_ns=EPOCH_NS):
        super().__init__(path, 'pieces', streams.HEIGHT, streams.WIDTH, epoch_ns)
        self.pieces = pieces

    def _read(self):
        yield from self.pieces


@pytest.fixture
def events():
    return streams.random_events(np.random.default_rng(0), 40_000, 300_000_000).shifted(START_NS)


@pytest.fixture
def triggers():
    times = START_NS + np.arange(250) * 1_000_000
    return streams.make_triggers(times, [3] * 250, [1, 0] * 125)


@pytest.fixture
def convert(tmp_path, events, triggers, monkeypatch):
    """Converts the events, in pieces, to a format; returns the file and what was reported."""
    monkeypatch.setattr(base, '_BLOCK_EVENTS', 1000)

    def convert(name, **options):
        cuts = [0, 0, 17, 18_000, 35_000, len(events)]
        edges = [0, 0, *np.searchsorted(triggers.t, events.t[cuts[2:-1]]), len(triggers)]
        pieces = [
            (events[slice(*ends)], triggers[slice(*trigger_ends)])
            for ends, trigger_ends in zip(pairwise(cuts), pairwise(edges), strict=True)
        ]
        recording = PiecesRecording(tmp_path, *pieces)
        return tmp_path / NAMES[name], convert_recording(
            recording, tmp_path / NAMES[name], **options
        )

    return convert


@pytest.mark.parametrize('name', FORMATS)
def test_what_is_left_out_is_counted(convert, events, triggers, name):
    path, report = convert(name)
    assert (report.events_in, report.events_out) == (len(events), len(events))
    kept = len(triggers) if name in ('raw', 'metavision') else 0
    assert report.triggers == kept
    assert report.dropped[f'triggers_not_in_{name}'] == len(triggers) - kept
    assert report.times_cut == 0
    assert list(path.parent.iterdir()) == [path]


def test_dsec(convert, events):
    path, _ = convert('dsec')
    with h5py.File(path) as file:
        t, x, y, p = (file[f'events/{name}'][:].astype(np.int64) for name in 'txyp')
        ms_to_idx, t_offset = file['ms_to_idx'][:].astype(np.int64), int(file['t_offset'][()])
    assert (t_offset + t).tolist() == (EPOCH_NS // 1000 + events.t // 1000).tolist()
    for got, want in ((x, events.x), (y, events.y), (p, events.p)):
        np.testing.assert_array_equal(got, want)
    # As DSEC defines it: t[ms_to_idx[ms]] >= ms * 1000 and t[ms_to_idx[ms] - 1] < ms * 1000.
    assert len(ms_to_idx) == t[-1] // 1000 + 1
    np.testing.assert_array_equal(ms_to_idx, np.searchsorted(t, np.arange(len(ms_to_idx)) * 1000))
    recording = open_recording(path)
    assert recording.kind == 'HDF5 DSEC'
    got, _ = streams.read(path)
    streams.assert_same(got.shifted(recording.epoch_ns - EPOCH_NS), events)


def test_metavision(convert, events, triggers):
    path, _ = convert('metavision')
    with h5py.File(path) as file:
        assert dict(file.attrs) == {
            'version': '1.0',
            'format': 'ECF;height=48;width=64',
            'geometry': '64x48',
        }
        dataset = file['CD/events']
        assert dataset.id.get_create_plist().get_filter(0)[0] == ECF_FILTER
        chunks = [dataset.id.read_direct_chunk((i,)) for i in range(0, len(events), 16384)]
        assert [mask for mask, _ in chunks] == [0] * 3
        sizes = [len(decode_ecf(chunk)[0]) for _, chunk in chunks]
        assert sizes == [16384, 16384, len(events) - 32768]
        assert dataset.dtype.itemsize == 16
        edges = file['EXT_TRIGGER/events'][:]
        index, offset = file['CD/indexes'][:], int(file['CD/indexes'].attrs['offset'])
    assert (edges['t'] * 1000).tolist() == triggers.t.tolist()
    assert (edges['id'].tolist(), edges['p'].tolist()) == ([3] * 250, triggers.edge.tolist())
    t = events.t // 1000 + offset
    assert t[0] == 0
    assert index[0].tolist() == (0, -1)
    want = np.searchsorted(t, np.arange(t[-1] // 2000 + 1) * 2000)
    np.testing.assert_array_equal(index['id'][1:], want)
    np.testing.assert_array_equal(index['ts'][1:], t[want])
    got, got_triggers = streams.read(path)
    streams.assert_same(got, events)
    streams.assert_same(got_triggers, triggers)


def test_the_index_of_metavision_repeats_what_is_before_a_gap(tmp_path):
    t_us = np.array([5000, 5001, 7100, 12_999, 13_000])
    zeros = np.zeros(5)
    events = streams.make_events(t_us * 1000, zeros, zeros, zeros)
    convert_recording(
        PiecesRecording(tmp_path, (events[:3], Triggers.empty()), (events[3:], Triggers.empty())),
        tmp_path / 'e.hdf5',
    )
    with h5py.File(tmp_path / 'e.hdf5') as file:
        index = file['CD/indexes'][:].tolist()
    # Periods of 2 ms from 5000 us on: events 0 and 1, event 2, none, event 3, event 4.
    assert index == [(0, -1), (0, 0), (2, 2100), (2, 2100), (3, 7999), (4, 8000)]


def test_npz(convert, events):
    path, _ = convert('npz')
    with np.load(path) as archive:
        assert archive['t'].dtype == np.int64
        np.testing.assert_array_equal(archive['t'] * 1000, events.t)
        for name in 'xyp':
            np.testing.assert_array_equal(archive[name], getattr(events, name))
        assert (str(archive['time_unit']), archive['sensor'].tolist()) == ('us', [64, 48])
        assert int(archive['epoch_ns']) == EPOCH_NS
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    assert open_recording(path).epoch_ns == EPOCH_NS
    streams.assert_same(streams.read(path)[0], events)


def test_csv(convert, events):
    path, _ = convert('csv')
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['t', 'x', 'y', 'p']
    table = np.array([[int(value) for value in row.values()] for row in rows])
    want = np.stack((events.t // 1000, events.x, events.y, events.p), 1)
    np.testing.assert_array_equal(table, want)


def test_csv_is_read_by_pandas(convert, events):
    pandas = pytest.importorskip('pandas')
    table = pandas.read_csv(convert('csv')[0])
    assert list(table) == ['t', 'x', 'y', 'p']
    assert all(kind == np.int64 for kind in table.dtypes)
    np.testing.assert_array_equal(table['t'] * 1000, events.t)


def test_csv_has_numbers_of_any_size(tmp_path):
    t_us = [0, 9, 10, 99, 100, 10**15]
    events = Events(
        np.array(t_us) * 1000,
        np.array([0, 9, 10, 99, 100, 65535], np.uint16),
        np.array([65535, 0, 1, 2, 3, 4], np.uint16),
        np.array([0, 1, 0, 1, 0, 1], np.uint8),
    )
    with writers.make_writer('csv', tmp_path / 'e.csv', 65536, 65536) as writer:
        writer.write(events, Triggers.empty())
    lines = ['t,x,y,p']
    lines += [f'{t},{x},{y},{p}' for t, x, y, p in zip(t_us, *streams_of(events), strict=True)]
    assert (tmp_path / 'e.csv').read_text() == '\n'.join(lines) + '\n'


def streams_of(events):
    return events.x.tolist(), events.y.tolist(), events.p.tolist()


@pytest.mark.parametrize('name', FORMATS)
def test_a_recording_without_events(tmp_path, name):
    path = tmp_path / NAMES[name]
    report = convert_recording(PiecesRecording(tmp_path), path)
    assert (report.events_out, sum(report.dropped.values())) == (0, 0)
    if name not in ('csv', 'raw'):
        assert [len(events) for events, _ in open_recording(path).chunks()] == []


@pytest.mark.parametrize('name', FORMATS)
def test_an_error_leaves_nothing_behind(tmp_path, events, name):
    class Broken(PiecesRecording):
        def _read(self):
            yield events, Triggers.empty()
            raise MicroexprError('it is damaged')

    with pytest.raises(MicroexprError, match='it is damaged'):
        convert_recording(Broken(tmp_path), tmp_path / NAMES[name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', ['dsec', 'metavision'])
def test_times_that_an_index_has_no_room_for_are_refused(tmp_path, name):
    events = streams.events_at(np.array([0, 10**18]))
    recording = PiecesRecording(tmp_path, (events, Triggers.empty()))
    with pytest.raises(MicroexprError, match=r'jump by 277777\.8 h'):
        convert_recording(recording, tmp_path / NAMES[name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('target', 'to', 'message'),
    [
        ('e.raw', 'npz', r'not the name of a file of the format npz: give one that ends in \.npz'),
        ('e', 'dsec', r'ends in \.h5 or \.hdf5'),
        ('e.csv', 'bag', r'cannot be written as \.csv: give NAME\.raw, .* bag folder'),
        ('e.csv', 'xml', 'unknown format'),
        ('e.mcap', None, r'cannot be written as \.mcap'),
    ],
)
def test_names_must_fit_the_format(tmp_path, target, to, message):
    with pytest.raises(MicroexprError, match=message):
        convert_recording(PiecesRecording(tmp_path), tmp_path / target, to=to)


def test_a_format_is_given_where_the_name_has_another(tmp_path, events):
    for name, to in (('a.h5', 'metavision'), ('b.hdf5', 'dsec'), ('c.H5', None)):
        recording = PiecesRecording(tmp_path, (events, Triggers.empty()))
        convert_recording(recording, tmp_path / name, to=to)
        want = 'HDF5 Metavision' if to == 'metavision' else 'HDF5 DSEC'
        assert open_recording(tmp_path / name).kind == want


def test_encodings_are_those_of_bags(tmp_path):
    with pytest.raises(MicroexprError, match='no packets to encode as mono'):
        convert_recording(PiecesRecording(tmp_path), tmp_path / 'e.npz', encoding='mono')


def test_metavision_has_no_room_for_larger_sensors(tmp_path):
    with pytest.raises(MicroexprError, match='2048 x 2048 pixels, not 2049 x 10'):
        writers.make_writer('metavision', tmp_path / 'e.hdf5', 10, 2049)


@pytest.mark.slow
@pytest.mark.parametrize('name', FORMATS)
def test_memory_does_not_grow_with_the_recording(tmp_path, name):
    command = (
        'import sys, json, numpy as np\n'
        'from pathlib import Path\n'
        'from dataclasses import asdict\n'
        'from microexpr_ros.events.conversion import convert_recording\n'
        'from microexpr_ros.events.events import Events, Triggers\n'
        'from microexpr_ros.events.files import Recording\n'
        'class Long(Recording):\n'
        '    def _read(self):\n'
        '        rng = np.random.default_rng(0)\n'
        '        for i in range(int(sys.argv[1])):\n'
        '            t = (i * 250_000 + np.arange(250_000)) * 1000\n'
        '            x, y, p = (rng.integers(0, n, 250_000) for n in (1280, 720, 2))\n'
        '            yield Events(t, x.astype("u2"), y.astype("u2"), p.astype("u1")), '
        'Triggers.empty()\n'
        'recording = Long(Path("long"), "long", 720, 1280)\n'
        'print(json.dumps(asdict(convert_recording(recording, Path(sys.argv[2])))))\n'
    )
    peaks = []
    for pieces in (8, 60):
        target = tmp_path / f'{pieces}{NAMES[name]}'
        arguments = [sys.executable, '-c', command, str(pieces), str(target)]
        result = subprocess.run(arguments, stdout=subprocess.PIPE, check=True)
        report = json.loads(result.stdout)
        assert report['events_out'] == pieces * 250_000
        peaks.append(report['peak_mb'])
    assert peaks[1] < peaks[0] + 30
