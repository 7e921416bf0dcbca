"""Whether HEAD_MOVING is claimed while a head nods or turns, and not while it sways or rests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.faces import Face, FaceTracker
from microexpr_ros.alignment.head_motion import HeadMotion, measure_motion
from microexpr_ros.alignment.region_follower import RegionFollower
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.perception.head_limits import HeadLimits
from microexpr_ros.synthesis.dataset.face_takes import FaceTake

SLICE_S: Final = SLICE_NS / 1e9

AROUND: Final = 5
"""Slices before and after the one whose true motion is measured: together 0.1 s."""

SWAY: Final = HeadLimits(speed=0.2, speed_noise=0.0, change=0.1, rotation=0.1)
"""A head that is slower in all of this sways or rests."""

SETTLED: Final = 100
"""Slices for which a face has been followed before it counts: WARMING_UP is claimed before."""

TURN: Final = 0.3
"""A head that nods or turns is at least so fast, rad/s."""


@dataclass(frozen=True, slots=True)
class HeadMovingScores:
    """How often HEAD_MOVING is claimed, of a face that is known.

    Attributes:
        sway_s: time in which the head truly sways or rests.
        sway_flagged: share of it in which it is claimed; should be 0.
        turning_s: time in which it truly nods or turns.
        turning_flagged: share of it in which it is claimed; should be 1.
    """

    sway_s: float
    sway_flagged: float
    turning_s: float
    turning_flagged: float


@dataclass(frozen=True, slots=True)
class MeasuredMoment:
    """One slice of a face.

    Attributes:
        true: motion of its true landmarks.
        measured: motion that the region's follower measured.
    """

    true: HeadMotion
    measured: HeadMotion


def score_head_moving(
    takes: Sequence[FaceTake],
    make_tracker: Callable[[FaceTake], FaceTracker],
    limits: HeadLimits | None = None,
) -> HeadMovingScores:
    """Score limits on takes.

    Args:
        takes: with faces.
        make_tracker: makes the tracker of a take.
        limits: from which HEAD_MOVING is claimed; None for those of the classifier.
    """
    moments = [one for take in takes for one in measure_moments(take, make_tracker(take))]
    return score_moments(moments, limits or HeadLimits())


def score_moments(moments: Sequence[MeasuredMoment], limits: HeadLimits) -> HeadMovingScores:
    """Score limits on moments; the shares are nan where there are none."""
    flagged = np.array([limits.are_exceeded(one.measured) for one in moments], bool)
    sways = np.array([not SWAY.are_exceeded(one.true) for one in moments], bool)
    turns = np.array([np.hypot(one.true.turn, one.true.nod) > TURN for one in moments], bool)
    return HeadMovingScores(
        float(sways.sum() * SLICE_S),
        float(flagged[sways].mean()) if sways.any() else float('nan'),
        float(turns.sum() * SLICE_S),
        float(flagged[turns].mean()) if turns.any() else float('nan'),
    )


def measure_moments(take: FaceTake, tracker: FaceTracker) -> Iterator[MeasuredMoment]:
    """Yield the slices in which a true face is followed, with its true and its measured motion."""
    followers: dict[int, RegionFollower] = {}
    since: dict[int, int] = {}
    last = len(take.starts) - 2
    for at in range(len(take.starts) - 1):
        faces = tracker.update(take.dense(at), SLICE_S)
        known = followers
        followers = {face.number: known.get(face.number) or RegionFollower(face) for face in faces}
        for face in faces:
            since.setdefault(face.number, at)
            if face.number in known:
                followers[face.number].follow(face, SLICE_S)
        if not AROUND <= at <= last - AROUND:
            continue
        for true in take.landmarks.astype(np.float64):
            number = _find(faces, true[at])
            if number is not None and at - since[number] >= SETTLED:
                velocities = (true[at + AROUND] - true[at - AROUND]) / (2 * AROUND * SLICE_S)
                yield MeasuredMoment(
                    measure_motion(true[at], velocities), followers[number].motion
                )


def _find(faces: Sequence[Face], true: NDArray[np.float64]) -> int | None:
    """Return the number of the tracked face that is at a true one's place."""
    eyes = float(np.linalg.norm(true[1] - true[0]))
    away = {
        face.number: float(np.linalg.norm(face.landmarks - true, axis=1).mean()) for face in faces
    }
    return min((n for n, px in away.items() if px < eyes), key=lambda n: away[n], default=None)
