"""Slices as they arrive in messages: their count, and their stamps."""

import numpy as np
import pytest

pytest.importorskip('microexpr_ros.msg')

from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.events.region import Region
from microexpr_ros.perception.spotting import MicroExpression
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.estimates import expression_to_message
from microexpr_ros.ros.slices import FaceSlice, SliceInput

MS = 1_000_000
EPOCH = 1_700_000_000_000 * MS


def given(stamp_ns, face=0):
    counts = np.zeros((2, 8, 8), np.uint8)
    slice_ = Slice(stamp_ns, 10 * MS, Region(0, 0, 8, 8), counts, 0)
    aligned = AlignedSlice(slice_, face, SyncSource.NONE, 0.0, 0)
    return FaceSlice(aligned, f'face_{face}', 'camera', stamp_ns)


@pytest.mark.parametrize('rate', [0.1, 0.5, 1.0, 2.0, 10.0])
def test_slices_follow_each_other_at_any_rate(rate):
    slices, step_ns = SliceInput(), round(10 * MS / rate)
    taken = [slices.take(given(EPOCH + k * step_ns)).slice for k in range(50)]
    assert [s.clock_end_ns for s in taken] == [k * 10 * MS for k in range(50)]
    assert slices.diagnose({}).values['missed_slices'] == 0
    for k, slice_ in enumerate(taken):
        assert slices.to_ros(slice_.clock_end_ns) == slice_.end_ns == EPOCH + k * step_ns
    assert slices.to_ros(15 * MS) == EPOCH + step_ns + step_ns // 2


def test_missing_slices_are_counted_for_one_face_only():
    slices = SliceInput()
    for number, face in ((0, 0), (1, 0), (4, 0), (5, 0), (9, 1)):
        slices.take(given(EPOCH + number * 10 * MS, face))
    assert slices.diagnose({}).values['missed_slices'] == 2


def test_slices_of_one_stamp_show_several_faces_at_one_time():
    slices = SliceInput()
    taken = [
        slices.take(given(EPOCH + number * 10 * MS, face)).slice.clock_end_ns
        for number, faces in enumerate([(0, 1), (1, 0), (0, 1), (1, 2)])
        for face in faces
    ]
    assert taken == [0, 0, 10 * MS, 10 * MS, 20 * MS, 20 * MS, 30 * MS, 30 * MS]
    assert slices.to_ros(25 * MS) == EPOCH + 25 * MS
    assert slices.diagnose({}).values['missed_slices'] == 0


@pytest.mark.parametrize(
    ('later', 'missed'), [((1, 0), 3), ((2, 0), 3), ((2, 3), 0), ((0,), 3)], ids=str
)
def test_missing_slices_are_counted_once_for_all_faces_that_go_on(later, missed):
    slices = SliceInput()
    for number, faces in ((0, (0, 1)), (1, (0, 1)), (5, later)):
        for face in faces:
            slices.take(given(EPOCH + number * 10 * MS, face))
    assert slices.diagnose({}).values['missed_slices'] == missed


def test_stamps_that_go_back_begin_another_stream():
    slices = SliceInput()
    first = slices.take(given(EPOCH + 20 * MS)).slice
    second = slices.take(given(EPOCH)).slice
    assert second.clock_end_ns - second.duration_ns > first.clock_end_ns
    assert slices.to_ros(second.clock_end_ns) == EPOCH


def test_an_expression_lasts_as_long_as_it_did_on_the_sensor():
    slices = SliceInput()
    for number in range(100):
        slices.take(given(EPOCH + number * 20 * MS))
    found = MicroExpression((12,), 100 * MS, 200 * MS, 500 * MS, 0.5, 0.9)
    sent = expression_to_message(found, 'camera', 'face_0', slices.to_ros)
    assert to_ns(sent.onset) == EPOCH + 200 * MS
    assert to_ns(sent.header.stamp) == to_ns(sent.apex) == EPOCH + 400 * MS
    assert to_ns(sent.offset) == EPOCH + 1000 * MS
    assert sent.micro
