import numpy as np
import pytest

from microexpr_ros.alignment.problems import HostOffset, find_problems
from microexpr_ros.alignment.synchronizer import Synchronizer, SynchronizerOptions
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.events.region import Region

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS
TOPICS = '/event_camera/events', '/rgb_camera/image_raw'


def problems(stamp=lambda t: EPOCH + t, frame=None, away_ns=0, seconds=10):
    synchronizer = Synchronizer(48, 64, SynchronizerOptions(region=Region(0, 0, 64, 48)))
    for index in range(seconds * 100):
        t = index * 10 * MS
        if frame is not None and index % 4 == 0:
            synchronizer.push_frame(Frame(frame(EPOCH + t - 10 * MS), np.zeros((4, 4), np.uint8)))
        zeros = np.zeros(1, np.uint16)
        events = Events(np.array([t]), zeros, zeros, zeros.astype(np.uint8))
        for _ in synchronizer.push(events, t, stamp(t)):
            pass
    return find_problems(synchronizer, away_ns, *TOPICS)


def test_stamps_that_are_right_are_no_problem():
    assert problems(frame=lambda t: t) == {}


@pytest.mark.parametrize(
    ('stamp', 'kind', 'words'),
    [
        (lambda t: 0, 'ZERO', 'are 0'),
        (lambda t: EPOCH, 'STILL', 'stand still'),
        (lambda t: EPOCH - t, 'BACKWARDS', 'run backwards'),
        (lambda t: EPOCH + t * 7919 % (3600 * 10**9), 'JUMPING', 'jump again and again'),
        (lambda t: EPOCH + t // 2, 'RATE', 'played at 2 times its speed'),
        (lambda t: EPOCH + t - 3600 * 10**9 * (t > 5 * 10**9), 'SET_BACK', '3600.0 s ahead of'),
    ],
)
def test_what_is_odd_is_named_with_a_remedy(stamp, kind, words):
    found = problems(stamp)
    assert list(found) == [kind]
    assert found[kind].startswith('stamps of /event_camera/events ')
    assert words in found[kind]


def test_the_distance_to_this_machine_is_named():
    (line,) = problems(away_ns=-3000 * MS).values()
    assert line.startswith(
        "stamps of /event_camera/events are 3.0 s behind this machine's clock: synchronise the "
        'clocks (chrony), or'
    )
    assert problems(away_ns=400 * MS) == {}


def test_the_distance_of_frames_is_named():
    (line,) = problems(frame=lambda t: t + 400 * MS).values()
    assert line.startswith('stamps of /rgb_camera/image_raw are 0.4 s ahead of the events')
    assert 'frame_offset to 0.400 or auto' in line
    (line,) = problems(frame=lambda t: 2 * t).values()
    assert 'days ahead of the events' in line
    assert 'auto' not in line


def test_the_nearest_measurement_counts():
    offset = HostOffset()
    for away_ms in (-3, -700):
        offset.add(EPOCH + away_ms * MS, EPOCH)
    assert offset.away_ns == 0
    offset.add(EPOCH - 600 * MS, EPOCH)
    assert offset.away_ns == -3 * MS
    for _ in range(5):
        offset.add(EPOCH - 3000 * MS, EPOCH)
    assert offset.away_ns == -3000 * MS
