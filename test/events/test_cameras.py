import dataclasses
import subprocess
import sys
import threading
import time
from unittest.mock import create_autospec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import cameras
from microexpr_ros.events.cameras import (
    Batch,
    Camera,
    CameraAbsentError,
    CameraLostError,
    CameraSettings,
    Connection,
)
from microexpr_ros.events.cameras.file_camera import FileCamera
from microexpr_ros.events.cameras.order import MAX_BACK_NS, in_order
from microexpr_ros.events.cameras.settings import (
    parse_biases,
    parse_roi,
    read_bias_file,
    require_biases,
    require_roi,
)
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.files.recording import OUTSIDE_SENSOR, Recording
from microexpr_ros.events.region import Region

MS = 1_000_000


def some_events(times_ns):
    t = np.asarray(times_ns, np.int64)
    x = np.arange(len(t)) % 32
    return Events(t, x.astype(np.uint16), (x // 2).astype(np.uint16), (x % 2).astype(np.uint8))


# Settings.


def test_a_region_is_four_numbers():
    assert parse_roi(()) is None
    assert parse_roi((10, 20, 30, 40)) == Region(10, 20, 30, 40)
    for numbers in ((1, 2, 3), (-1, 0, 5, 5), (0, 0, 0, 5)):
        with pytest.raises(MicroexprError, match=r'give \[x, y, width, height\]'):
            parse_roi(numbers)


def test_a_region_stays_on_the_sensor():
    require_roi(Region(600, 400, 40, 80), height=480, width=640)
    with pytest.raises(MicroexprError, match=r'\[601, 400, 40, 80\].*640 x 480'):
        require_roi(Region(601, 400, 40, 80), height=480, width=640)


@pytest.mark.parametrize('text', ['diff_on', 'diff_on=high', '=', 'diff_on=1.5'])
def test_a_bias_is_a_name_and_a_number(text):
    with pytest.raises(MicroexprError, match='give NAME=VALUE'):
        parse_biases([text])


def test_a_bias_file_is_read_as_the_vendor_writes_it(tmp_path):
    path = tmp_path / 'own.bias'
    path.write_text('20   % bias_diff_on\n-35  % bias_diff_off\n\n  7 % fo\n')
    assert read_bias_file(path) == {'diff_on': 20, 'diff_off': -35, 'fo': 7}
    path.write_text('diff_on: 20\n')
    with pytest.raises(MicroexprError, match="'diff_on: 20' is not VALUE % NAME"):
        read_bias_file(path)
    with pytest.raises(MicroexprError, match='cannot be read'):
        read_bias_file(tmp_path / 'nowhere.bias')


def test_a_bias_must_be_one_of_the_cameras_and_in_range():
    bounds = {'on': (0, 17), 'off': (-5, 5)}
    require_biases({'on': 17, 'off': -5}, bounds, 'camera')
    with pytest.raises(MicroexprError, match='camera has no bias diff; it has on, off'):
        require_biases({'diff': 1}, bounds, 'camera')
    with pytest.raises(MicroexprError, match='bias off = -6: camera takes -5 to 5'):
        require_biases({'off': -6}, bounds, 'camera')


def test_an_unknown_trigger_mode_is_refused():
    with pytest.raises(MicroexprError, match=r'loopback.*disabled, external'):
        CameraSettings(trigger_in_mode='loopback')


def test_an_unknown_driver_is_refused():
    with pytest.raises(MicroexprError, match='choose one of neuromorphic, inivation'):
        cameras.open_camera('metavision', CameraSettings())


@pytest.mark.parametrize('driver', cameras.DRIVERS)
def test_a_camera_that_is_not_connected_is_absent(driver):
    pytest.importorskip({'neuromorphic': 'neuromorphic_drivers'}.get(driver, 'dv_processing'))
    with pytest.raises(CameraAbsentError, match='no '):
        cameras.open_camera(driver, CameraSettings(serial='no such number'))


# Batches.


def test_older_data_of_a_batch_arrived_earlier():
    batch = Batch(
        some_events([3 * MS, 5 * MS]), frames=(Frame(4 * MS, None),), arrival_ns=100 * MS
    )
    assert batch.host_ns(5 * MS) == 100 * MS
    assert batch.host_ns(3 * MS) == 98 * MS
    late = dataclasses.replace(batch, frames=(Frame(6 * MS, None),))
    assert late.host_ns(6 * MS) == 100 * MS
    assert Batch(arrival_ns=7).host_ns(3) == 7


# Order in time.


def some_triggers(times_ns):
    t = np.asarray(times_ns, np.int64)
    return Triggers(t, np.zeros(len(t), np.uint8), np.ones(len(t), np.uint8))


def ordered(*batches):
    return [
        (number, batch.events.t.tolist(), batch.triggers.t.tolist())
        for number, batch in in_order(
            Batch(some_events(events), some_triggers(triggers)) for events, triggers in batches
        )
    ]


def test_few_events_out_of_order_are_dated_like_the_newest_before_them():
    assert ordered(([100, 90, 120], [95]), ([110, 130], [100])) == [
        (0, [100, 100, 120], [95]),
        (0, [120, 130], [120]),
    ]


def test_time_begins_anew_when_the_clock_is_set_back():
    second = 1000 * MS
    assert ordered(([5 * second], []), ([0, MS], [MS]), ([2 * MS], [])) == [
        (0, [5 * second], []),
        (0, [], []),
        (1, [0, MS], [MS]),
        (1, [2 * MS], []),
    ]
    assert ordered(([5 * second, 6 * second, 0, MS], [6 * second, MS])) == [
        (0, [5 * second, 6 * second], [6 * second]),
        (1, [0, MS], [MS]),
    ]


def test_what_is_told_of_a_batch_is_told_once_where_it_is_split():
    batch = Batch(
        some_events([1000 * MS, 0]),
        frames=(Frame(990 * MS, None),),
        arrival_ns=7 * MS,
        lost=2,
        lag_ns=3,
    )
    (_, before), (_, after) = in_order([batch])
    assert (len(before.frames), before.lost) == (1, 2)
    assert (after.frames, after.lost) == ((), 0)
    for part in (before, after):
        assert (part.arrival_ns, part.lag_ns) == (7 * MS, 3)
    assert before.host_ns(1000 * MS) == after.host_ns(0) == 7 * MS


@given(st.lists(st.lists(st.integers(0, 6 * MAX_BACK_NS), max_size=6), max_size=6))
def test_every_event_is_kept_and_only_restarts_go_back(batches):
    parts = list(in_order(Batch(some_events(times)) for times in batches))
    expected = []
    number, newest = 0, -MAX_BACK_NS
    for time_ns in (time_ns for times in batches for time_ns in times):
        is_anew = time_ns < newest - MAX_BACK_NS
        number, newest = (number + 1, time_ns) if is_anew else (number, max(newest, time_ns))
        expected.append((number, newest))
    assert [(k, t) for k, part in parts for t in part.events.t.tolist()] == expected
    columns = [x for times in batches for x in some_events(times).x.tolist()]
    assert [x for _, part in parts for x in part.events.x.tolist()] == columns


# Recordings.


@pytest.fixture
def recording(tmp_path):
    def make(times_ns):
        events = some_events(times_ns)
        table = np.zeros(len(events), [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
        table['t'], table['x'], table['y'], table['p'] = events.t, events.x, events.y, events.p
        np.save(tmp_path / 'events.npy', table)
        return open_recording(tmp_path / 'events.npy', time_unit='ns', sensor=(64, 48))

    return make


def play(camera, count):
    batches = []
    while len(batches) < count and not camera.ended:
        batch = camera.read(0.05)
        if len(batch.events):
            batches.append(batch)
    return batches


def test_a_recording_comes_in_pieces_at_its_own_pace(recording):
    times = np.arange(0, 100 * MS, MS // 4)
    camera = FileCamera(recording(times), rate=1.0, loop=False, interval_ns=2 * MS)
    began_ns = time.time_ns()
    batches = play(camera, 1000)
    assert camera.ended
    np.testing.assert_array_equal(np.concatenate([b.events.t for b in batches]), times)
    assert all(len(np.unique(b.events.t // (2 * MS))) == 1 for b in batches)
    for batch in batches:
        assert batch.arrival_ns - began_ns >= batch.events.t[0]
    assert camera.read(0.0).newest_ns is None


def test_a_recording_that_begins_again_goes_on_in_time(recording):
    camera = FileCamera(
        recording([5 * MS, 6 * MS, 9 * MS]), rate=100.0, loop=True, interval_ns=2 * MS
    )
    times = np.concatenate([batch.events.t for batch in play(camera, 9)])
    np.testing.assert_array_equal(times[:7] // MS, [5, 6, 9, 10, 11, 14, 15])
    assert not camera.ended
    camera.close()
    camera.close()


class LeakyRecording(Recording):
    """Leaves out two events in each round, and counts each round anew."""

    def _read(self):
        self.losses[OUTSIDE_SENSOR] = 0
        yield some_events([MS]), Triggers.empty()
        self.losses[OUTSIDE_SENSOR] = 2
        yield some_events([5 * MS]), Triggers.empty()


def test_what_a_recording_leaves_out_is_told_once_a_round(tmp_path):
    recording = LeakyRecording(tmp_path, 'leaky', 48, 64)
    camera = FileCamera(recording, rate=100.0, loop=True, interval_ns=2 * MS)
    assert sum(batch.lost for batch in play(camera, 8)) == 2 * 4


class FilmedRecording(Recording):
    """Has frames before, amid and after its events."""

    def frames(self):
        return (Frame(time_ms * MS, None) for time_ms in (1, 3, 14, 50, 60))

    def _read(self):
        yield some_events([2 * MS, 3 * MS]), Triggers.empty()
        yield some_events([30 * MS]), Triggers.empty()


def test_frames_come_at_their_time_whether_there_are_events_or_not(tmp_path):
    recording = FilmedRecording(tmp_path, 'filmed', 48, 64)
    camera = FileCamera(recording, rate=1.0, loop=False, interval_ns=2 * MS)
    began_ns = time.time_ns()
    batches = []
    while not camera.ended:
        batches.append(camera.read(1.0))
    assert [
        ([frame.t // MS for frame in batch.frames], (batch.events.t // MS).tolist())
        for batch in batches
    ] == [([1], []), ([3], [2, 3]), ([14], []), ([], [30]), ([50], []), ([60], [])]
    assert batches[-1].arrival_ns - began_ns >= 58 * MS


def test_frames_begin_again_too(tmp_path):
    recording = FilmedRecording(tmp_path, 'filmed', 48, 64)
    camera = FileCamera(recording, rate=100.0, loop=True, interval_ns=2 * MS)
    times = [frame.t // MS for _ in range(12) for frame in camera.read(1.0).frames]
    assert times == [1, 3, 14, 50, 60, 61, 63, 74, 110, 120]


def test_an_empty_recording_ends_at_once(recording):
    assert FileCamera(recording([]), 1.0, True, 2 * MS).ended


# The wait for a camera.


class ScriptedCamera(Camera):
    """Sends what it is told to; an exception among it is raised."""

    def __init__(self, script):
        self.model, self.serial, self.height, self.width = 'scripted', '7', 48, 64
        self.script = list(script)
        self.closed = 0

    def read(self, timeout_s):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.ended = self.ended or step is END
        return Batch(some_events([step * MS]), arrival_ns=step) if step is not END else Batch()

    def close(self):
        self.closed += 1


END = object()


def connect(*found, **options):
    """Return a connection that finds these cameras, or errors, one after the other."""
    found = list(found)

    def open_camera():
        step = found.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return Connection(
        open_camera, options.pop('stopping', threading.Event()), MS // 10, retry_s=0.01, **options
    )


def test_a_camera_is_waited_for_lost_and_found_again():
    reasons = []
    first = ScriptedCamera([1, 2, CameraLostError('it is gone')])
    second = ScriptedCamera([3, END])
    absent = CameraAbsentError('no camera')
    connection = connect(
        absent, absent, first, absent, second, waiting=lambda error: reasons.append(str(error))
    )
    seen = []
    for camera in connection.cameras():
        assert connection.camera is camera
        seen.append((camera, [batch.arrival_ns for batch in connection.batches()]))
        assert camera.closed == 0
    assert seen == [(first, [1, 2]), (second, [3, 0])]
    assert reasons == ['no camera', 'no camera', 'it is gone', 'no camera']
    assert (connection.connects, connection.camera) == (2, None)
    assert first.closed == second.closed == 1


def test_a_camera_that_is_lost_at_once_is_not_opened_without_a_pause():
    stopping = threading.Event()
    found = (ScriptedCamera([CameraLostError('it is gone')]) for _ in iter(int, 1))
    connection = Connection(lambda: next(found), stopping, MS, retry_s=0.05)
    threading.Timer(0.2, stopping.set).start()
    assert [list(connection.batches()) for _ in connection.cameras()] == [[]] * connection.connects
    assert 1 <= connection.connects <= 5


def test_a_camera_whose_clock_is_set_back_is_read_on():
    connection = connect(ScriptedCamera([5000, 5001, 1, 2, END]))
    for _ in connection.cameras():
        seen = [[batch.arrival_ns for batch in stream] for stream in connection.streams()]
    # The batch in between is split before its first event.
    assert seen == [[5000, 5001, 1], [1, 2, 0]]
    assert connection.connects == 1


def test_a_wrong_setting_is_not_waited_out():
    connection = connect(MicroexprError('no bias of that name'))
    with pytest.raises(MicroexprError, match='no bias of that name'):
        next(connection.cameras())


def test_a_connection_ends_when_it_is_told_to():
    stopping = threading.Event()
    camera = ScriptedCamera(range(1, 100))
    connection = connect(camera, stopping=stopping)
    for _ in connection.cameras():
        for batch in connection.batches():
            if batch.arrival_ns == 3:
                stopping.set()
    assert camera.closed == 1
    assert len(camera.script) == 96


def test_a_camera_is_read_at_the_interval():
    camera = ScriptedCamera([*range(1, 11), END])
    connection = Connection(lambda: camera, threading.Event(), interval_ns=5 * MS)
    began = time.monotonic()
    assert sum(len(list(connection.batches())) for _ in connection.cameras()) == 11
    assert time.monotonic() - began > 0.05


def test_a_recording_is_played_as_fast_as_it_is_told_to(recording):
    times = np.arange(0, 1000 * MS, MS // 4)
    camera = FileCamera(recording(times), rate=5.0, loop=False, interval_ns=2 * MS)
    connection = Connection(lambda: camera, threading.Event(), interval_ns=2 * MS)
    began = time.monotonic()
    batches = [batch for _ in connection.cameras() for batch in connection.batches()]
    assert 0.19 < time.monotonic() - began < 0.6
    np.testing.assert_array_equal(np.concatenate([b.events.t for b in batches]), times)


# neuromorphic-drivers. There is no camera to test with: the library's own types stand in.


@pytest.fixture
def neuromorphic():
    pytest.importorskip('neuromorphic_drivers')
    from microexpr_ros.events.cameras import neuromorphic

    return neuromorphic


EVENT_TABLE = np.dtype([('t', '<u8'), ('x', '<u2'), ('y', '<u2'), ('on', '?')])


@given(
    st.lists(
        st.tuples(st.integers(0, 2**53), st.integers(0, 1279), st.integers(0, 719), st.booleans())
    )
)
def test_tables_of_events_keep_every_value(rows):
    pytest.importorskip('neuromorphic_drivers')
    from microexpr_ros.events.cameras.neuromorphic import to_events

    events = to_events(np.array(rows, EVENT_TABLE))
    assert [
        (t // 1000, x, y, p == 1)
        for t, x, y, p in zip(
            *(column.tolist() for column in (events.t, events.x, events.y, events.p)), strict=True
        )
    ] == rows
    assert (events.t.dtype, events.x.dtype, events.p.dtype) == (np.int64, np.uint16, np.uint8)


def test_a_packet_of_an_evk4_becomes_a_batch(neuromorphic):
    packet = neuromorphic.nd.Evt3Packet()
    packet.polarity_events = np.array([(5, 1, 2, True), (6, 3, 4, False)], EVENT_TABLE)
    packet.trigger_events = np.array(
        [(7, 6, True), (8, 6, False)], [('t', '<u8'), ('id', 'u1'), ('rising', '?')]
    )
    packet.polarity_events_overflow_indices = np.array([0, 1])
    packet.trigger_events_overflow_indices = None
    batch = neuromorphic.to_batch(packet, 99, 0.25)
    assert batch.events.t.tolist() == [5000, 6000]
    assert batch.events.p.tolist() == [1, 0]
    assert batch.triggers.t.tolist() == [7000, 8000]
    assert batch.triggers.id.tolist() == [6, 6]
    assert batch.triggers.edge.tolist() == [1, 0]
    assert (batch.arrival_ns, batch.lost, batch.lag_ns) == (99, 2, 250_000_000)
    assert batch.frames == ()


def test_a_packet_of_a_davis_has_frames(neuromorphic):
    nd = neuromorphic.nd
    frame = nd.Frame()
    frame.start_t, frame.exposure_start_t, frame.exposure_end_t, frame.t = 100, 110, 130, 150
    frame.pixels = np.array([[0, 64, 65472]], np.uint16)
    packet = nd.Davis346Packet()
    packet.polarity_events = packet.trigger_events = None
    packet.polarity_events_overflow_indices = packet.trigger_events_overflow_indices = None
    packet.frames = [frame]
    batch = neuromorphic.to_batch(packet, 0, 0.0)
    assert len(batch.events) == len(batch.triggers) == 0
    assert batch.frames[0].t == 120_000
    assert batch.frames[0].pixels.tolist() == [[0, 0, 255]]
    frame.exposure_start_t = None
    assert neuromorphic.to_frame(frame).t == 125_000


def test_pulses_count_as_rising_edges(neuromorphic):
    table = np.array(
        [(1, 0, 0), (2, 0, 1), (3, 0, 2)], [('t', '<u8'), ('id', 'u1'), ('polarity', 'u1')]
    )
    assert neuromorphic.to_triggers(table).edge.tolist() == [0, 1, 1]


@pytest.mark.parametrize('name', ['PROPHESEE_EVK4', 'PROPHESEE_EVK3_HD'])
def test_rows_and_columns_outside_the_region_are_masked(neuromorphic, name):
    settings = CameraSettings(roi=Region(100, 50, 3, 2))
    made = neuromorphic.configuration(neuromorphic.nd.Name[name], settings, {})
    for mask, size, start, length in ((made.x_mask, 1280, 100, 3), (made.y_mask, 720, 50, 2)):
        number = sum(word << (64 * index) for index, word in enumerate(mask))
        on = [index for index in range(size) if not number >> index & 1]
        assert on == list(range(start, start + length))
    assert not made.mask_intersection_only
    assert made.serialize()


def test_the_settings_of_each_camera_reach_its_configuration(neuromorphic):
    name = neuromorphic.nd.Name
    evk4 = neuromorphic.configuration(
        name.PROPHESEE_EVK4, CameraSettings(trigger_in_mode='external'), {'diff_on': 20}
    )
    assert evk4.enable_external_trigger
    assert (evk4.biases.diff_on, evk4.biases.diff_off) == (20, 0)
    assert not neuromorphic.configuration(
        name.PROPHESEE_EVK4, CameraSettings(), {}
    ).enable_external_trigger
    davis = neuromorphic.configuration(
        name.INIVATION_DAVIS346, CameraSettings(roi=Region(1, 2, 30, 40)), {}
    )
    assert dataclasses.astuple(davis.region_of_interest) == (1, 2, 30, 40)


@pytest.mark.parametrize(
    ('name', 'settings', 'message'),
    [
        ('PROPHESEE_EVK4', {'roi': Region(0, 0, 1281, 1)}, '1280 x 720'),
        ('PROPHESEE_EVK3_HD', {'trigger_in_mode': 'external'}, 'trigger input of Prophesee EVK3'),
        ('INIVATION_DVXPLORER', {'roi': Region(0, 0, 9, 9)}, 'use driver inivation'),
    ],
)
def test_what_a_camera_does_not_have_is_refused(neuromorphic, name, settings, message):
    with pytest.raises(MicroexprError, match=message):
        neuromorphic.configuration(neuromorphic.nd.Name[name], CameraSettings(**settings), {})


class Device:
    """What the library's device does for its reader."""

    def __init__(self, nd, script):
        self.nd, self.script, self.sent, self.closed = nd, list(script), [], 0

    def name(self):
        return self.nd.Name.PROPHESEE_EVK4

    def serial(self):
        return '00051501'

    def properties(self):
        return self.nd.prophesee_evk4.Properties()

    def biases_bounds(self):
        bounds = self.nd.prophesee_evk4.Bounds
        return self.nd.prophesee_evk4.BiasesBounds(diff_on=bounds(-85, 140))

    def update_configuration(self, configuration):
        self.sent.append(configuration)

    def __next__(self):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self):
        self.closed += 1


@pytest.fixture
def evk4(neuromorphic, monkeypatch):
    nd = neuromorphic.nd
    from neuromorphic_drivers.status import RingStatus, Status

    packet = nd.Evt3Packet()
    packet.polarity_events = np.array([(5, 1, 2, True)], EVENT_TABLE)
    packet.trigger_events = None
    packet.polarity_events_overflow_indices = packet.trigger_events_overflow_indices = None
    ring = RingStatus(99.5, 0, 1, False, 5, 0)
    script = [(Status(100.0, ring), packet), (Status(100.1, None), None), RuntimeError('NoDevice')]
    device = Device(nd, script)
    listed = nd.ListedDevice(
        device.name(), nd.Connection.USB_SUPER, '', device.serial(), error=None
    )

    def open_device(configuration, **options):
        assert options['serial'] == '00051501'
        device.sent.append(configuration)
        return device

    monkeypatch.setattr(nd, 'list_devices', lambda: [listed])
    monkeypatch.setattr(nd, 'open', open_device)
    return device


def test_an_evk4_is_opened_read_and_lost(evk4):
    settings = CameraSettings(biases={'diff_on': 30})
    with cameras.open_camera('neuromorphic', settings) as camera:
        assert (camera.model, camera.serial) == ('Prophesee EVK4', '00051501')
        assert (camera.height, camera.width) == (720, 1280)
        assert [configuration.biases.diff_on for configuration in evk4.sent] == [0, 30]
        batch = camera.read(1.0)
        assert batch.events.t.tolist() == [5000]
        assert batch.lag_ns == 500_000_000
        assert camera.read(0.0).newest_ns is None
        with pytest.raises(CameraLostError, match='Prophesee EVK4 00051501 is gone: NoDevice'):
            camera.read(1.0)
    assert evk4.closed == 1


def test_a_camera_with_a_wrong_bias_is_let_go(evk4):
    with pytest.raises(MicroexprError, match='diff_on = 141: Prophesee EVK4 takes -85 to 140'):
        cameras.open_camera('neuromorphic', CameraSettings(biases={'diff_on': 141}))
    assert evk4.closed == 1


def test_another_serial_number_is_told(evk4):
    with pytest.raises(CameraAbsentError, match='serial 7; there is Prophesee EVK4 00051501'):
        cameras.open_camera('neuromorphic', CameraSettings(serial='7'))
    assert not evk4.sent


# dv-processing. Its sockets have the interface of its cameras.


@pytest.fixture
def inivation():
    pytest.importorskip('dv_processing')
    from microexpr_ros.events.cameras import inivation

    return inivation


SENDER = """
import sys, time
import dv_processing as dv

stream = dv.io.Stream.EventStream(0, 'events', 'DVXplorer_DXA00093', (640, 480))
writer = dv.io.NetworkWriter(sys.argv[1], stream)
print('ready', flush=True)
while writer.getClientCount() == 0:
    time.sleep(0.01)
k = 0
while True:
    store = dv.EventStore()
    for _ in range(50):
        store.push_back(1_700_000_000_000_000 + 10 * k, k % 640, k % 480, k % 3 == 0)
        k += 1
    writer.writeEvents(store)
    time.sleep(0.001)
"""


def read_on(camera):
    for _ in range(1000):
        camera.read(0.01)


def test_a_live_source_is_read_until_it_is_unplugged(inivation, tmp_path):
    path = str(tmp_path / 'socket')
    sender = subprocess.Popen([sys.executable, '-c', SENDER, path], stdout=subprocess.PIPE)
    try:
        assert sender.stdout.readline() == b'ready\n'
        with inivation.InivationCamera(inivation.dv.io.NetworkReader(path)) as camera:
            assert (camera.model, camera.serial) == ('DVXplorer', 'DXA00093')
            assert (camera.height, camera.width) == (480, 640)
            batches = []
            while sum(len(batch.events) for batch in batches) < 2000:
                batches.append(camera.read(1.0))
            k = np.arange(sum(len(batch.events) for batch in batches))
            times = np.concatenate([batch.events.t for batch in batches])
            np.testing.assert_array_equal(times, (1_700_000_000_000_000 + 10 * k) * 1000)
            columns = np.concatenate([batch.events.x for batch in batches])
            np.testing.assert_array_equal(columns, k % 640)
            polarity = np.concatenate([batch.events.p for batch in batches])
            np.testing.assert_array_equal(polarity, k % 3 == 0)
            sender.kill()
            with pytest.raises(CameraLostError, match='DVXplorer DXA00093 is gone'):
                read_on(camera)
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()


def test_a_silent_source_gives_an_empty_batch(inivation, tmp_path):
    path = str(tmp_path / 'socket')
    silent = SENDER.replace('    writer.writeEvents(store)\n', '')
    sender = subprocess.Popen([sys.executable, '-c', silent, path], stdout=subprocess.PIPE)
    try:
        sender.stdout.readline()
        camera = inivation.InivationCamera(inivation.dv.io.NetworkReader(path))
        assert camera.read(0.02).newest_ns is None
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()


def test_only_triggers_from_outside_are_triggers(inivation):
    dv = inivation.dv
    kinds = [
        dv.TriggerType.EXTERNAL_SIGNAL_RISING_EDGE,
        dv.TriggerType.APS_EXPOSURE_START,
        dv.TriggerType.EXTERNAL_SIGNAL_FALLING_EDGE,
        dv.TriggerType.EXTERNAL_SIGNAL_PULSE,
    ]
    triggers = inivation.to_triggers([dv.Trigger(10 * k, kind) for k, kind in enumerate(kinds)])
    assert triggers.t.tolist() == [0, 20_000, 30_000]
    assert triggers.edge.tolist() == [1, 0, 1]
    assert len(inivation.to_triggers([])) == 0


def test_frames_come_in_the_order_of_red_green_blue(inivation):
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[..., 0] = 9
    frame = inivation.to_frame(inivation.dv.Frame(5, blue))
    assert (frame.t, frame.pixels.shape) == (5000, (4, 6, 3))
    assert frame.pixels[0, 0].tolist() == [0, 0, 9]
    grey = inivation.to_frame(inivation.dv.Frame(5, blue[..., 0]))
    assert grey.pixels.shape == (4, 6)


def test_frames_are_dated_in_the_middle_of_their_exposure(inivation):
    dv = inivation.dv
    begin_us = 1_700_000_000_000_001
    frame = dv.Frame(begin_us, 4001, 0, 0, np.zeros((4, 6), np.uint8), dv.FrameSource.SENSOR)
    assert inivation.to_frame(frame).t == begin_us * 1000 + 2_000_500


@pytest.fixture
def dvxplorer(inivation):
    source = create_autospec(inivation.dv.io.camera.DVXplorer, instance=True)
    source.getCameraName.return_value = 'DVXplorer_DXA00093'
    source.getEventResolution.return_value = (640, 480)
    return source


def test_the_settings_reach_a_dvxplorer(inivation, dvxplorer):
    inivation.set_up(
        dvxplorer,
        CameraSettings(
            biases={'contrast_threshold_on': 11},
            roi=Region(10, 20, 300, 200),
            trigger_in_mode='external',
        ),
    )
    dvxplorer.setContrastThresholdOn.assert_called_once_with(11)
    dvxplorer.setContrastThresholdOff.assert_not_called()
    dvxplorer.setCropArea.assert_called_once_with((10, 20, 300, 200))
    dvxplorer.setDetectorRunning.assert_called_once_with(True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'biases': {'diff_on': 1}}, 'it has contrast_threshold_on, contrast_threshold_off'),
        ({'biases': {'contrast_threshold_on': 18}}, 'takes 0 to 17'),
        ({'roi': Region(600, 0, 41, 10)}, '640 x 480'),
    ],
)
def test_what_a_dvxplorer_does_not_have_is_refused(inivation, dvxplorer, settings, message):
    with pytest.raises(MicroexprError, match=message):
        inivation.set_up(dvxplorer, CameraSettings(**settings))


def test_a_camera_without_trigger_input_says_so(inivation):
    micro = create_autospec(inivation.dv.io.camera.DVXplorerM, instance=True)
    micro.getCameraName.return_value = 'DVXplorerMicro_1'
    with pytest.raises(MicroexprError, match='DVXplorerMicro_1 has no trigger input'):
        inivation.set_up(micro, CameraSettings(trigger_in_mode='external'))


def test_one_part_of_a_current_of_a_davis_is_set_at_a_time(inivation):
    davis = inivation.dv.io.camera.DAVIS
    source = create_autospec(davis, instance=True)
    source.getCameraName.return_value = 'DAVIS346_00000002'
    source.getSensorModel.return_value = davis.SensorModel.DAVIS346
    source.getDavis346BiasCoarseFine.return_value = (4, 39)
    inivation.set_up(source, CameraSettings(biases={'Diff_fine': 50}))
    source.setDavis346BiasCoarseFine.assert_called_once_with(davis.Davis346BiasCF.Diff, 4, 50)
    with pytest.raises(MicroexprError, match='takes 0 to 7'):
        inivation.set_up(source, CameraSettings(biases={'Diff_coarse': 8}))


def test_only_the_reason_of_an_error_is_told(inivation):
    with pytest.raises(RuntimeError) as caught:
        inivation.dv.io.camera.open('no such number')
    assert inivation._reason(caught.value) == 'Could not find device with given serial number'
