from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_faces import ScriptedTracker, make_face
from two_cameras import FACE_M, STEREO, see_points

from microexpr_ros.alignment.camera_geometry import PlaneGeometry
from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.slices import follows
from microexpr_ros.alignment.synchronizer import Synchronizer, SynchronizerOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.region import Region

MS = 1_000_000
OFFSET = 1_700_000_000_000 * MS
FIXED = SynchronizerOptions(grid=8, region=Region(10, 20, 16, 16))


def one(t_ms, x=12, y=22, p=1):
    return Events(
        np.array([t_ms * MS], np.int64),
        np.array([x], np.uint16),
        np.array([y], np.uint16),
        np.array([p], np.uint8),
    )


def push(synchronizer, t_ms, **kwargs):
    return list(
        synchronizer.push(one(t_ms, **kwargs), t_ms * MS, OFFSET + t_ms * MS, arrival_ns=t_ms)
    )


def test_slices_carry_ros_time_cells_and_arrival():
    synchronizer = Synchronizer(480, 640, FIXED)
    assert push(synchronizer, 3) == []
    assert push(synchronizer, 8, x=25, y=35, p=0) == []
    assert push(synchronizer, 9, x=0) == []
    (aligned,) = push(synchronizer, 12)
    assert aligned.slice.end_ns == OFFSET + 10 * MS
    assert aligned.slice.events == 2
    assert aligned.slice.counts[1, 1, 1] == 1
    assert aligned.slice.counts[0, 7, 7] == 1
    assert aligned.slice.pixels_per_cell == 4
    assert aligned.newest_arrival_ns == 9
    assert aligned.source is SyncSource.NONE
    assert aligned.face == 0


def test_a_frame_comes_with_the_slice_in_which_it_became_current():
    synchronizer = Synchronizer(480, 640, FIXED)
    push(synchronizer, 3)
    frame = np.full((240, 320, 3), 9, np.uint8)
    synchronizer.push_frame(Frame(OFFSET + 14 * MS, frame))
    first, second = push(synchronizer, 22)
    assert first.slice.frame is None
    assert first.source is SyncSource.SOFTWARE
    assert second.slice.frame.shape == (8, 8, 3)
    assert second.slice.frame_stamp_ns == OFFSET + 14 * MS
    assert (second.slice.frame == 9).all()


def test_time_that_passes_ends_silent_slices():
    synchronizer = Synchronizer(480, 640, FIXED)
    assert list(synchronizer.advance(OFFSET)) == []
    push(synchronizer, 3)
    assert list(synchronizer.advance(OFFSET + 29 * MS)) == []
    (aligned,) = synchronizer.advance(OFFSET + 31 * MS)
    assert aligned.slice.events == 1
    assert aligned.slice.end_ns == OFFSET + 10 * MS


def test_a_clock_jump_cuts_no_slice_short():
    synchronizer = Synchronizer(480, 640, FIXED)
    push(synchronizer, 3)
    later = list(synchronizer.push(one(5000), 5000 * MS, OFFSET + 90_000 * MS))
    assert [aligned.slice.sensor_end_ns for aligned in later] == list(
        range(10 * MS, 5001 * MS, 10 * MS)
    )
    assert sum(aligned.slice.events for aligned in later) == 1
    assert later[-1].slice.end_ns == OFFSET + 90_000 * MS
    assert synchronizer.clock_jumps == 1
    assert synchronizer.cutter.restarts == 0


def test_without_a_face_slices_are_cut_all_the_same():
    synchronizer = Synchronizer(480, 640, None, lambda height, width: ScriptedTracker())
    push(synchronizer, 3)
    (aligned,) = push(synchronizer, 12)
    assert aligned.slice.region is None
    assert aligned.face == -1
    assert aligned.slice.events == 0


def test_a_region_beside_the_sensor_is_refused():
    with pytest.raises(MicroexprError, match='outside the 640 x 480 sensor'):
        Synchronizer(480, 640, SynchronizerOptions(region=Region(700, 0, 10, 10)))


def test_a_geometry_of_other_cameras_is_refused():
    geometry = PlaneGeometry(np.eye(3), (480, 640), (720, 1280))
    options = SynchronizerOptions(region=Region(0, 0, 64, 64), geometry=geometry)
    with pytest.raises(MicroexprError, match='for event sensor of 640 x 480, not of 346 x 260'):
        Synchronizer(260, 346, options)
    synchronizer = Synchronizer(480, 640, options)
    with pytest.raises(MicroexprError, match='for frames of 1280 x 720, not of 640 x 480'):
        synchronizer.push_frame(Frame(0, np.zeros((480, 640), np.uint8)))
    synchronizer.push_frame(Frame(0, np.zeros((720, 1280, 3), np.uint8)))


@pytest.mark.parametrize('distance_m', [0.4, 0.7, 1.2])
def test_a_frame_is_cut_where_a_face_at_its_distance_is_seen(distance_m):
    on_sensor, in_frame = see_points(FACE_M, np.zeros(3), np.array([0.02, 0, distance_m]))
    found = align(on_sensor)
    side = round(found.side)
    region = Region(round(found.x - side / 2), round(found.y - side / 2), side, side)
    synchronizer = Synchronizer(480, 640, replace(FIXED, grid=64, region=region, geometry=STEREO))
    push(synchronizer, 3)
    # The right eye is a bright spot of 2 mm.
    frame = np.zeros((720, 1280), np.uint8)
    (x, y), radius = in_frame[0], max(round(1010 * 0.002 / distance_m), 1)
    frame[round(y) - radius : round(y) + radius, round(x) - radius : round(x) + radius] = 255
    synchronizer.push_frame(Frame(OFFSET + 14 * MS, frame))
    _, second = push(synchronizer, 22)
    rows, columns = np.nonzero(second.slice.frame > second.slice.frame.max() / 2)
    # Where an aligned region shows it; a cell of 64 is 5 % of the distance between the eyes.
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((22, 22), abs=1.3)


class HearingTracker:
    """Keeps what it gets with each slice."""

    shape = 12, 16

    def __init__(self):
        self.seen = []

    def see(self, end_ns, frame):
        self.seen.append((end_ns, None if frame is None else frame.t))

    def update(self, counts, duration_s):
        assert self.seen
        return ()

    def reset(self):
        pass


def test_a_tracker_that_needs_them_gets_times_and_frames_before_each_update():
    tracker = HearingTracker()
    synchronizer = Synchronizer(480, 640, SynchronizerOptions(), lambda rows, columns: tracker)
    slices = push(synchronizer, 3)
    synchronizer.push_frame(Frame(OFFSET + 14 * MS, np.zeros((4, 4), np.uint8)))
    slices += push(synchronizer, 32)
    assert [one.slice.end_ns for one in slices] == [OFFSET + end * MS for end in (10, 20, 30)]
    assert tracker.seen == [
        (OFFSET + 10 * MS, None),
        (OFFSET + 20 * MS, OFFSET + 14 * MS),
        (OFFSET + 30 * MS, None),
    ]


def test_a_stream_that_begins_again_is_cut_again():
    synchronizer = Synchronizer(480, 640, FIXED)
    rounds = []
    for _ in range(3):
        slices = []
        for t_ms in range(0, 2000, 5):
            slices += push(synchronizer, t_ms)
        rounds.append(len(slices))
    # A round begins with the last slice of the one before it.
    assert rounds == [199, 200, 200]
    assert synchronizer.cutter.late == 0
    assert synchronizer.cutter.restarts == 2


def test_a_restart_mixes_no_slices():
    synchronizer = Synchronizer(480, 640, FIXED)
    push(synchronizer, 3)
    push(synchronizer, 70_003)
    (aligned,) = push(synchronizer, 70_012)
    assert aligned.slice.events == 1


def packet(index, count=100):
    """Return the events of 10 ms."""
    t = np.linspace(index * 10 * MS, index * 10 * MS + 9 * MS, count).astype(np.int64)
    cells = np.full(count, 25, np.uint16)
    return Events(t, cells, cells, np.ones(count, np.uint8))


def flow(stamp, count=500):
    """Return the slices of regular packets whose stamps a function of sensor time gives."""
    synchronizer, out = Synchronizer(480, 640, FIXED), []
    for index in range(count):
        events = packet(index)
        first_ns = int(events.t[0])
        out += synchronizer.push(events, first_ns, stamp(first_ns), now_ns=first_ns)
    return out, synchronizer


@pytest.mark.parametrize(
    'stamp',
    [
        *(lambda t, rate=rate: OFFSET + int(t / rate) for rate in (0.1, 0.5, 0.8, 2.0, 3.0, 10.0)),
        lambda t: 0,
        lambda t: OFFSET,
        lambda t: OFFSET - t,
        lambda t: OFFSET + t * 7919 % (3600 * 10**9),
        lambda t: OFFSET + t // (300 * MS) * 300 * MS,
    ],
)
def test_slices_do_not_depend_on_stamps(stamp):
    wanted, _ = flow(lambda t: OFFSET + t)
    slices, synchronizer = flow(stamp)
    assert len(slices) == len(wanted) == 499
    previous = None
    for mine, other in zip(slices, wanted, strict=True):
        np.testing.assert_array_equal(mine.slice.counts, other.slice.counts)
        assert mine.slice.sensor_end_ns == other.slice.sensor_end_ns
        assert mine.face == other.face == 0
        assert previous is None or follows(mine.slice, previous)
        previous = mine.slice.clock_end_ns
    stamps = [aligned.slice.end_ns for aligned in slices]
    assert (np.diff(stamps) > 0).all()
    assert (synchronizer.cutter.restarts, synchronizer.cutter.late) == (0, 0)


@pytest.mark.parametrize('ahead_ns', [-3000 * MS, 0, 100 * MS, 3000 * MS])
@pytest.mark.parametrize('pause', [6, 15, 30])
@pytest.mark.parametrize('is_late', [False, True])
def test_pauses_lose_nothing_whichever_clock_is_behind(ahead_ns, pause, is_late):
    """Packets come each 10 ms, with pauses after which they come all at once or not at all."""
    synchronizer, out, sent = Synchronizer(480, 640, FIXED), [], 0

    def send(index):
        nonlocal sent, out
        sent += 100
        out += synchronizer.push(packet(index), index * 10 * MS, OFFSET + index * 10 * MS)

    index = 0
    while index < 500:
        if index and index % 50 == 0:
            for passed in range(2, pause):
                now_ns = OFFSET + (index + passed) * 10 * MS + ahead_ns
                out += synchronizer.advance(now_ns)
            for missed in range(pause if is_late else 0):
                send(index + missed)
            index += pause
        send(index)
        index += 1
    out += synchronizer.push(one(index * 10), index * 10 * MS, OFFSET + index * 10 * MS)
    assert len(out) == index
    assert sum(aligned.slice.events for aligned in out) == sent
    assert (np.diff([aligned.slice.end_ns for aligned in out]) > 0).all()
    assert (synchronizer.cutter.restarts, synchronizer.cutter.late) == (0, 0)


def test_a_camera_that_starts_again_is_another_face_at_a_later_time():
    synchronizer, out = Synchronizer(480, 640, FIXED), []
    for part in range(3):
        for index in range(100):
            stamp_ns = OFFSET + part * 5000 * MS + index * 10 * MS
            out += synchronizer.push(packet(index), index * 10 * MS, stamp_ns)
    stamps = np.array([aligned.slice.end_ns for aligned in out])
    assert (np.diff(stamps) > 0).all()
    assert [aligned.face for aligned in out] == [0] * 100 + [1] * 100 + [2] * 99
    assert stamps[100] == OFFSET + 5010 * MS
    assert synchronizer.cutter.restarts == 2
    assert synchronizer.clock_jumps == 0


def test_a_recording_that_is_played_again_has_its_own_stamps_again():
    synchronizer, out = Synchronizer(480, 640, FIXED), []
    for _ in range(2):
        for index in range(100):
            out += synchronizer.push(packet(index), index * 10 * MS, OFFSET + index * 10 * MS)
    stamps = [aligned.slice.end_ns for aligned in out]
    assert stamps[:99] == stamps[100:]


def with_frames(stamp, options=FIXED, triggers=lambda t: None, count=300, one_device=False):
    """Return slices of packets each 10 ms, and a frame each 40 ms whose stamp a function gives."""
    synchronizer, out = Synchronizer(480, 640, options), []
    synchronizer.frames.is_one_device = one_device
    pixels = np.zeros((48, 64, 3), np.uint8)
    for index in range(count):
        events, t = packet(index, 50), index * 10 * MS
        if index % 4 == 0:
            synchronizer.push_frame(Frame(stamp(OFFSET + t), pixels))
        edges = triggers(t) if index % 4 == 0 else None
        out += synchronizer.push(events, t, OFFSET + t, triggers=edges)
    return out, synchronizer


@pytest.mark.parametrize(
    ('stamp', 'used', 'source'),
    [
        (lambda t: t, 75, SyncSource.SOFTWARE),
        (lambda t: t + 400 * MS, 0, SyncSource.NONE),
        (lambda t: 2 * t, 0, SyncSource.NONE),
        (lambda t: t - OFFSET + 5 * 10**12, 0, SyncSource.NONE),
        (lambda t: 0, 0, SyncSource.NONE),
        (lambda t: t - 3000 * MS, 0, SyncSource.NONE),
    ],
)
def test_frames_of_another_clock_are_not_paired(stamp, used, source):
    slices, synchronizer = with_frames(stamp)
    shown = [aligned.slice for aligned in slices if aligned.slice.frame is not None]
    assert len(shown) == used
    assert synchronizer.frames.stamps.refused == 75 - used
    assert slices[-1].source is source
    assert all(abs(s.end_ns - s.frame_stamp_ns) <= 10 * MS for s in shown)


@pytest.mark.parametrize('offset_ms', [400, -3000])
def test_frames_are_mapped_where_a_constant_offset_explains_them(offset_ms):
    options = replace(FIXED, frame_offset_ns=None)
    slices, _ = with_frames(lambda t: t + offset_ms * MS, options)
    shown = [aligned.slice for aligned in slices if aligned.slice.frame is not None]
    assert len(shown) == 66
    assert all(abs(s.end_ns - s.frame_stamp_ns) <= 10 * MS for s in shown)
    assert slices[-1].source is SyncSource.SOFTWARE
    assert slices[-1].sync_error_ns >= 20 * MS


def test_triggers_say_when_frames_were_taken():
    def strobe(t):
        edges = np.array([t + MS // 2, t + 3 * MS])
        return Triggers(edges, np.ones(2, np.uint8), np.array([1, 0], np.uint8))

    random = np.random.default_rng(0)

    def late(t):
        return t + 15 * MS + int(random.exponential(MS))

    slices, _ = with_frames(late, triggers=strobe)
    shown = [aligned for aligned in slices[100:] if aligned.slice.frame is not None]
    assert len(shown) >= 49
    for aligned in shown:
        assert aligned.source is SyncSource.TRIGGER
        assert aligned.sync_error_ns <= 50_000
        assert (aligned.slice.frame_stamp_ns - OFFSET) % (40 * MS) == MS // 2


def test_events_and_frames_of_one_device_share_its_clock():
    slices, _ = with_frames(lambda t: t, one_device=True)
    assert slices[-1].source is SyncSource.SHARED_CLOCK
    assert sum(aligned.slice.frame is not None for aligned in slices) == 75


def test_a_frame_that_comes_before_the_first_packet_waits_for_it():
    synchronizer = Synchronizer(480, 640, FIXED)
    synchronizer.push_frame(Frame(OFFSET + 4 * MS, np.zeros((48, 64), np.uint8)))
    push(synchronizer, 3)
    (aligned,) = push(synchronizer, 12)
    assert aligned.slice.frame_stamp_ns == OFFSET + 4 * MS


def test_a_still_scene_has_slices_while_packets_come():
    synchronizer, out = Synchronizer(480, 640, FIXED), []
    for index in range(600):
        events = packet(index) if index < 100 else Events.empty()
        t = index * 10 * MS
        out += synchronizer.push(events, t if len(events) else 0, OFFSET + t)
    assert [aligned.slice.events > 0 for aligned in out] == [True] * 100 + [False] * 459
    assert (np.diff([aligned.slice.sensor_end_ns for aligned in out]) == 10 * MS).all()


def test_a_stream_that_has_stopped_is_not_continued_for_long():
    synchronizer, out = Synchronizer(480, 640, FIXED), []
    for index in range(100):
        out += synchronizer.push(packet(index), index * 10 * MS, OFFSET + index * 10 * MS)
    for passed in range(2, 1000):
        out += synchronizer.advance(OFFSET + (99 + passed) * 10 * MS)
    # Until 0.9 s of silence, less the 0.4 s for which packets might only be late.
    assert len(out) == 149
    out += synchronizer.push(packet(500), 5000 * MS, OFFSET + 5000 * MS)
    assert (np.diff([aligned.slice.sensor_end_ns for aligned in out]) == 10 * MS).all()
    assert synchronizer.cutter.late == 0


def test_the_error_is_unknown_where_stamps_say_nothing():
    slices, _ = flow(lambda t: 0)
    assert slices[-1].sync_error_ns == np.inf
    slices, _ = flow(lambda t: OFFSET + t)
    assert slices[-1].sync_error_ns == 0


events_of_life = st.lists(
    st.one_of(
        st.tuples(st.just('send'), st.integers(1, 40), st.sampled_from([1, 2, 7, 10, 33])),
        st.tuples(st.just('burst'), st.integers(1, 40), st.sampled_from([1, 2, 7])),
        st.tuples(st.just('set host'), st.integers(-7200_000, 7200_000), st.just(0)),
        st.tuples(st.just('rate'), st.integers(1, 100), st.just(0)),
        st.tuples(st.just('stamps'), st.sampled_from(['right', 'zero', 'still']), st.just(0)),
        st.tuples(st.just('restart'), st.integers(0, 5000), st.just(0)),
        st.tuples(st.just('wrap'), st.just(16_777), st.just(0)),
        st.tuples(st.just('silence'), st.integers(1, 5000), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)


class Life:
    """A camera, a host and a transport to which anything may happen; times in ms."""

    def __init__(self, random, local_ahead_ms):
        self.random = random
        self.synchronizer = Synchronizer(480, 640, FIXED)
        self.sensor, self.host, self.local = 1000.0, OFFSET / MS, OFFSET / MS + local_ahead_ms
        self.rate, self.stamps = 1.0, 'right'
        self.sent = self.restarts = 0
        self.newest = -1
        self.out = []
        self.first_of_stream = {0}

    def send(self, count, period, held_back=False):
        packets = []
        for _ in range(count):
            step = 0.5 if held_back and self.sensor > 1000.0 else period
            ms = np.sort(self.random.integers(0, 900, 5)) / 1000 * period
            packets.append(((self.sensor + ms) * MS).astype(np.int64))
            self.sensor += period
            self.host += period * self.rate
            self.local += step * self.rate
        for t in packets:
            stamp = self.host * MS if held_back else (self.host + self.random.exponential(1)) * MS
            given = {'right': stamp, 'zero': 0, 'still': OFFSET}[self.stamps]
            zeros = np.full(5, 25, np.uint16)
            events = Events(t, zeros, zeros, np.ones(5, np.uint8))
            self.sent += 5
            self.out += self.synchronizer.push(
                events, int(t[0]), max(int(given), 0), now_ns=int(self.local * MS)
            )

    def silent(self, duration):
        for _ in range(min(duration // 10, 60)):
            self.local += duration / min(duration // 10, 60)
            self.out += self.synchronizer.advance(int(self.local * MS))
        # After a gap of 10 s slicing would start anew.
        self.sensor += min(duration / self.rate, 9000)
        self.host += duration
        self.send(1, 10)

    def live(self, happening, amount, period):
        if happening == 'send':
            self.send(amount, period)
        elif happening == 'burst':
            self.send(min(amount, 300 // period), period, held_back=True)
        elif happening == 'set host':
            self.host = max(self.host + amount, 1)
        elif happening == 'rate':
            self.rate = amount / 10
        elif happening == 'stamps':
            self.stamps = amount
        elif happening == 'silence':
            self.silent(amount)
        else:
            self.send(40, 10)
            back = self.sensor if happening == 'restart' else amount
            if self.sensor - back < 0 and happening == 'wrap':
                return
            self.sensor -= back
            self.host += amount if happening == 'restart' else 0
            self.restarts += 1
            self.send(5, 10)


def check_life(happenings, seed, local_ahead_ms):
    life = Life(np.random.default_rng(seed), local_ahead_ms)
    life.send(20, 10)
    for happening in happenings:
        life.live(*happening)
    life.out += life.synchronizer.flush()
    cutter = life.synchronizer.cutter
    assert cutter.restarts == life.restarts
    inside = sum(aligned.slice.events for aligned in life.out)
    assert inside + cutter.late == life.sent
    if not any(kind == 'silence' for kind, *_ in happenings):
        assert cutter.late == 0
    streams = [list(group) for _, group in groupby(life.out, key=lambda aligned: aligned.face)]
    assert len(streams) <= life.restarts + 1
    for stream in streams:
        ends = [aligned.slice.sensor_end_ns for aligned in stream]
        assert ends == list(range(ends[0], ends[-1] + 1, 10 * MS))
    stamps = np.array([aligned.slice.end_ns for aligned in life.out])
    assert (np.diff(stamps) > 0).all()


LIVES = (events_of_life, st.integers(0, 2**32 - 1), st.integers(-10_000, 10_000))


@settings(max_examples=100, deadline=None)
@given(*LIVES)
def test_whatever_happens_every_event_is_in_one_slice(happenings, seed, local_ahead_ms):
    check_life(happenings, seed, local_ahead_ms)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(*LIVES)
def test_whatever_happens_in_thousands_of_lives(happenings, seed, local_ahead_ms):
    check_life(happenings, seed, local_ahead_ms)


def slices_of(tracker, count, most=1, grid=10):
    options = SynchronizerOptions(grid=grid, faces=most)
    synchronizer = Synchronizer(480, 640, options, lambda height, width: tracker)
    return [
        aligned for k in range(count + 1) for aligned in push(synchronizer, 10 * k, x=310, y=200)
    ]


def test_a_tracker_sees_the_whole_sensor_and_its_face_is_shown_from_the_next_slice_on():
    tracker = ScriptedTracker(lambda k: [make_face(5, 300, roll=0.1)] if k < 4 else [])
    slices = slices_of(tracker, 6)
    assert [aligned.face for aligned in slices] == [-1, 5, 5, 5, 5, -1]
    # Column 310 of 640 and row 200 of 480, ON.
    assert all(counts.sum() == counts[1, 5, 7] == 1 for counts in tracker.counts)
    first, shown, *_, last, lost = slices
    assert first.slice.region is None
    assert first.landmarks is None
    region = shown.slice.region
    assert (region.x, region.y, region.side, region.roll) == pytest.approx((300, 200, 100, 0.1))
    assert shown.slice.pixels_per_cell == pytest.approx(100)
    assert shown.slice.events == 1
    np.testing.assert_array_equal(shown.landmarks, make_face(5, 300, roll=0.1).landmarks)
    assert shown.sigma == 0.02
    assert shown.slice.motion.x == pytest.approx(0)
    # Lost in the last slice that was open for it.
    assert last.slice.region is not None
    assert last.landmarks is last.slice.motion is lost.slice.motion is None


def test_the_region_rests_while_a_slice_is_open_and_follows_from_slice_to_slice():
    slices = slices_of(ScriptedTracker(lambda k: [make_face(0, 300 + k)]), 60)[1:]
    columns = [aligned.slice.region.x for aligned in slices]
    assert columns[0] == pytest.approx(300)
    assert columns[-1] == pytest.approx(300 + 58, abs=1)
    # 100 px/s, where the eyes are 31 px apart.
    assert slices[-1].slice.motion.x == pytest.approx(100 / 31.2, rel=0.05)


def test_one_face_is_followed_until_it_is_lost():
    nearest = (
        [make_face(1, 100), make_face(2, 400)],
        [make_face(2, 400), make_face(1, 100)],
        [make_face(2, 400)],
    )
    slices = slices_of(ScriptedTracker(lambda k: nearest[min(k // 2, 2)]), 8)
    assert [aligned.face for aligned in slices] == [-1, 1, 1, 1, 1, 2, 2, 2]


def test_each_of_several_faces_has_slices_of_its_own():
    faces = [make_face(1, 300), make_face(2, 350), make_face(3, 100)]
    slices = slices_of(ScriptedTracker(lambda k: faces), 2, most=2)
    assert [aligned.face for aligned in slices] == [-1, 1, 2]
    assert [aligned.slice.region for aligned in slices[1:]] == [
        align(shown.landmarks) for shown in faces[:2]
    ]
    assert slices[1].slice.end_ns == slices[2].slice.end_ns
    assert [aligned.slice.events for aligned in slices] == [0, 1, 1]


def test_another_stream_has_other_faces():
    tracker = ScriptedTracker(lambda k: [make_face(0, 300)])
    options = SynchronizerOptions(grid=10)
    synchronizer = Synchronizer(480, 640, options, lambda height, width: tracker)
    for t_ms in (0, 10, 20):
        push(synchronizer, t_ms)
    assert push(synchronizer, 60_000)[0].face == 0
    [aligned] = push(synchronizer, 60_010)
    assert tracker.resets == 1
    assert aligned.face == -1


def test_a_face_of_which_only_a_box_is_known_has_a_region_and_its_id():
    face = replace(make_face(0, 300), has_landmarks=False, given_id='anna')
    shown = slices_of(ScriptedTracker(lambda k: [face] if k < 4 else []), 6)
    assert [one.given_id for one in shown] == ['', 'anna', 'anna', 'anna', 'anna', '']
    assert shown[2].slice.region.side == pytest.approx(100, abs=1e-3)
    assert all(one.landmarks is one.slice.motion is None for one in shown)
