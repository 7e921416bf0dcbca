"""What frames can be grabbed from: cameras, files, streams and pipelines of GStreamer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from microexpr_ros.errors import MicroexprError

SCHEMES: Final = ('rtsp', 'rtsps', 'rtmp', 'http', 'https', 'udp', 'tcp', 'rtp', 'srt')
"""Streams that FFmpeg reads, by the scheme of their URLs."""

TIMEOUT_MS: Final = 5000
"""A stream that sends nothing for this long has stalled, and is opened anew.

A pipeline of GStreamer is not given a limit: older versions of OpenCV refuse to open one that is.
"""

_PASSWORD: Final = re.compile(r'(?<=://)[^/@\s]+@')


@dataclass(frozen=True)
class VideoSource:
    """Something with frames that OpenCV can open.

    Attributes:
        device: number, path, URL or pipeline.
        backend: what OpenCV opens it with, as of cv2.CAP_...
        is_file: whether it ends, and has a rate of its own.
    """

    device: str
    backend: int = cv2.CAP_ANY
    is_file: bool = False

    @property
    def name(self) -> str:
        """The device, for logs: without user and password."""
        return hide_password(self.device)

    def open(self, width: int = 0, height: int = 0, framerate: float = 0.0) -> cv2.VideoCapture:
        """Open the source, or try to.

        Args:
            width: columns requested of a camera; 0: its own.
            height: rows requested of a camera; 0: its own.
            framerate: frames per second requested of a camera; 0: its own.
        """
        if self.backend == cv2.CAP_FFMPEG:
            limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
            options = [number for limit in limits for number in (limit, TIMEOUT_MS)]
            return cv2.VideoCapture(self.device, self.backend, options)
        number = int(self.device) if self.device.isdecimal() else self.device
        capture = cv2.VideoCapture(number, self.backend)
        if self.backend == cv2.CAP_ANY and not self.is_file:
            # One frame in the driver's queue, so that frames are never old.
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            for key, value in (
                (cv2.CAP_PROP_FRAME_WIDTH, width),
                (cv2.CAP_PROP_FRAME_HEIGHT, height),
                (cv2.CAP_PROP_FPS, framerate),
            ):
                if value:
                    capture.set(key, value)
        return capture


def find_source(device: str) -> VideoSource:
    """Return the source that a text names; a file must exist, all else may appear later.

    Raises:
        MicroexprError: it names nothing that the installed OpenCV can open.
    """
    if Path(device).is_file():
        source = VideoSource(device, is_file=True)
        if not source.open().isOpened():
            raise MicroexprError(f'{device} is not a video that OpenCV can read')
        return source
    if device.isdecimal() or device.startswith('/dev/'):
        return VideoSource(device)
    if re.search(r'\s!\s', device):
        _require(cv2.CAP_GSTREAMER, device, 'GStreamer', 'give a URL such as rtsp://')
        if not re.search(r'!\s*appsink\b[^!]*$', device):
            raise MicroexprError(
                f'device {hide_password(device)!r} is a pipeline of GStreamer without an end that '
                'OpenCV can read; end it with ! videoconvert ! appsink'
            )
        return VideoSource(device, cv2.CAP_GSTREAMER)
    scheme = device.partition('://')[0]
    if scheme in SCHEMES and scheme != device:
        _require(cv2.CAP_FFMPEG, device, 'FFmpeg', 'give the pipeline of another reader')
        return VideoSource(device, cv2.CAP_FFMPEG)
    raise MicroexprError(
        f'device {hide_password(device)!r} is no camera, no file and no stream; give a number, '
        f'/dev/video..., a video, a URL ({", ".join(SCHEMES)}) or a pipeline of GStreamer'
    )


def quiet() -> None:
    """Keep OpenCV from logging a missing camera at every attempt to open it: we log it once."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def _require(backend: int, device: str, name: str, otherwise: str) -> None:
    if not cv2.videoio_registry.hasBackend(backend):
        raise MicroexprError(
            f'device {hide_password(device)!r} needs an OpenCV with {name}, which the installed '
            f'one ({cv2.__version__}) lacks: install python3-opencv of the distribution, or '
            f'{otherwise}'
        )


def hide_password(device: str) -> str:
    """Return a text without the user and password of URLs in it.

    Example:
        >>> hide_password('rtsp://me:secret@camera/1')
        'rtsp://...@camera/1'
    """
    return _PASSWORD.sub('...@', device)
