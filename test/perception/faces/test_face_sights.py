"""Where both cameras of a recording show one face, from trackers that a test scripts."""

import numpy as np
import pytest
from event_streams import random_events
from scripted_faces import ScriptedObserver, ScriptedTracker, make_face

from microexpr_ros.events.events import Events, Frame
from microexpr_ros.perception.faces import face_sights
from microexpr_ros.perception.faces.face_sights import SensorFace, find_face_sights

MS = 1_000_000
BEGAN_NS = 7 * MS
PIXELS = np.zeros((4, 4), np.uint8)


def events_at(*times_ns):
    """Return events of one pixel, and their times on another clock."""
    number = len(times_ns)
    events = Events(
        np.array(times_ns, np.int64),
        np.full(number, 3, np.uint16),
        np.full(number, 2, np.uint16),
        np.ones(number, np.uint8),
    )
    return events.t + BEGAN_NS, events


def moving(number):
    """Return a face whose middle moves by 1 px in a slice."""
    return [make_face(0, 100.0 + number)]


def middle_at(face, time_ns):
    """Return the column of the middle between the eyes, or None."""
    landmarks = face.at(time_ns)
    return None if landmarks is None else float(landmarks[:2, 0].mean())


def follow(faces_at, slices=10):
    face = SensorFace(ScriptedTracker(faces_at), 480, 640)
    face.add(*events_at(*range(0, slices * 10 * MS + 1, 10 * MS)))
    return face


def test_a_face_is_known_at_the_ends_of_slices_and_evenly_between():
    face = follow(moving)
    # The first slice ends 10 ms after the first event.
    assert middle_at(face, BEGAN_NS + 10 * MS) == pytest.approx(100)
    assert middle_at(face, BEGAN_NS + 55 * MS) == pytest.approx(104.5)
    assert middle_at(face, BEGAN_NS + 99 * MS) == pytest.approx(108.9)
    assert middle_at(face, BEGAN_NS + 9 * MS) is None
    assert middle_at(face, BEGAN_NS + 100 * MS) is None


def test_a_face_is_unknown_beside_another_and_where_it_is_doubtful_or_new():
    def faces(number):
        if number == 3:
            return [make_face(0, 103.0), make_face(1, 400.0)]
        return [make_face(0 if number < 7 else 2, 100.0 + number)]

    face = follow(faces)
    known = [middle_at(face, BEGAN_NS + 5 * MS + number * 10 * MS) for number in range(1, 10)]
    assert [at is not None for at in known] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
        True,
        True,
    ]


def test_slices_are_the_same_however_events_come():
    events = random_events(np.random.default_rng(0), 4000, 200 * MS, 480, 640)
    together, apart = ScriptedTracker(moving), ScriptedTracker(moving)
    SensorFace(together, 480, 640).add(events.t + BEGAN_NS, events)
    face = SensorFace(apart, 480, 640)
    for first in range(0, len(events), 37):
        part = events[first : first + 37]
        face.add(part.t + BEGAN_NS, part)
    face.add(*events_at())
    assert len(together.counts) == len(apart.counts) == 19
    np.testing.assert_array_equal(together.counts, apart.counts)
    assert sum(int(counts.sum()) for counts in apart.counts) > 3500


def test_slices_without_events_are_counted():
    tracker = ScriptedTracker(moving)
    face = SensorFace(tracker, 480, 640)
    face.add(*events_at(0))
    face.add(*events_at(45 * MS))
    assert [int(counts.sum()) for counts in tracker.counts] == [1, 0, 0, 0]
    assert SensorFace(tracker, 480, 640).at(0) is None


def test_sights_are_of_frames_that_show_one_face(monkeypatch):
    in_frames = {20: [50.0], 40: [], 60: [50.0, 90.0], 80: [60.0], 500: [70.0]}

    def observe():
        return ScriptedObserver(
            lambda t_ns: [np.full((5, 2), column) for column in in_frames[(t_ns - BEGAN_NS) // MS]]
        )

    monkeypatch.setattr(face_sights, 'DirectObserver', observe)
    monkeypatch.setattr(face_sights, 'EventFaceTracker', lambda *_: ScriptedTracker(moving))
    frames = [Frame(BEGAN_NS + at * MS, PIXELS) for at in in_frames]
    sights = find_face_sights(frames, [events_at(*range(0, 110 * MS, 10 * MS))], 480, 640)
    assert [sight.in_frame[0, 0] for sight in sights] == [50, 60]
    middles = [sight.on_sensor[:2, 0].mean() for sight in sights]
    assert middles == pytest.approx([101, 107])
