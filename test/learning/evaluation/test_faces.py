import numpy as np
import pytest
from face_takes import make_take

from microexpr_ros.alignment.faces import Face
from microexpr_ros.learning.evaluation.faces import (
    score_cases,
    score_faces,
    score_region,
    score_takes,
)


class Replay:
    """Shows the true faces of a take, moved by some pixels."""

    def __init__(self, take, away=0.0, shown=1.0, number=lambda at: 0):
        self.take, self.away, self.shown, self.number, self.at = take, away, shown, number, -1

    @property
    def shape(self):
        return self.take.shape

    def update(self, counts, duration_s):
        self.at += 1
        if self.at >= self.shown * (len(self.take.starts) - 1):
            return []
        return [
            Face(self.number(self.at), true[self.at] + (self.away, 0), 0.1)
            for true in self.take.landmarks
        ]

    def reset(self):
        self.at = -1


def test_the_truth_scores_perfectly():
    found = score_faces([make_take()], Replay)
    assert (found.found, found.inner_inside, found.reachable_inside) == (1, 1, 1)
    assert found.iou == pytest.approx(1, abs=1e-3)
    assert found.landmark_error == pytest.approx(0, abs=1e-5)
    assert found.wrong_per_minute == 0


def test_the_first_second_of_movement_does_not_count():
    assert score_faces([make_take(slices=300)], Replay).minutes == pytest.approx(2 / 60, abs=1e-3)
    assert score_faces([make_take(speed=0)], Replay).minutes == 0


def test_errors_are_shares_of_the_distance_between_the_eyes():
    found = score_faces([make_take()], lambda take: Replay(take, away=80 * 0.312 / 10))
    assert found.landmark_error == pytest.approx(0.1, rel=1e-3)
    assert found.sigma_ratio == pytest.approx(1 / np.sqrt(2), rel=1e-3)


def test_a_face_that_is_not_found_is_outside():
    found = score_faces([make_take()], lambda take: Replay(take, shown=0.5))
    assert found.found == found.inner_inside == pytest.approx(0.25, abs=0.02)
    assert found.reachable_inside == 1


def test_a_chin_beyond_the_true_region_is_out_of_reach_for_every_tracker():
    take = make_take()
    half = len(take.starts) // 2
    take.points[:, half:, 8, 1] += 50
    for make_tracker in (Replay, lambda take: Replay(take, shown=0.0)):
        found = score_faces([take], make_tracker)
        assert found.reachable_inside == pytest.approx(0.25, abs=0.02)
    assert score_faces([take], Replay).inner_inside == pytest.approx(0.25, abs=0.02)
    assert score_region([take]).reachable_inside == pytest.approx(0.25, abs=0.02)


def test_what_is_shown_beside_every_face_is_wrong_once_for_each_number():
    take = make_take(slices=300)
    found = score_faces([take], lambda take: Replay(take, away=100, number=lambda at: at // 150))
    assert found.wrong_per_minute == pytest.approx(2 * 60 / 3)
    assert found.found == 0


def test_the_region_of_activity_is_scored_without_landmarks():
    found = score_region([make_take(slices=400)])
    assert found.found > 0.9
    assert 0.3 < found.iou < 1
    assert np.isnan(found.landmark_error)


def test_the_error_of_each_case_is_known():
    takes = [make_take(), make_take(speed=0.1)]
    trackers = iter([Replay(takes[0], 80 * 0.312 / 10), Replay(takes[1], 80 * 0.312 / 5)])
    moments, wrong = score_takes(takes, lambda take: next(trackers))
    found = score_cases(moments, [{'sensor': 'small'}, {'sensor': 'large'}])
    assert wrong == 0
    assert set(found) == {'sensor', 'size', 'head', 'moved'}
    for cases in found.values():
        assert sum(case.minutes for case in cases.values()) == pytest.approx(4 / 60, rel=0.02)
    small, large = found['sensor']['small'], found['sensor']['large']
    assert small.landmark_error == pytest.approx(0.1, rel=1e-3)
    assert large.landmark_error == pytest.approx(0.2, rel=1e-3)
    # Eyes of 25 px, in cells of two.
    assert set(found['size']) == {'between, 10 to 16 cells'}
    assert found['head'] == {'turns': small, 'slow': large}
    assert set(found['moved']) == {'for 1.0 s', 'for 2.5 s'}


def test_a_face_that_is_not_found_counts_in_its_case():
    moments, _ = score_takes([make_take()], lambda take: Replay(take, shown=0.5))
    case = score_cases(moments, [{'light': 'dim'}])['light']['dim']
    assert case.found == pytest.approx(0.25, abs=0.02)
    assert case.landmark_error == np.inf
