"""Faces in frames, with a landmarker that a test scripts; once with MediaPipe, where it is."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest
from fake_clips import needs_face
from made_face import render_face
from scripted_faces import ScriptedTracker

from microexpr_ros.alignment.camera_geometry import PlaneGeometry
from microexpr_ros.events.events import Frame
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES
from microexpr_ros.perception.faces import landmarker
from microexpr_ros.perception.faces.frame_tracker import (
    RATE_HZ,
    DirectObserver,
    FrameFaces,
    FrameFaceTracker,
    FrameObserver,
)
from microexpr_ros.perception.faces.landmarker import MeshedFace, open_landmarker
from microexpr_ros.perception.faces.rest_face import GROUPS, STILL, RestFace

MS = 1_000_000
FRAME = np.zeros((480, 640, 3), np.uint8)


def make_points(x=320.0, y=240.0, side=160.0, roll=0.0):
    """Return the points of a face whose landmarks are at their places, and who is flat."""
    points = np.zeros((landmarker.POINTS, 3))
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.2, 0.8, (landmarker.POINTS, 2))
    for group, place in zip(GROUPS, PLACES, strict=True):
        shares[list(group)] = place
    points[:, :2] = AlignedRegion(x, y, side, roll).to_pixels(shares)
    return points


def place(*args, **kwargs):
    return AlignedRegion(*args, **kwargs).to_pixels(PLACES)


def test_a_face_moves_turns_and_grows_as_it_is():
    rest = RestFace()
    for x, side, roll in [(320.0, 160.0, 0.0), (300.0, 200.0, 0.3), (250.0, 120.0, -0.5)]:
        found = rest.update(make_points(x, 240.0, side, roll))
        np.testing.assert_allclose(found, place(x, 240.0, side, roll), atol=1e-6)


def test_an_expression_does_not_move_the_landmarks():
    rest = RestFace()
    for _ in range(20):
        rest.update(make_points())
    smile = make_points(310.0)
    smile[61, :2] += (-12, -8)
    smile[291, :2] += (12, -8)
    # Lids that close.
    smile[[159, 158, 386, 385], 1] += 9
    assert not {61, 291, 159, 158, 386, 385} & set(STILL.tolist())
    np.testing.assert_allclose(rest.update(smile), place(310.0, 240.0, 160.0), atol=1e-6)


def test_each_face_has_a_rest_of_its_own_whatever_their_order():
    left, right = make_points(150.0), make_points(450.0)
    smiling = right.copy()
    smiling[61, 0] -= 20
    turns = iter([[left, right]] * 9 + [[smiling, left], [], [right]])
    faces = FrameFaces(lambda pixels, time_ms: [MeshedFace(p, {}) for p in next(turns)])
    for at in range(9):
        faces.find(Frame(at * 66 * MS, FRAME))
    found = faces.find(Frame(600 * MS, FRAME))
    np.testing.assert_allclose(found[0], place(450.0, 240.0, 160.0), atol=1e-6)
    assert faces.find(Frame(666 * MS, FRAME)) == []
    np.testing.assert_allclose(
        faces.find(Frame(732 * MS, FRAME))[0], place(450.0, 240.0, 160.0), atol=1e-6
    )


@pytest.mark.parametrize('unseen', [(), (7,), (7, 8)])
def test_who_crosses_another_face_has_a_new_rest(unseen):
    """One of two people smiles all the time: at rest it is a smile, and only that one's."""
    frames = []
    for number in range(14):
        smiling, other = make_points(120.0 + 30 * number), make_points(520.0 - 30 * number)
        smiling[61, 1] -= 12
        smiling[291, 1] -= 12
        points = [smiling] if number in unseen else [smiling, other]
        frames.append([MeshedFace(one, {}) for one in points])
    queue = iter(frames)
    faces = FrameFaces(lambda pixels, time_ms: next(queue))
    for number in range(14):
        found = faces.find(Frame(number * 70 * MS, FRAME))
        truth = [RestFace().update(face.points) for face in frames[number]]
        for landmarks, wanted in zip(found, truth, strict=True):
            np.testing.assert_allclose(landmarks, wanted, atol=1.0)


def test_times_increase_for_the_landmarker_when_a_recording_begins_again():
    times = []
    faces = FrameFaces(lambda pixels, time_ms: times.append(time_ms) or [])
    for t_ms in (1000, 1033, 20, 53):
        faces.find(Frame(t_ms * MS, FRAME))
    assert times == [1000, 1033, 1034, 1035]


class Landmarking:
    """A landmarker whose frames wait until the test lets them pass."""

    def __init__(self):
        self.times, self.passes = [], threading.Semaphore(0)

    @contextmanager
    def open(self):
        yield self.landmark

    def landmark(self, pixels, time_ms):
        self.times.append(time_ms)
        assert self.passes.acquire(timeout=60)
        return [MeshedFace(make_points(320.0), {})]


def test_the_newest_frame_is_looked_at_and_seldom_enough():
    landmarking = Landmarking()
    observer = FrameObserver(landmarking.open)
    seen, done = [], threading.Semaphore(0)

    def take(observation):
        seen.append(observation)
        done.release()

    observer.submit(Frame(0, FRAME), take)
    while not landmarking.times:
        threading.Event().wait(0.01)
    # These wait for the first: the newest remains, of those that do not come too soon.
    for t_ms in (10, 70, 140, 210, 215):
        observer.submit(Frame(t_ms * MS, FRAME), take)
    for _ in range(2):
        landmarking.passes.release()
        assert done.acquire(timeout=60)
    observer.close()
    assert [one.taken_ns for one in seen] == [0, 210 * MS]
    assert 1e3 / RATE_HZ > 15
    # Nothing is looked at any more.
    observer.submit(Frame(999 * MS, FRAME), take)
    assert len(landmarking.times) == 2


def test_a_direct_observer_looks_at_once_and_as_seldom():
    times, closed = [], []

    @contextmanager
    def open_made():
        yield lambda _, time_ms: times.append(time_ms) or [MeshedFace(make_points(), {})]
        closed.append(True)

    seen = []
    with DirectObserver(open_made) as observer:
        assert not times
        for t_ms in (0, 10, 70, 75, 140):
            observer.submit(Frame(t_ms * MS, FRAME), seen.append)
    assert times == [1, 70, 140]
    assert [one.taken_ns for one in seen] == [0, 70 * MS, 140 * MS]
    np.testing.assert_allclose(seen[0].faces[0], place(320.0, 240.0, 160.0), atol=1e-6)
    assert closed == [True]


def test_faces_of_frames_are_mapped_to_the_event_sensor():
    landmarking = Landmarking()
    landmarking.passes.release(10)
    observer = FrameObserver(landmarking.open)
    geometry = PlaneGeometry(np.array([[2.0, 0, 100], [0, 2.0, 40], [0, 0, 1]]))
    expected = {None: place(160.0, 120.0, 80.0), geometry: place(110.0, 100.0, 80.0)}
    for given, wanted in expected.items():
        tracker = FrameFaceTracker(240, 320, ScriptedTracker(), observer, given)
        counts, faces, now_ns = np.zeros((2, 12, 16), np.uint8), (), 0
        tracker.see(now_ns, Frame(now_ns, FRAME))
        while not faces:
            faces = tracker.update(counts, 0.01)
        np.testing.assert_allclose(faces[0].landmarks, wanted, atol=1e-3)
        observer.submit(Frame(-(10**9), FRAME), lambda _: None)
    observer.close()


@needs_face
@pytest.mark.skipif(not landmarker.is_installed(), reason='of requirements/peers.txt')
def test_mediapipe_finds_a_made_face_as_well_as_is_stated():
    pixels, truth = render_face()
    with open_landmarker(is_video=True) as landmark:
        (found,) = FrameFaces(landmark).find(Frame(0, pixels))
    eyes = np.linalg.norm(truth[1] - truth[0])
    assert np.linalg.norm(found - truth, axis=1).mean() < 0.025 * eyes
