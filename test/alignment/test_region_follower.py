from __future__ import annotations

import numpy as np
import pytest

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.faces import Face
from microexpr_ros.alignment.region_follower import RegionFollower
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES

SIDE = 200
EYES_PX = EYE_DISTANCE * SIDE
STEP_S = 0.01
INNER_FACE = np.array([[0.25, 0.19], [0.75, 0.19], [0.5, 0.9], [0.3, 0.7], [0.7, 0.7]])
"""Outer brows, chin and cheeks, as shares of the region."""


def face_at(x=300.0, y=200.0, side=SIDE, roll=0.0, sigma=0.0, error_px=0.0):
    landmarks = AlignedRegion(x, y, side, roll).to_pixels(PLACES) + error_px
    return Face(0, landmarks.astype(np.float32), sigma)


def regions_of(faces, step_s=STEP_S):
    follower, *later = RegionFollower(faces[0]), *faces[1:]
    return [follower.region, *(follower.follow(face, step_s) for face in later)]


def steps_of(regions):
    """Return how far each region is from the one before, in distances between the eyes."""
    places = np.array([region.to_pixels(PLACES) for region in regions])
    return np.linalg.norm(np.diff(places, axis=0), axis=2).max(axis=1) / EYES_PX


def lags_of(regions, faces):
    """Return how far each region is from the face, in distances between the eyes."""
    return np.array(
        [
            np.linalg.norm(region.to_pixels(PLACES) - face.landmarks, axis=1).mean() / EYES_PX
            for region, face in zip(regions, faces, strict=True)
        ]
    )


def shares_inside(regions, faces):
    """Return the columns and rows of the inner face in the region, as shares of its side."""
    return np.array(
        [
            region.to_shares(align(face.landmarks).to_pixels(INNER_FACE))
            for region, face in zip(regions, faces, strict=True)
        ]
    )


@pytest.mark.parametrize('sigma', [0.01, 0.025, 0.05])
@pytest.mark.parametrize('memory_s', [0.0, 0.1, 1.0])
def test_noise_of_the_tracker_moves_nothing_for_ten_seconds(sigma, memory_s):
    rng = np.random.default_rng(3)
    keep = np.exp(-STEP_S / memory_s) if memory_s else 0.0
    error, faces = rng.normal(size=(5, 2)), []
    for _ in range(1100):
        error = keep * error + np.sqrt(1 - keep**2) * rng.normal(size=(5, 2))
        faces.append(face_at(sigma=sigma, error_px=sigma * EYES_PX * error))
    regions = regions_of(faces)[100:]
    assert len(regions) == 1000
    assert len(set(regions)) == 1


def test_a_face_that_is_at_rest_is_shown_where_it_is():
    face = face_at(roll=0.3)
    found = regions_of([face] * 50)[-1]
    assert (found.x, found.y, found.side, found.roll) == pytest.approx((300, 200, SIDE, 0.3))


@pytest.mark.parametrize('away', [{'x': 303}, {'side': 1.02 * SIDE}, {'roll': 0.03}])
def test_a_face_that_hardly_moves_moves_nothing(away):
    regions = regions_of([face_at()] * 50 + [face_at(**away)] * 500)
    assert regions[-1] == regions[49]


@pytest.mark.parametrize('away', [{'x': 320}, {'y': 180}, {'side': 1.2 * SIDE}, {'roll': 0.2}])
def test_a_step_is_followed_smoothly_and_then_the_region_rests(away):
    faces = [face_at()] * 50 + [face_at(**away)] * 150
    regions = regions_of(faces)
    lags, steps = lags_of(regions, faces), steps_of(regions)
    assert (lags[50 + 40 :] < 0.02).all()
    assert steps.max() < lags[50] / 3
    assert (steps[50 + 90 :] == 0).all()


@pytest.mark.parametrize('step_s', [0.001, 0.01, 0.02])
def test_a_head_that_moves_evenly_is_followed_without_lag(step_s):
    speed = EYES_PX  # In a second, the distance between the eyes.
    still = round(1 / step_s)
    times = step_s * np.arange(2 * still)
    faces = [face_at(x=300 + speed * max(t - 1, 0), sigma=0.01) for t in times]
    lags = lags_of(regions_of(faces, step_s), faces)
    # Of what it was away when it began to move, half is left after 0.1 s.
    assert lags.max() < 0.12
    assert (lags[round(1.3 / step_s) :] < 0.05).all()
    assert (lags[round(1.6 / step_s) :] < 0.01).all()


@pytest.mark.parametrize(
    'move',
    [
        lambda t: {'y': 200 + 0.3 * EYES_PX * np.sin(2 * np.pi * 1.5 * t)},
        lambda t: {'x': 300 + 1.0 * EYES_PX * np.sin(2 * np.pi * 0.7 * t)},
        lambda t: {'roll': 0.35 * np.sin(2 * np.pi * 1.0 * t)},
        lambda t: {'side': SIDE * np.exp(0.3 * np.sin(2 * np.pi * 0.5 * t))},
        lambda t: {'x': 300 + 2 * EYES_PX * t},
        lambda t: {'roll': 3 * t},
    ],
    ids=['nod', 'sway', 'roll', 'nearer and farther', 'walk', 'round and round'],
)
def test_the_inner_face_stays_inside(move):
    rng = np.random.default_rng(0)
    faces = [
        face_at(sigma=0.03, error_px=0.03 * EYES_PX * rng.normal(size=(5, 2)), **move(t))
        for t in STEP_S * np.arange(600)
    ]
    true = [face_at(**move(t)) for t in STEP_S * np.arange(600)]
    shares = shares_inside(regions_of(faces), true)
    assert shares.min() > 0
    assert shares.max() < 1


def test_a_face_that_grows_is_shown_at_its_size():
    faces = [face_at(side=SIDE * 1.5 ** min(t, 1)) for t in STEP_S * np.arange(250)]
    assert regions_of(faces)[-1].side == pytest.approx(1.5 * SIDE, rel=0.01)


def test_the_same_faces_give_the_same_regions():
    rng = np.random.default_rng(1)
    faces = [face_at(sigma=0.05, error_px=9 * rng.normal(size=(5, 2))) for _ in range(300)]
    assert regions_of(faces) == regions_of(faces)


def test_the_motion_of_the_head_is_measured():
    follower = RegionFollower(face_at())
    for t in STEP_S * np.arange(100):
        follower.follow(face_at(x=300 + 0.5 * EYES_PX * t, roll=0.2 * t), STEP_S)
    assert follower.motion.roll == pytest.approx(0.2, abs=0.01)
    speed = np.hypot(follower.motion.x, follower.motion.y)
    assert speed == pytest.approx(0.5, abs=0.03)
