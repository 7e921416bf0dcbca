from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from event_streams import events_at
from machine import OtherLoad

from microexpr_ros.events import Frame, Triggers
from microexpr_ros.events.cameras import Connection, FileCamera
from microexpr_ros.events.files import Recording, open_recording
from microexpr_ros.events.files.recording import OUTSIDE_SENSOR

MS = 1_000_000


@pytest.fixture
def recording(tmp_path):
    def make(times_ns):
        events = events_at(times_ns)
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


def test_what_a_recording_holds_is_counted_in_every_round(recording):
    camera = FileCamera(
        recording([5 * MS, 4 * MS, 9 * MS]), rate=100.0, loop=True, interval_ns=2 * MS
    )
    assert sum(batch.held for batch in play(camera, 6)) == 3


class LeakyRecording(Recording):
    """Leaves out two events in each round, and counts each round anew."""

    def _read(self):
        self.losses[OUTSIDE_SENSOR] = 0
        yield events_at([MS]), Triggers.empty()
        self.losses[OUTSIDE_SENSOR] = 2
        yield events_at([5 * MS]), Triggers.empty()


def test_events_that_a_recording_leaves_out_are_counted_once_a_round(tmp_path):
    recording = LeakyRecording(tmp_path, 'leaky', 48, 64)
    camera = FileCamera(recording, rate=100.0, loop=True, interval_ns=2 * MS)
    assert sum(batch.lost for batch in play(camera, 8)) == 2 * 4


class FilmedRecording(Recording):
    """Has frames before, amid and after its events."""

    def frames(self):
        return (Frame(time_ms * MS, None) for time_ms in (1, 3, 14, 50, 60))

    def _read(self):
        yield events_at([2 * MS, 3 * MS]), Triggers.empty()
        yield events_at([30 * MS]), Triggers.empty()


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


def test_a_recording_is_played_at_the_given_rate(recording):
    times = np.arange(0, 1000 * MS, MS // 4)
    camera = FileCamera(recording(times), rate=5.0, loop=False, interval_ns=2 * MS)
    connection = Connection(lambda: camera, threading.Event(), interval_ns=2 * MS)
    others, began = OtherLoad(), time.monotonic()
    batches = [batch for _ in connection.cameras() for batch in connection.batches()]
    took_s = time.monotonic() - began
    assert took_s > 0.19
    # Where other programs took the processors, this measures them instead.
    assert took_s < 0.6 or others.share() > 0.25
    np.testing.assert_array_equal(np.concatenate([b.events.t for b in batches]), times)


@pytest.mark.parametrize('rate', [0.5, 1.0, 3.0])
def test_stamps_go_forward_at_any_rate(recording, rate):
    random = np.random.default_rng(0)
    # Now and then nothing, so that batches begin and end anywhere in their interval.
    times = np.sort(random.integers(0, 100 * MS, 200))
    camera = FileCamera(recording(times), rate, loop=False, interval_ns=2 * MS)
    batches = play(camera, 1000)
    stamps = np.array([batch.host_ns(int(t)) for batch in batches for t in batch.events.t])
    assert len(stamps) == len(times)
    passed = stamps - stamps[0]
    assert passed == pytest.approx((times - times[0]) / rate, abs=MS // 10)
