"""Where the synchronizer knows faces from: its parameter `face_source`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from microexpr_ros.alignment.camera_geometry import CameraGeometry
from microexpr_ros.alignment.faces import FaceTracker, MakeTracker
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.perception.faces import EventFaceTracker, FaceInference
from microexpr_ros.perception.faces.frame_tracker import FrameFaceTracker, FrameObserver
from microexpr_ros.perception.faces.sources import AUTO, EVENTS, FIXED, RGB, uses_frames
from microexpr_ros.ros.hri import TRACKED

_log = logging.getLogger(__name__)

HRI: Final = 'hri'

FACE_SOURCES: Final = (AUTO, RGB, EVENTS, HRI, FIXED)


@dataclass(frozen=True, slots=True)
class FaceSource:
    """Where faces are known from.

    Attributes:
        name: one of FACE_SOURCES, never AUTO.
        description: the same for people.
        make_tracker: makes what finds the faces; None where the region is fixed, or a
            FaceListener makes it.
        close: ends what the source has started, when it is not needed any more.
    """

    name: str
    description: str
    make_tracker: MakeTracker | None
    close: Callable[[], None] = lambda: None


def load_face_source(
    name: str,
    region: Region | None,
    geometry: CameraGeometry | None = None,
    log: Callable[[str], object] = _log.warning,
    on_failure: Callable[[Exception], object] | None = None,
) -> FaceSource:
    """Return a source of faces that is ready, so that no slice waits for it.

    Args:
        name: one of FACE_SOURCES.
        region: the fixed region, which comes before any other source.
        geometry: of the cameras; None if both see the same field of view.
        log: called with a line for people when the source changes while it is used.
        on_failure: called in another thread with the error after which faces are no longer
            looked for in the frames, as of `FrameObserver`.

    Raises:
        MicroexprError: a file or a parameter is missing.
    """
    if region is not None:
        place = f'{region.width} x {region.height} at ({region.x}, {region.y})'
        return FaceSource(FIXED, f'in the fixed region {place}', None)
    if name == FIXED:
        raise MicroexprError(
            'face_source is fixed, but region is empty: give [x, y, width, height]'
        )
    if name == HRI:
        return FaceSource(HRI, f'those of another detector, on {TRACKED}', None)
    if uses_frames(name):
        return _load_rgb(geometry, log, on_failure)
    return _load_events()


def _load_rgb(
    geometry: CameraGeometry | None,
    log: Callable[[str], object],
    on_failure: Callable[[Exception], object] | None,
) -> FaceSource:
    events = _load_events()
    assert events.make_tracker is not None
    find_in_events, observer = events.make_tracker, FrameObserver(on_failure=on_failure)

    def make_tracker(height: int, width: int) -> FaceTracker:
        in_events = find_in_events(height, width)
        return FrameFaceTracker(height, width, in_events, observer, geometry, log)

    description = f'found in the frames by MediaPipe; without frames, {events.description}'
    return FaceSource(RGB, description, make_tracker, observer.close)


def _load_events() -> FaceSource:
    inference = FaceInference.load()
    inference.warm_up()
    make_tracker = partial(EventFaceTracker, inference=inference)
    return FaceSource(EVENTS, f'found in the events by {inference.model}', make_tracker)
