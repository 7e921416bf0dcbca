"""Video files as recordings of events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files.recording import Recording
from microexpr_ros.synthesis.sensors.video_sensor import HEIGHT, WIDTH, VideoSensor, fit

SUFFIXES: Final = (
    '.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.wmv', '.flv', '.ogv',
    '.3gp', '.3g2', '.ts', '.mts', '.m2ts', '.mjpeg', '.mjpg', '.asf', '.vob', '.f4v', '.mxf',
    '.y4m', '.h264', '.hevc', '.gif',
)  # fmt: skip
"""Names of files that are videos; whether OpenCV reads them depends on their codec."""

_FALLBACK_HZ: Final = 30.0
"""Rate of a file that does not state one."""


def is_video(path: Path | str) -> bool:
    """Return whether a path is a file with the name of a video."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES and path.is_file()


def open_video(
    path: Path, size: tuple[int, int] | None = None, time_unit: str | None = None
) -> VideoRecording:
    """Open a video with the options of a recording of events.

    Args:
        path: What OpenCV can read.
        size: Most columns and rows; None for those of a webcam.
        time_unit: None: a video has times of its own.

    Raises:
        MicroexprError: OpenCV cannot read it, or a unit is given.
    """
    if time_unit is not None:
        raise MicroexprError(
            f'{path} is a video, which has times of its own: leave out --time-unit'
        )
    return VideoRecording(path, size or (WIDTH, HEIGHT))


def to_rgb(pixels: object) -> NDArray[np.uint8]:
    """Return what OpenCV has decoded as uint8 [height, width] grey or [height, width, 3] RGB."""
    given = np.asarray(pixels, np.uint8)
    return given if given.ndim == 2 else np.asarray(cv2.cvtColor(given, cv2.COLOR_BGR2RGB))


class FrameClock:
    """Times of the frames of a video file, whose rate may vary.

    Args:
        capture: the opened file.
        start_ns: time of its first frame.
    """

    def __init__(self, capture: cv2.VideoCapture, start_ns: int = 0) -> None:
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        self._capture = capture
        self._period_ns = round(1e9 / (rate_hz if 0 < rate_hz <= 1000 else _FALLBACK_HZ))
        self._start_ns = start_ns
        self._first_ns: int | None = None
        self._newest_ns: int | None = None

    def time_ns(self) -> int:
        """Return the time of the frame that was just grabbed, always later than that before."""
        position_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if self._first_ns is None:
            self._first_ns = position_ns
        t_ns = self._start_ns + position_ns - self._first_ns
        if self._newest_ns is not None and t_ns <= self._newest_ns:
            # Not every container has times.
            t_ns = self._newest_ns + self._period_ns
        self._newest_ns = t_ns
        return t_ns

    @property
    def end_ns(self) -> int | None:
        """Time at which a next frame would follow; None before the first."""
        return None if self._newest_ns is None else self._newest_ns + self._period_ns


class VideoRecording(Recording):
    """Events that `VideoSensor` makes of the frames of a file, and the frames themselves.

    Args:
        path: what OpenCV can read.
        size: most columns and rows; a larger picture is scaled down.

    Raises:
        MicroexprError: OpenCV cannot read it.
    """

    def __init__(self, path: Path | str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        path = Path(path)
        self._size = size
        capture = _open(path)
        grabbed, pixels = capture.read()
        # Of some containers it is not known, or a guess.
        self._count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        capture.release()
        if not grabbed:
            raise MicroexprError(f'{path} has no frame that OpenCV can decode')
        height, width = fit(to_rgb(pixels), size).shape[:2]
        super().__init__(path, 'video', height, width)

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        sensor = VideoSensor()
        for number, frame in enumerate(self.frames(), 1):
            yield sensor.see(frame), Triggers.empty()
            self.fraction = min(number / self._count, 1.0) if self._count else 0.0
        self.fraction = 1.0

    def frames(self) -> Iterator[Frame]:
        """Iterate over the frames from the first, scaled to the size of the sensor."""
        capture = _open(self.path)
        clock = FrameClock(capture)
        try:
            while capture.grab():
                t_ns = clock.time_ns()
                decoded, pixels = capture.retrieve()
                if decoded:
                    yield Frame(t_ns, fit(to_rgb(pixels), self._size))
        finally:
            capture.release()


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise MicroexprError(
            f'{path} is not a video that OpenCV can read: check the path, or convert it with '
            'ffmpeg to H.264 or MJPEG'
        )
    return capture
