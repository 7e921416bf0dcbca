"""Faces that are observed now and then from elsewhere, and followed in the events otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.faces import MAX_FACES, Face, FaceTracker
from microexpr_ros.events.events import Frame

OLD_NS: Final = 500_000_000
"""An observation that is older than this no longer says where a face is."""

AHEAD_NS: Final = 150_000_000
"""A face that moves goes on moving evenly for so long after it was observed, then it stays."""

NEAR: Final = 1.0
"""Two faces are the same if their landmarks are nearer than this on average, in distances between
the eyes."""

CLOSE: Final = 1.8
"""Two faces that are nearer than this, in distances between the eyes of the nearer one, cover each
other: afterwards, each may be the other."""

_VELOCITY_GAIN: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """Where faces were.

    Attributes:
        taken_ns: ROS time of the moment at which they were there.
        faces: float64 [5, 2] of each face, landmarks as of `Face`, px of the event sensor.
        sigma: one sigma of the error of a landmark, as a share of the distance between the eyes.
        ids: of each face, by which it is known again; empty: by where it is.
        has_landmarks: as of `Face`.
    """

    taken_ns: int
    faces: Sequence[NDArray[np.float64]]
    sigma: float
    ids: Sequence[str] = ()
    has_landmarks: bool = True


class ObservedFaceTracker:
    """Follow the faces that are observed; while there are none, those of the events.

    Observations arrive some time after they were taken. Until the next one, a face moves on
    evenly. While no observation with a face is newer than OLD_NS, because nothing is observed or
    nobody is seen, the events decide, and a face keeps its number whoever finds it.

    Faces without ids that come close to each other have other numbers when they are apart again,
    or one of them is gone: nothing says who is who.

    Args:
        events: finds faces in the events; it gets every slice, so that it knows them when it is
            needed. None: faces that are not observed are not followed.
        log: called once with a line for people, when faces that were observed no longer are.

    Attributes:
        uses_events: whether the faces of the last slice are those of the events.
    """

    def __init__(
        self, events: FaceTracker | None, log: Callable[[str], object] | None = None
    ) -> None:
        self._events = events
        self._log = log
        # Filled by the thread of the observer, emptied by that of the slices.
        self._arrived: deque[Observation] = deque(maxlen=16)
        self._courses: dict[int, _Course] = {}
        self._in_view: dict[int, NDArray[np.floating]] = {}
        self._numbers: dict[int, int] = {}
        # Of the faces that were observed with an id.
        self._ids: dict[int, str] = {}
        # Observed faces that were close to another one.
        self._doubtful: set[int] = set()
        self._next_number = 0
        self._now_ns = 0
        self.uses_events = True

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the counts that are given to the events' tracker."""
        return (1, 1) if self._events is None else self._events.shape

    def observe(self, observation: Observation) -> None:
        """Take in where faces were; from any thread."""
        self._arrived.append(observation)

    def keep(self, ids: Collection[str]) -> None:
        """Forget the faces that were observed with other ids; on the thread of the slices."""
        self._follow_arrived()
        gone = [number for number, given_id in self._ids.items() if given_id not in ids]
        for number in gone:
            self._courses.pop(number, None)
            del self._ids[number]

    def see(self, end_ns: int, frame: Frame | None) -> None:
        """Take in when the next slice ends, as `TimedFaceTracker.see`."""
        self._now_ns = end_ns

    def update(self, counts: NDArray[np.uint8], duration_s: float) -> Sequence[Face]:
        """Take in the next slice, as `FaceTracker.update`."""
        in_events: Sequence[Face] = ()
        if self._events is not None:
            in_events = self._events.update(counts, duration_s)
        self._follow_arrived()
        self._courses = {
            number: course
            for number, course in self._courses.items()
            if abs(self._now_ns - course.taken_ns) <= OLD_NS
        }
        if not self.uses_events and not self._courses:
            self._note_end()
        self._renumber_doubtful()
        self.uses_events = not self._courses
        faces = self._take_over(in_events) if self.uses_events else self._move_on()
        self._in_view = {face.number: face.landmarks for face in faces}
        return faces

    def reset(self) -> None:
        """Forget all faces: another stream begins."""
        if self._events is not None:
            self._events.reset()
        self._arrived.clear()
        self._courses, self._in_view, self._numbers, self._ids = {}, {}, {}, {}
        self._doubtful = set()

    def _note_end(self) -> None:
        if self._log is not None:
            self._log('faces: none is observed any more, so they are followed in the events')
            self._log = None

    def _follow_arrived(self) -> None:
        while self._arrived:
            self._follow(self._arrived.popleft())

    def _follow(self, observation: Observation) -> None:
        taken_ns = observation.taken_ns
        places = self._in_view | {
            number: course.at(taken_ns) for number, course in self._courses.items()
        }
        ids = observation.ids or [''] * len(observation.faces)
        for landmarks, given_id in zip(observation.faces, ids, strict=True):
            number = self._find_id(given_id) if given_id else find_nearest(landmarks, places)
            if number is None:
                number = self._count()
            if given_id:
                self._ids[number] = given_id
            places.pop(number, None)
            course = self._courses.get(number)
            if course is None or course.has_landmarks != observation.has_landmarks:
                # A box and landmarks differ by more than a face moves.
                self._courses[number] = _Course(observation, landmarks)
            else:
                course.update(taken_ns, landmarks, observation.sigma)

    def _renumber_doubtful(self) -> None:
        """Give new numbers to the faces that were close to another one and no longer are."""
        places = {
            number: course.at(self._now_ns)
            for number, course in self._courses.items()
            if number not in self._ids
        }
        close = {
            number
            for one, other in combinations(places, 2)
            if are_close(places[one], places[other])
            for number in (one, other)
        }
        for number in self._doubtful - close:
            if number in self._courses:
                self._courses[self._count()] = self._courses.pop(number)
            self._in_view.pop(number, None)
        self._doubtful = close

    def _find_id(self, given_id: str) -> int | None:
        return next((number for number, one in self._ids.items() if one == given_id), None)

    def _move_on(self) -> Sequence[Face]:
        """Return the observed faces where they should be by now."""
        self._numbers = {}
        faces = [
            Face(
                number,
                course.at(self._now_ns).astype(np.float32),
                course.sigma,
                course.has_landmarks,
                self._ids.get(number, ''),
            )
            for number, course in self._courses.items()
        ]
        return sorted(faces, key=lambda face: -_eye_distance(face.landmarks))[:MAX_FACES]

    def _take_over(self, found: Sequence[Face]) -> Sequence[Face]:
        """Return the faces of the events, with the numbers that these faces have here."""
        known = self._numbers
        kept = {face.number: known[face.number] for face in found if face.number in known}
        # A face that the events have lost and found again is another one.
        free = {n: place for n, place in self._in_view.items() if n not in known.values()}
        for face in found:
            if face.number not in kept:
                number = find_nearest(face.landmarks, free)
                kept[face.number] = number = self._count() if number is None else number
                free.pop(number, None)
        self._numbers = kept
        return [
            replace(
                face,
                number=kept[face.number],
                given_id=self._ids.get(kept[face.number], face.given_id),
            )
            for face in found
        ]

    def _count(self) -> int:
        self._next_number += 1
        return self._next_number - 1


class _Course:
    """Where one face was observed, and how it moves.

    Attributes:
        taken_ns: when it was observed last.
        sigma: of that observation.
        has_landmarks: of all observations.
    """

    def __init__(self, first: Observation, landmarks: NDArray[np.float64]) -> None:
        self.taken_ns, self.sigma = first.taken_ns, first.sigma
        self.has_landmarks = first.has_landmarks
        self._landmarks = landmarks
        self._velocity = np.zeros_like(landmarks)

    def update(self, taken_ns: int, landmarks: NDArray[np.float64], sigma: float) -> None:
        passed_ns = taken_ns - self.taken_ns
        if passed_ns > 0:
            off = landmarks - (self._landmarks + self._velocity * passed_ns)
            self._velocity = self._velocity + _VELOCITY_GAIN * off / passed_ns
        else:
            # Time began again.
            self._velocity = np.zeros_like(landmarks)
        self.taken_ns, self.sigma, self._landmarks = taken_ns, sigma, landmarks

    def at(self, time_ns: int) -> NDArray[np.float64]:
        return self._landmarks + self._velocity * min(max(time_ns - self.taken_ns, 0), AHEAD_NS)


def find_nearest(
    landmarks: NDArray[np.floating], places: Mapping[int, NDArray[np.floating]]
) -> int | None:
    """Return the number of the face that is at this place; None if there is none.

    Args:
        landmarks: float [5, 2], of a face.
        places: the landmarks of the faces in question, by their numbers.

    Example:
        >>> face = np.array([[0.0, 0], [10, 0], [5, 8], [2, 12], [8, 12]])
        >>> find_nearest(face, {3: face + 4, 5: face + 1}), find_nearest(face, {3: face + 20})
        (5, None)
    """
    limit = NEAR * _eye_distance(landmarks)
    away = {number: _distance(landmarks, place) for number, place in places.items()}
    near = [number for number, distance in away.items() if distance < limit]
    return min(near, key=lambda number: away[number], default=None)


def are_close(one: NDArray[np.floating], other: NDArray[np.floating]) -> bool:
    """Return whether two faces may be taken for each other, as one covers the other.

    Args:
        one: float [5, 2], landmarks of a face.
        other: the same of another face.
    """
    return _distance(one, other) < CLOSE * max(_eye_distance(one), _eye_distance(other))


def _distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(one - other, axis=1).mean())


def _eye_distance(landmarks: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))
