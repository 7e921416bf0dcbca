import numpy as np
import pytest

from microexpr_ros.alignment.synchronizer import Synchronizer, SynchronizerOptions, SyncSource
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame
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


def test_a_clock_jump_starts_anew():
    synchronizer = Synchronizer(480, 640, FIXED)
    push(synchronizer, 3)
    later = list(synchronizer.push(one(5000), 5000 * MS, OFFSET + 90_000 * MS))
    assert later == []
    assert synchronizer.clock_jumps == 1


def test_without_a_face_slices_are_cut_all_the_same():
    synchronizer = Synchronizer(480, 640)
    push(synchronizer, 3)
    (aligned,) = push(synchronizer, 12)
    assert aligned.slice.region is None
    assert aligned.face == -1
    assert aligned.slice.events == 0


def test_a_region_beside_the_sensor_is_refused():
    with pytest.raises(MicroexprError, match='outside the 640 x 480 sensor'):
        Synchronizer(480, 640, SynchronizerOptions(region=Region(700, 0, 10, 10)))


def test_a_homography_has_nine_numbers():
    with pytest.raises(MicroexprError, match='9'):
        SynchronizerOptions(homography=(1.0, 0.0))


def test_a_stream_that_begins_again_is_cut_again():
    synchronizer = Synchronizer(480, 640, FIXED)
    rounds = []
    for _ in range(3):
        slices = []
        for t_ms in range(0, 2000, 5):
            slices += push(synchronizer, t_ms)
        rounds.append(len(slices))
    assert rounds == [199, 199, 199]
    assert synchronizer.cutter.late == 0
    assert synchronizer.cutter.restarts == 2


def test_a_restart_mixes_no_slices():
    synchronizer = Synchronizer(480, 640, FIXED)
    push(synchronizer, 3)
    push(synchronizer, 70_003)
    (aligned,) = push(synchronizer, 70_012)
    assert aligned.slice.events == 1
