import numpy as np
import pytest

from microexpr_ros.alignment.faces import Face, TimedFaceTracker
from microexpr_ros.alignment.observed_faces import (
    AHEAD_NS,
    OLD_NS,
    Observation,
    ObservedFaceTracker,
)
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES

MS = 1_000_000


def place(x, y=200.0, side=100.0):
    return AlignedRegion(x, y, side).to_pixels(PLACES)


class EventFaces:
    """A tracker that finds in the events what a test gives."""

    shape = 12, 16

    def __init__(self):
        self.faces, self.slices, self.resets = [], 0, 0

    def update(self, counts, duration_s):
        self.slices += 1
        return [Face(number, place(x).astype(np.float32), 0.05) for number, x in self.faces]

    def reset(self):
        self.resets += 1


class Chain:
    """Slices of 10 ms, one after the other."""

    def __init__(self):
        self.events, self.lines = EventFaces(), []
        self.tracker = ObservedFaceTracker(self.events, self.lines.append)
        self.now_ns = 0

    def observe(self, *columns, age_ns=0, **kwargs):
        faces = [place(x, **kwargs) for x in columns]
        self.tracker.observe(Observation(self.now_ns - age_ns, faces, 0.01))

    def step(self, slices=1):
        for _ in range(slices):
            self.now_ns += 10 * MS
            self.tracker.see(self.now_ns, None)
            faces = self.tracker.update(np.zeros((2, 12, 16), np.uint8), 0.01)
        return {face.number: float(face.landmarks[:2, 0].mean()) for face in faces}


@pytest.fixture
def chain():
    return Chain()


def test_it_is_a_tracker_that_gets_times(chain):
    assert isinstance(chain.tracker, TimedFaceTracker)
    assert not isinstance(chain.events, TimedFaceTracker)


def test_observed_faces_come_before_those_of_the_events(chain):
    chain.events.faces = [(7, 300.0)]
    assert chain.step() == {0: pytest.approx(300)}
    assert chain.tracker.uses_events
    chain.observe(305.0)
    # The same face, so it keeps its number.
    assert chain.step() == {0: pytest.approx(305)}
    assert not chain.tracker.uses_events
    assert chain.events.slices == 2


def test_a_face_that_is_no_longer_observed_is_followed_in_the_events(chain):
    chain.observe(300.0)
    chain.events.faces = [(7, 310.0), (8, 600.0)]
    assert chain.step(OLD_NS // (10 * MS)) == {0: pytest.approx(300)}
    assert chain.step() == {0: pytest.approx(310), 1: pytest.approx(600)}
    assert chain.tracker.uses_events
    chain.events.faces = [(8, 600.0), (7, 400.0)]
    assert chain.step() == {0: pytest.approx(400), 1: pytest.approx(600)}


def test_that_the_events_take_over_is_logged_once(chain):
    chain.step(100)
    assert chain.lines == []
    for _ in range(2):
        chain.observe(300.0)
        chain.step(100)
    assert chain.lines == ['faces: none is observed any more, so they are followed in the events']


def test_nobody_in_a_frame_does_not_end_what_the_events_show(chain):
    chain.events.faces = [(7, 310.0)]
    chain.observe()
    assert chain.step() == {0: pytest.approx(310)}


def test_a_face_moves_on_between_observations(chain):
    for at in range(5):
        # 2 px in each slice, known 30 ms late.
        chain.observe(300.0 + 8 * at, age_ns=30 * MS)
        found = chain.step(4)
    # By now the face has moved for 30 ms + 40 ms since it was observed last.
    assert found[0] == pytest.approx(332 + 14, abs=1.5)
    # It stays where it is when nothing is observed for long.
    stood = chain.step(15)
    assert stood[0] == pytest.approx(332 + 2 * AHEAD_NS / (10 * MS), abs=3)
    assert chain.step(10) == stood


def test_faces_are_told_apart_by_where_they_are(chain):
    chain.observe(300.0, 500.0)
    assert chain.step() == {0: pytest.approx(300), 1: pytest.approx(500)}
    chain.observe(504.0, 304.0)
    found = chain.step()
    assert found[0] == pytest.approx(305, abs=2)
    assert found[1] == pytest.approx(505, abs=2)
    # One that is not seen for a moment stays.
    chain.observe(300.0)
    assert set(chain.step()) == {0, 1}
    chain.observe(900.0)
    assert 2 in chain.step()


def cross(chain, unseen, is_known=False):
    """Have two people pass each other within 1.5 s, observed 15 times a second.

    Args:
        chain: follows them.
        unseen: shares of the way between which the second one is covered by the first.
        is_known: whether they are observed with ids.

    Returns:
        For each slice the numbers of the faces by where they are.
    """
    found = []
    for number in range(150):
        share = number / 149
        if number % 7 == 0:
            places = {'anna': place(200.0 + 400 * share), 'ben': place(600.0 - 400 * share)}
            if unseen[0] < share < unseen[1]:
                del places['ben']
            ids = list(places) if is_known else ()
            chain.tracker.observe(
                Observation(chain.now_ns - 30 * MS, list(places.values()), 0.01, ids)
            )
        found.append(chain.step())
    return found


@pytest.mark.parametrize('unseen', [(2, 2), (0.48, 0.52), (0.45, 0.56), (0.42, 0.95)])
def test_two_people_who_cross_are_others_afterwards(chain, unseen):
    found = cross(chain, unseen)
    assert [set(faces) for faces in found[10:50]] == [{0, 1}] * 40
    assert not set(found[-1]) & {0, 1}
    assert len(found[-1]) == 2
    for faces in found[100:]:
        assert not set(faces) & {0, 1}


def test_ids_say_who_is_who_after_crossing_too():
    chain = Chain()
    found = cross(chain, (0.45, 0.56), is_known=True)
    assert set(found[-1]) == {0, 1}
    assert found[-1][0] == pytest.approx(600, abs=20)


def test_who_covers_each_other_is_somebody_else_when_the_events_take_over(chain):
    for away in range(100, 10, -10):
        chain.observe(400.0 - away, 400.0 + away)
        assert set(chain.step(5)) == {0, 1}
    # One of them is seen, but which?
    chain.events.faces = [(5, 385.0)]
    assert set(chain.step(60)) == {2}


def test_two_who_are_swapped_in_the_events_are_others(chain):
    chain.events.faces = [(5, 380.0), (6, 420.0)]
    assert set(chain.step()) == {0, 1}
    # The events' tracker gives others numbers to those who have crossed.
    chain.events.faces = [(7, 400.0)]
    assert set(chain.step()) == {2}
    chain.events.faces = [(7, 300.0), (8, 500.0)]
    assert set(chain.step()) == {2, 3}


def test_people_side_by_side_stay_who_they_are(chain):
    # Two eye distances from nose to nose.
    for number in range(40):
        chain.observe(300.0 + number % 2, 363.0 - number % 2)
        assert set(chain.step(7)) == {0, 1}


def test_the_nearest_face_is_first(chain):
    chain.tracker.observe(Observation(0, [place(100.0, side=50.0), place(400.0)], 0.01))
    assert list(chain.step()) == [1, 0]


def test_numbers_are_not_used_again_after_a_reset(chain):
    chain.observe(300.0)
    assert set(chain.step()) == {0}
    chain.tracker.reset()
    assert chain.events.resets == 1
    assert chain.step() == {}
    chain.observe(300.0)
    assert set(chain.step()) == {1}


class NamedFaces:
    """Faces that are observed with ids, and not looked for in the events."""

    def __init__(self):
        self.tracker = ObservedFaceTracker(None)
        self.now_ns = 0

    def observe(self, has_landmarks=True, **columns):
        faces = [place(x) for x in columns.values()]
        observation = Observation(self.now_ns, faces, 0.01, list(columns), has_landmarks)
        self.tracker.observe(observation)

    def step(self, slices=1):
        for _ in range(slices):
            self.now_ns += 10 * MS
            self.tracker.see(self.now_ns, None)
            faces = self.tracker.update(np.zeros((2, *self.tracker.shape), np.uint8), 0.01)
        return {face.given_id: face for face in faces}


def test_ids_say_who_is_who_wherever_they_are():
    chain = NamedFaces()
    chain.observe(anna=300.0, ben=500.0)
    before = chain.step()
    assert set(before) == {'anna', 'ben'}
    chain.observe(ben=300.0, anna=500.0)
    after = chain.step()
    for name in ('anna', 'ben'):
        assert after[name].number == before[name].number
    assert after['anna'].landmarks[:2, 0].mean() > 400


def test_without_events_nobody_is_followed_who_is_not_observed():
    chain = NamedFaces()
    assert chain.step() == {}
    chain.observe(anna=300.0)
    assert set(chain.step(OLD_NS // (10 * MS))) == {'anna'}
    assert chain.step() == {}
    chain.observe(anna=300.0)
    [anna] = chain.step().values()
    assert anna.number == 0
    chain.tracker.reset()
    assert chain.step() == {}


def test_faces_that_are_not_kept_are_forgotten_at_once():
    chain = NamedFaces()
    chain.observe(anna=300.0, ben=500.0)
    assert set(chain.step()) == {'anna', 'ben'}
    # What was observed before the list, and not followed yet, is forgotten too.
    chain.observe(anna=300.0)
    chain.tracker.keep(['ben'])
    assert set(chain.step()) == {'ben'}
    chain.observe(anna=300.0)
    assert chain.step()['anna'].number == 2


def test_a_box_that_gives_way_to_landmarks_is_no_movement():
    chain = NamedFaces()
    chain.observe(anna=300.0, has_landmarks=False)
    assert not chain.step()['anna'].has_landmarks
    chain.observe(anna=320.0)
    chain.step()
    found = chain.step(5)['anna']
    assert found.has_landmarks
    assert found.landmarks[:2, 0].mean() == pytest.approx(320)
