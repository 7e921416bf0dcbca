"""Videos in place of recordings of events."""

from __future__ import annotations

from pathlib import Path

from microexpr_ros.events.files import Recording, open_recording


def open_source(
    path: Path,
    *,
    time_unit: str | None = None,
    sensor: tuple[int, int] | None = None,
    topic: str | None = None,
) -> Recording:
    """Open a recording of events, or a video, whose frames become events.

    Args:
        path: What to open.
        time_unit: As of `open_recording`.
        sensor: As of `open_recording`; of a video, the most columns and rows.
        topic: As of `open_recording`.

    Raises:
        MicroexprError: It can be read as neither, or an option does not fit it.
    """
    # OpenCV, which no other recording needs.
    from microexpr_ros.synthesis.sensors.video_file import is_video, open_video

    if is_video(path):
        return open_video(path, sensor, time_unit)
    return open_recording(path, time_unit=time_unit, sensor=sensor, topic=topic)
