"""Names of the topics on which cameras publish, as they are in bags."""

from __future__ import annotations

from typing import Final

EVENT_CAMERA: Final = 'event_camera'
"""Node and coordinate frame of the event camera."""

RGB_CAMERA: Final = 'rgb_camera'
"""Node and coordinate frame of the RGB camera."""

EVENTS_TOPIC: Final = f'/{EVENT_CAMERA}/events'
EVENT_FRAMES_TOPIC: Final = f'/{EVENT_CAMERA}/image_raw'
"""Frames that the sensor of the event camera takes, as a DAVIS does."""

EVENT_CAMERA_INFO_TOPIC: Final = f'/{EVENT_CAMERA}/camera_info'
FRAMES_TOPIC: Final = f'/{RGB_CAMERA}/image_raw'
RGB_CAMERA_INFO_TOPIC: Final = f'/{RGB_CAMERA}/camera_info'


def relative(topic: str) -> str:
    """Return a name that a node looks up in its own namespace.

    Example:
        >>> relative(EVENTS_TOPIC)
        'event_camera/events'
    """
    return topic.removeprefix('/')
