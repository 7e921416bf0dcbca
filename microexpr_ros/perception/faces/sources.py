"""What faces are found in: the frames or the events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from microexpr_ros.alignment.camera_geometry import CameraGeometry
from microexpr_ros.alignment.faces import FaceTracker, MakeTracker
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception.faces import landmarker
from microexpr_ros.perception.faces.frame_tracker import DirectObserver, FrameFaceTracker
from microexpr_ros.perception.faces.tracker import EventFaceTracker

AUTO: Final = 'auto'
RGB: Final = 'rgb'
EVENTS: Final = 'events'
FIXED: Final = 'fixed'

RECORDED_SOURCES: Final = (AUTO, RGB, EVENTS)
"""Those that need no other node."""


def uses_frames(name: str) -> bool:
    """Return whether faces are found in frames, where there are any.

    Args:
        name: RGB, EVENTS, or AUTO: in frames if MediaPipe is installed.

    Raises:
        MicroexprError: frames are wanted, but MediaPipe is not installed; or there is no such
            source.
    """
    if name not in RECORDED_SOURCES:
        raise MicroexprError(f'{name!r} is none of {", ".join(RECORDED_SOURCES)}')
    if name == RGB:
        landmarker.require_installed()
    return name == RGB or (name == AUTO and landmarker.is_installed())


def known_source(name: str, is_fixed: bool, frames: int) -> str:
    """Return what faces were known from in a recording: FIXED, RGB or EVENTS.

    Args:
        name: what was asked for, as of `uses_frames`.
        is_fixed: whether the region is fixed, whatever was asked for.
        frames: frames that the recording has.

    Example:
        >>> known_source(EVENTS, is_fixed=False, frames=30)
        'events'
    """
    if is_fixed:
        return FIXED
    return RGB if frames and uses_frames(name) else EVENTS


@contextmanager
def open_trackers(name: str, geometry: CameraGeometry | None = None) -> Iterator[MakeTracker]:
    """Open what makes trackers for recordings: what they find depends on the recording alone.

    Each frame is looked at when it becomes current, however long that takes.

    Args:
        name: as of `uses_frames`.
        geometry: of the cameras; None if both see the same field of view.

    Raises:
        MicroexprError: as of `uses_frames`.
    """
    if not uses_frames(name):
        yield EventFaceTracker
        return
    with DirectObserver() as observer:

        def make_tracker(height: int, width: int) -> FaceTracker:
            in_events = EventFaceTracker(height, width)
            return FrameFaceTracker(height, width, in_events, observer, geometry)

        yield make_tracker
