"""Faces found and followed by the events of the whole sensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.faces import MAX_FACES, Face
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.events.sensor_grid import SensorMap
from microexpr_ros.landmarks import EYE_DISTANCE
from microexpr_ros.perception.faces.inference import FaceInference, Refined
from microexpr_ros.perception.faces.traces import EventTraces


@dataclass(frozen=True, slots=True)
class EventFaceOptions:
    """How faces are followed.

    Attributes:
        detect_s: time between two searches of the whole sensor while it sees no face.
        search_s: the same while it follows one.
        refine_s: least time between two measurements of a face.
        fresh: events per pixel over the face that are worth a measurement.
        candidate: least probability of a place that is looked at closely.
        accepted: probability above which a candidate becomes a face.
        kept: probability below which a measurement speaks against a face.
        measured: measurements before a candidate becomes a face.
        accepted_sigma: a candidate's landmarks must be known at least so well, in distances
            between the eyes, and those of a face to change its speed.
        lost_s: time for which measurements speak against a face before it is given up.
        drift: by how much a face may move while each of its pixels has an event, in distances
            between the eyes.
        lag_s: time by which measurements are behind the face that moves: the traces that they
            are made from hold older events, too.
        still_s: a face that is not measured for so long stands still.
        speed_gain: share of an unexpected movement that changes the speed of a face.
        fastest: greatest speed of a face, distances between the eyes per second. What is found
            farther away than it comes in 2 `refine_s` has not moved there.
    """

    detect_s: float = 0.1
    search_s: float = 0.5
    refine_s: float = 0.03
    fresh: float = 0.015
    candidate: float = 0.3
    accepted: float = 0.98
    kept: float = 0.6
    measured: int = 8
    accepted_sigma: float = 0.2
    lost_s: float = 0.6
    drift: float = 1.5
    lag_s: float = 0.02
    still_s: float = 0.045
    speed_gain: float = 0.5
    fastest: float = 3.0


@dataclass(slots=True, eq=False)
class _Track:
    landmarks: NDArray[np.float64]
    variance: NDArray[np.float64]
    probability: float
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    number: int = -1
    measured: int = 0
    fresh: float = 0.0
    waited_s: float = 0.0
    against_s: float = 0.0
    region: AlignedRegion = field(init=False)

    def __post_init__(self) -> None:
        self.region = align(self.landmarks)


class EventFaceTracker:
    """Finds faces in the events of the whole sensor and follows their landmarks.

    A detector looks at the whole sensor a few times a second; a refiner measures each face's
    landmarks, and how sure it is of each, while events come from it. Measurements are weighed by
    their errors against what is known; a face at rest stays where it is.

    Args:
        height: sensor rows.
        width: sensor columns.
        inference: the networks; those of the package by default.
        options: how faces are followed.
        pixels: pixels that one of the sensor's stands for, as in coarse takes.
    """

    def __init__(
        self,
        height: int,
        width: int,
        inference: FaceInference | None = None,
        options: EventFaceOptions | None = None,
        pixels: float = 1.0,
    ) -> None:
        self._inference = inference or FaceInference.load()
        self._options = options or EventFaceOptions()
        self._traces = EventTraces(height, width, pixels)
        self._map = SensorMap(height, width)
        self._tracks: list[_Track] = []
        self._next = 0
        self._unsearched_s = 0.0
        self._unsearched = 0.0

    @classmethod
    def load(cls, height: int, width: int, path: Path) -> EventFaceTracker:
        """Return a tracker with the networks of a weights file."""
        return cls(height, width, FaceInference.load(path))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the counts that the tracker takes."""
        return self._traces.shape

    @property
    def model(self) -> str:
        """Name and hash of the weights."""
        return self._inference.model

    def reset(self) -> None:
        """Forget all faces and events: another stream begins."""
        self._traces.reset()
        self._tracks = []
        self._unsearched_s = self._unsearched = 0.0

    def update(self, counts: NDArray[np.uint8], duration_s: float) -> Sequence[Face]:
        """Take in the next slice, see `alignment.faces.FaceTracker`."""
        self._traces.update(counts, duration_s)
        for track in self._tracks:
            self._follow(track, duration_s)
        self._search(duration_s)
        self._tracks = self._without_doubles()
        shown = [track for track in self._tracks if track.number >= 0]
        nearest = sorted(shown, key=lambda track: -track.region.side)[:MAX_FACES]
        return [self._face(track) for track in nearest]

    def _face(self, track: _Track) -> Face:
        return Face(
            track.number,
            self._map.to_pixels(self._expect(track, self._options.lag_s)).astype(np.float32),
            math.sqrt(float(track.variance.mean())),
        )

    def _expect(self, track: _Track, ahead_s: float) -> NDArray[np.float64]:
        """Return where the landmarks of a face are, if it moves on as it did, in cells.

        Args:
            track: of the face.
            ahead_s: time after now.
        """
        if track.waited_s > self._options.still_s:
            return track.landmarks
        return track.landmarks + track.velocity * (track.waited_s + ahead_s)

    def _follow(self, track: _Track, duration_s: float) -> None:
        options = self._options
        track.waited_s += duration_s
        track.fresh += self._activity(track.region)
        if track.waited_s < options.refine_s or track.fresh < options.fresh:
            return
        # What comes from all over the face moves it farther than what comes from the lids.
        track.variance = track.variance + (options.drift * min(track.fresh, 0.4)) ** 2
        expected = self._expect(track, 0.0)
        refined = self._inference.refine(self._traces, align(expected))
        track.probability += 0.3 * (refined.probability - track.probability)
        if refined.probability < options.kept:
            track.against_s += track.waited_s
        else:
            track.against_s = max(track.against_s - track.waited_s, 0.0)
            unexpected = _weigh(track, refined, expected)
            if float(refined.sigma.mean()) < options.accepted_sigma:
                self._speed_up(track, unexpected)
        track.waited_s = track.fresh = 0.0
        sigma = math.sqrt(float(track.variance.mean()))
        if (
            track.number < 0
            and track.measured >= options.measured
            and track.probability > options.accepted
            and sigma < options.accepted_sigma
        ):
            track.number = self._count()

    def _speed_up(self, track: _Track, unexpected: NDArray[np.float64]) -> None:
        """Change the velocity of a face that has moved in an unexpected way, cells."""
        options = self._options
        eyes = EYE_DISTANCE * track.region.side
        if (
            track.waited_s > options.still_s
            or math.hypot(*unexpected) > 2 * options.fastest * options.refine_s * eyes
        ):
            track.velocity = np.zeros(2)
            return
        velocity = track.velocity + options.speed_gain * unexpected / track.waited_s
        speed = math.hypot(*velocity) / eyes
        track.velocity = velocity * min(1.0, options.fastest / max(speed, 1e-9))

    def _activity(self, region: AlignedRegion) -> float:
        """Return the mean of the fresh events per pixel over a region."""
        activity = self._traces.activity
        half = 0.5 * region.side
        top, left = (max(int((at - half) / 4), 0) for at in (region.y, region.x))
        bottom, right = (math.ceil((at + half) / 4) for at in (region.y, region.x))
        part = activity[top:bottom, left:right]
        return float(part.mean()) if part.size else 0.0

    def _search(self, duration_s: float) -> None:
        options = self._options
        self._unsearched_s += duration_s
        self._unsearched += float(self._traces.activity.sum())
        wait_s = options.search_s if any(t.number >= 0 for t in self._tracks) else options.detect_s
        # A few blocks with an event in each pixel are less than the smallest face.
        if self._unsearched_s < wait_s or self._unsearched < 1:
            return
        self._unsearched_s = self._unsearched = 0.0
        for _, region in self._inference.detect(self._traces, options.candidate, MAX_FACES):
            if any(_same_place(track.region, region) for track in self._tracks):
                continue
            refined = self._inference.refine(self._traces, region)
            if refined.probability > options.kept:
                start = refined.landmarks, np.square(refined.sigma) + 0.01, refined.probability
                self._tracks.append(_Track(*start))

    def _without_doubles(self) -> list[_Track]:
        rows, columns = self._traces.shape
        kept: list[_Track] = []
        # Those that are known for longer come first.
        for track in self._tracks:
            region = track.region
            inside = 0 <= region.x < columns and 0 <= region.y < rows
            sized = 10 < region.side < 2 * max(rows, columns)
            lost_s = self._options.lost_s if track.number >= 0 else 0.5 * self._options.lost_s
            if not inside or not sized or track.against_s > lost_s:
                continue
            same = next((one for one in kept if _same_place(one.region, region)), None)
            if same is None:
                kept.append(track)
            elif same.number >= 0 and track.number >= 0:
                # Two people, one before the other: which of them is followed is not known.
                same.number = self._count()
        return kept

    def _count(self) -> int:
        self._next += 1
        return self._next - 1


def _weigh(track: _Track, refined: Refined, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh a measurement against where a face was expected, in place.

    Returns:
        float64 [2], how far the face turned out to be from there, in cells.
    """
    eyes = EYE_DISTANCE * track.region.side
    noise = np.square(refined.sigma)
    away = refined.landmarks - expected
    # All landmarks that are off to one side show that the face moved, whatever the drift was.
    together = float(np.square(away.mean(axis=0) / eyes).mean())
    known = np.maximum(track.variance, together - float(noise.mean()) / 5)
    gain = known / (known + noise)
    moved = gain[:, None] * away
    track.landmarks = expected + moved
    # Measurements share their errors, so that many of them are hardly better than one.
    track.variance = np.maximum((1 - gain) * known, 0.5 * noise)
    track.measured += 1
    track.region = align(track.landmarks)
    return np.asarray(moved.mean(axis=0), np.float64)


def _same_place(one: AlignedRegion, other: AlignedRegion) -> bool:
    away = math.hypot(one.x - other.x, one.y - other.y)
    return away < 0.45 * max(one.side, other.side)
