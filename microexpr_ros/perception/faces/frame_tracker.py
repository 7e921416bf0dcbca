"""Faces found in the frames of the frame camera, by MediaPipe in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.camera_geometry import CameraGeometry, PlaneGeometry
from microexpr_ros.alignment.faces import MAX_FACES, FaceTracker
from microexpr_ros.alignment.observed_faces import (
    Observation,
    ObservedFaceTracker,
    are_close,
    find_nearest,
)
from microexpr_ros.events.events import Frame
from microexpr_ros.perception.faces.landmarker import Landmarker, MeshedFace, open_landmarker
from microexpr_ros.perception.faces.rest_face import RestFace
from microexpr_ros.threads import start_thread

RATE_HZ: Final = 15.0
"""Frames per second that are looked at, at most: each costs some 13 ms of a core."""

SIGMA: Final = 0.015
"""One sigma of the error of a landmark along an axis, in distances between the eyes."""

OpenLandmarker = Callable[[], AbstractContextManager[Landmarker]]

_open_for_frames: OpenLandmarker = partial(open_landmarker, faces=MAX_FACES, is_video=True)


class FrameFaces:
    """Find the landmarks of the faces in frames that follow each other.

    Args:
        landmark: finds faces in an image.
    """

    def __init__(self, landmark: Landmarker) -> None:
        self._landmark = landmark
        self._rest: list[tuple[NDArray[np.float64], RestFace]] = []
        self._time_ms = 0

    def find(self, frame: Frame) -> Sequence[NDArray[np.float64]]:
        """Return the landmarks of each face without its expression, float64 [5, 2], px."""
        # The landmarker refuses a time that does not increase, as when a recording begins again.
        self._time_ms = max(self._time_ms + 1, frame.t // 1_000_000)
        return self._track(self._landmark(frame.pixels, self._time_ms))

    def _track(self, faces: Sequence[MeshedFace]) -> Sequence[NDArray[np.float64]]:
        before = dict(enumerate(landmarks for landmarks, _ in self._rest))
        as_seen = [RestFace().update(face.points) for face in faces]
        found = []
        for face, landmarks in zip(faces, as_seen, strict=True):
            number = find_nearest(landmarks, before)
            # Of faces that cover each other, who is who is not known.
            others = [at for n, (at, _) in enumerate(self._rest) if n != number]
            others += [at for at in as_seen if at is not landmarks]
            is_doubtful = any(are_close(landmarks, other) for other in others)
            rest = RestFace() if number is None or is_doubtful else self._rest[number][1]
            if number is not None:
                del before[number]
            found.append((rest.update(face.points), rest))
        if found:
            # While nobody is found, those who were there may come back.
            self._rest = found
        return [landmarks for landmarks, _ in found]


class Observer(Protocol):
    """Looks at frames, and says where faces are in them."""

    def submit(self, frame: Frame, take: Callable[[Observation], object]) -> None:
        """Have a frame looked at, unless that comes too soon after the one before.

        Args:
            frame: its time is ROS time.
            take: called with the faces, in pixels of the frame.
        """


class DirectObserver:
    """Look at frames at once, in the calling thread; to be used as a context.

    What is found depends on the frames alone, as recordings need it. MediaPipe is opened for the
    first frame.

    Args:
        open_landmarker: opens what finds faces in an image.
    """

    def __init__(self, open_landmarker: OpenLandmarker = _open_for_frames) -> None:
        self._open = open_landmarker
        self._stack = ExitStack()
        self._faces: FrameFaces | None = None
        self._last_ns: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._faces = None
        self._stack.close()

    def submit(self, frame: Frame, take: Callable[[Observation], object]) -> None:
        """Look at a frame, as of `Observer`.

        Raises:
            MicroexprError: the landmarker cannot be opened.
        """
        if _is_too_soon(frame, self._last_ns):
            return
        self._last_ns = frame.t
        if self._faces is None:
            self._faces = FrameFaces(self._stack.enter_context(self._open()))
        take(Observation(frame.t, self._faces.find(frame), SIGMA))


class FrameObserver:
    """Look at the newest frame in a thread of its own.

    A frame that waits gives way to a newer one. The thread and the networks start with the first
    frame. Close it when it is not needed.

    Args:
        open_landmarker: opens what finds faces in an image; called in the thread.
        on_failure: called in the thread with the error that ends it: a MicroexprError if the
            landmarker cannot be opened, any other is a defect. None: it is raised there.
    """

    def __init__(
        self,
        open_landmarker: OpenLandmarker = _open_for_frames,
        on_failure: Callable[[Exception], object] | None = None,
    ) -> None:
        self._open, self._on_failure = open_landmarker, on_failure
        self._changed = threading.Condition()
        self._waiting: tuple[Frame, Callable[[Observation], object]] | None = None
        self._last_ns: int | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def submit(self, frame: Frame, take: Callable[[Observation], object]) -> None:
        """Have a frame looked at, unless that comes too soon after the one before.

        Args:
            frame: its time is ROS time.
            take: called in the thread with the faces, in pixels of the frame.
        """
        if _is_too_soon(frame, self._last_ns):
            return
        self._last_ns = frame.t
        with self._changed:
            if self._is_closed:
                return
            self._waiting = frame, take
            self._changed.notify()
            if self._thread is None:
                self._thread = start_thread('faces', self._run)

    def close(self) -> None:
        """End the thread, after the frame that it looks at."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                faces = FrameFaces(stack.enter_context(self._open()))
                while (job := self._next()) is not None:
                    frame, take = job
                    take(Observation(frame.t, faces.find(frame), SIGMA))
        except Exception as error:
            if self._on_failure is None:
                raise
            self._on_failure(error)

    def _next(self) -> tuple[Frame, Callable[[Observation], object]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._waiting is not None)
            job, self._waiting = self._waiting, None
            return None if self._is_closed else job


def _is_too_soon(frame: Frame, last_ns: int | None) -> bool:
    """Return whether a frame comes too soon after the one that was looked at last."""
    return last_ns is not None and 0 <= frame.t - last_ns < 0.9e9 / RATE_HZ


class FrameFaceTracker(ObservedFaceTracker):
    """Follow the faces that frames show, and those of the events while frames show none.

    Args:
        height: sensor rows.
        width: sensor columns.
        events: finds faces in the events.
        observer: looks at frames.
        geometry: of the cameras; None if both see the same field of view.
        log: as of ObservedFaceTracker.
    """

    def __init__(
        self,
        height: int,
        width: int,
        events: FaceTracker,
        observer: Observer,
        geometry: CameraGeometry | None = None,
        log: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(events, log)
        self._sensor = height, width
        self._observer, self._geometry = observer, geometry

    def see(self, end_ns: int, frame: Frame | None) -> None:
        """Take in when the next slice ends, and its frame."""
        super().see(end_ns, frame)
        if frame is not None:
            rows, columns = frame.pixels.shape[:2]
            geometry = self._geometry or PlaneGeometry.same_view(self._sensor, (rows, columns))
            self._observer.submit(frame, partial(self._observe, geometry))

    def _observe(self, geometry: CameraGeometry, seen: Observation) -> None:
        faces = [geometry.face_to_sensor(landmarks) for landmarks in seen.faces]
        self.observe(Observation(seen.taken_ns, faces, seen.sigma))
