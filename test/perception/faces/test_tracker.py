import copy
import pickle

import numpy as np
import pytest

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.events.sensor_grid import SensorMap
from microexpr_ros.landmarks import PLACES
from microexpr_ros.perception.faces import EventFaceOptions, EventFaceTracker, Refined

SIDE = 40.0


class Oracle:
    """Knows where faces are: stands in for the networks."""

    model = 'oracle@0'

    def __init__(self, *centres, probability=0.99, sigma=0.03):
        self.centres = [np.array(centre, float) for centre in centres]
        self.probability = probability
        self.sigma = sigma
        self.refined = 0

    def regions(self):
        return [AlignedRegion(*centre, SIDE) for centre in self.centres]

    def detect(self, traces, threshold, most):
        return [(0.9, region) for region in self.regions()][:most]

    def refine(self, traces, region):
        self.refined += 1
        away = [np.hypot(region.x - one.x, region.y - one.y) for one in self.regions()]
        nearest = self.regions()[int(np.argmin(away))]
        return Refined(nearest.to_pixels(PLACES), np.full(5, self.sigma), self.probability)


def make(oracle, **options):
    return EventFaceTracker(480, 640, oracle, EventFaceOptions(**options))


def busy(tracker, *centres):
    counts = np.zeros((2, *tracker.shape), np.uint8)
    for x, y in centres:
        counts[:, int(y) - 15 : int(y) + 15, int(x) - 15 : int(x) + 15] = 3
    return counts


def follow(tracker, counts, slices):
    for _ in range(slices):
        faces = tracker.update(counts, 0.01)
    return faces


def test_a_face_that_moves_is_found_where_it_is_in_pixels():
    tracker = make(Oracle((60, 50)))
    (face,) = follow(tracker, busy(tracker, (60, 50)), 60)
    expected = AlignedRegion(240, 200, 4 * SIDE).to_pixels(PLACES)
    np.testing.assert_allclose(face.landmarks, expected, atol=0.5)
    assert face.landmarks.dtype == np.float32
    assert face.number == 0
    assert 0 < face.sigma < 0.1


def test_pixels_are_those_whose_events_are_counted_in_the_cells():
    tracker = EventFaceTracker(260, 346, Oracle((60, 50)), EventFaceOptions())
    (face,) = follow(tracker, busy(tracker, (60, 50)), 60)
    expected = SensorMap(260, 346).to_pixels(AlignedRegion(60, 50, SIDE).to_pixels(PLACES))
    np.testing.assert_allclose(face.landmarks, expected, atol=0.3)
    # Cells are not where their share of the sensor is.
    away = face.landmarks - AlignedRegion(60, 50, SIDE).to_pixels(PLACES) * 346 / 160
    assert away.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.3)


def test_nothing_is_found_where_nothing_moves():
    tracker = make(oracle := Oracle((60, 50)))
    assert follow(tracker, busy(tracker), 100) == []
    assert oracle.refined == 0


def test_a_face_at_rest_stays_and_is_not_measured():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    # The last events are measured a few slices later.
    (before,) = follow(tracker, busy(tracker), 10)
    measured = oracle.refined
    (after,) = follow(tracker, busy(tracker), 3000)
    np.testing.assert_array_equal(after.landmarks, before.landmarks)
    assert oracle.refined == measured


def test_a_face_that_moves_on_is_followed_at_once():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    oracle.centres[0] += (6, 0)
    (face,) = follow(tracker, busy(tracker, (66, 50)), 8)
    expected = AlignedRegion(264, 200, 4 * SIDE).to_pixels(PLACES)
    np.testing.assert_allclose(face.landmarks, expected, atol=4 * SIDE * 0.02)


def glide(tracker, oracle, slices, speed=0.3, late=2):
    """Have a face move to the right, cells per slice, and be measured some slices late.

    Returns:
        Where it is and where it is shown in each slice, in px.
    """
    true, shown = [], []
    for at in range(slices):
        oracle.centres = [np.array([60 + speed * (at - late), 50])]
        faces = tracker.update(busy(tracker, (60 + speed * at, 50)), 0.01)
        true.append(4 * (60 + speed * at))
        shown.append(faces[0].landmarks[:2, 0].mean())
    return np.array(true), np.array(shown)


def test_a_face_that_moves_is_shown_where_it_is_now():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    true, shown = glide(tracker, oracle, 100)
    # Without an account of its speed it would be 2 to 4 slices late, up to 4.8 px.
    assert np.abs(shown - true)[40:].max() < 0.8


def test_a_face_that_stops_stands_where_it_was_measured():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    glide(tracker, oracle, 60, late=0)
    (face,) = follow(tracker, busy(tracker), 20)
    assert face.landmarks[:2, 0].mean() == pytest.approx(4 * oracle.centres[0][0], abs=1.5)


def test_a_doubtful_measurement_changes_no_speed():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    oracle.sigma = 0.3
    glide(tracker, oracle, 10, speed=1.0)
    np.testing.assert_array_equal(tracker._tracks[0].velocity, 0)


def test_a_doubtful_measurement_moves_a_known_face_little():
    tracker = make(oracle := Oracle((60, 50)))
    (before,) = follow(tracker, busy(tracker, (60, 50)), 60)
    oracle.centres[0] += (2, 0)
    oracle.sigma = 2.0
    (after,) = follow(tracker, busy(tracker, (60, 50)), 5)
    assert np.abs(after.landmarks - before.landmarks).max() < 4


def test_two_faces_have_numbers_of_their_own_and_the_nearer_comes_first():
    tracker = make(Oracle((40, 50), (110, 60)))
    faces = follow(tracker, busy(tracker, (40, 50), (110, 60)), 80)
    assert sorted(face.number for face in faces) == [0, 1]


def test_what_is_no_face_is_not_shown():
    tracker = make(Oracle((60, 50), probability=0.5))
    assert follow(tracker, busy(tracker, (60, 50)), 100) == []


def test_a_face_whose_place_is_unknown_is_not_shown():
    tracker = make(Oracle((60, 50), sigma=0.5))
    assert follow(tracker, busy(tracker, (60, 50)), 100) == []


def test_a_face_is_given_up_when_what_moves_there_is_none():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    oracle.probability = 0.01
    assert follow(tracker, busy(tracker, (60, 50)), 120) == []


def test_after_a_reset_the_face_is_another():
    tracker = make(Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    tracker.reset()
    assert follow(tracker, busy(tracker), 5) == []
    (face,) = follow(tracker, busy(tracker, (60, 50)), 60)
    assert face.number == 1


def cross(tracker, oracle, rows, slices=150):
    """Have two people pass each other, in these rows; return what is found in each slice."""
    found = []
    for share in np.linspace(0, 1, slices):
        oracle.centres = [
            np.array([40 + 80 * share, rows[0]]),
            np.array([120 - 80 * share, rows[1]]),
        ]
        found.append(tracker.update(busy(tracker, *oracle.centres), 0.01))
    return found


def test_two_people_who_cross_are_others_afterwards():
    tracker = make(oracle := Oracle((40, 60), (120, 60)))
    before = follow(tracker, busy(tracker, *oracle.centres), 80)
    assert {face.number for face in before} == {0, 1}
    found = cross(tracker, oracle, (60, 60))
    after = follow(tracker, busy(tracker, *oracle.centres), 80)
    assert {face.number for face in after} == {2, 3}
    # Until they were close to each other, they were known.
    assert [{face.number for face in faces} for faces in found[:40]] == [{0, 1}] * 40
    # Nobody who was known on one side is known on the other.
    for faces in found[90:]:
        assert not {face.number for face in faces} & {0, 1}


def test_two_people_who_pass_at_a_distance_stay_who_they_are():
    tracker = make(oracle := Oracle((40, 35), (120, 85)))
    before = follow(tracker, busy(tracker, *oracle.centres), 80)
    upper = {face.number for face in before if face.landmarks[0, 1] < 240}
    for faces in cross(tracker, oracle, (35, 85)):
        assert {face.number for face in faces} == {0, 1}
        assert {face.number for face in faces if face.landmarks[0, 1] < 240} == upper


@pytest.mark.parametrize(('covered', 'number'), [(40, 0), (150, 1)])
def test_a_face_is_the_same_after_a_short_loss_alone(covered, number):
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    # As when a hand passes before it.
    oracle.probability = 0.1
    follow(tracker, busy(tracker, (60, 50)), covered)
    oracle.probability = 0.99
    (face,) = follow(tracker, busy(tracker, (60, 50)), 120)
    assert face.number == number


def test_who_takes_the_place_of_somebody_who_has_left_is_another():
    tracker = make(oracle := Oracle((60, 50)))
    follow(tracker, busy(tracker, (60, 50)), 60)
    for x in range(60, 165):
        oracle.centres = [np.array([x, 50])]
        follow(tracker, busy(tracker, (min(x, 145), 50)), 2)
    assert follow(tracker, busy(tracker), 5) == []
    oracle.centres = [np.array([60, 50])]
    (face,) = follow(tracker, busy(tracker, (60, 50)), 60)
    assert face.number == 1


@pytest.mark.parametrize('size', [(260, 346), (720, 1280), (1280, 720)])
def test_cells_are_nearly_square(size):
    rows, columns = EventFaceTracker(*size, Oracle((60, 50))).shape
    assert max(rows, columns) == 160
    assert rows / columns == pytest.approx(size[0] / size[1], rel=0.01)


def test_a_tracker_is_copied_and_pickled_with_what_it_remembers():
    tracker = EventFaceTracker(480, 640)
    rng = np.random.default_rng(0)
    slices = rng.poisson(0.2, (6, 2, *tracker.shape)).astype(np.uint8)
    for counts in slices[:3]:
        tracker.update(counts, 0.01)
    others = [copy.deepcopy(tracker), pickle.loads(pickle.dumps(tracker))]
    for counts in slices[3:]:
        for one in (tracker, *others):
            one.update(counts, 0.01)
    for other in others:
        np.testing.assert_array_equal(other._traces.pooled(), tracker._traces.pooled())
        assert other.model == tracker.model
