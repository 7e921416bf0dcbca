"""Any webcam, video or topic of images as an event camera: its frames become events.

A frame is turned into events when it arrives. The newest of them happened at that moment and the
oldest one frame before, so an event is late by at most one frame, and by the conversion. If the
machine does not keep up, frames are dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import cv2

from microexpr_ros.events.cameras.camera import Batch, Camera, CameraAbsentError, CameraLostError
from microexpr_ros.events.events import Frame
from microexpr_ros.ros.video import VideoSource
from microexpr_ros.synthesis.sensors.video_file import FrameClock, to_rgb
from microexpr_ros.synthesis.sensors.video_sensor import LIMITS, VideoSensor, fit
from microexpr_ros.threads import start_thread

MOST_WAITING: Final = 2
"""Frames that may wait to be converted."""

_CLOSE_TIMEOUT_S: Final = 2.0
"""A grab may hang for longer; the device is released when it returns."""


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """A frame that has arrived.

    Attributes:
        frame: its pixels are grey or RGB; its time is on a clock that begins near 0.
        stamp_ns: ROS time of it.
        received_ns: monotonic time at which it was received.
        begins: whether it does not follow on the frame before: a file begins again.
    """

    frame: Frame
    stamp_ns: int
    received_ns: int
    begins: bool = False


class ReceivedFrames:
    """Frames between the thread that receives them and the one that converts them.

    If more than MOST_WAITING come, the oldest is dropped: a slow machine gets coarser events, not
    later ones.
    """

    def __init__(self) -> None:
        self._frames: deque[ReceivedFrame] = deque()
        self._condition = threading.Condition()
        self._dropped = 0
        self._ended = False

    def put(self, frame: ReceivedFrame) -> None:
        """Add a frame."""
        with self._condition:
            if len(self._frames) == MOST_WAITING:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(frame)
            self._condition.notify()

    def take(self, timeout_s: float) -> ReceivedFrame | None:
        """Return the oldest frame; wait for it up to a time."""
        with self._condition:
            self._condition.wait_for(lambda: self._frames or self._ended, timeout_s)
            return self._frames.popleft() if self._frames else None

    def take_dropped(self) -> int:
        """Return the number of frames that were dropped since the last call."""
        with self._condition:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def clear(self) -> None:
        """Forget what waits."""
        with self._condition:
            self._frames.clear()
            self._dropped = 0

    def end(self) -> None:
        """Note that no frame will follow."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    @property
    def has_ended(self) -> bool:
        """Whether no frame waits, and none will follow."""
        with self._condition:
            return self._ended and not self._frames


class FrameSource(Protocol):
    """Where frames come from.

    Attributes:
        name: of the device or topic, for people.
        received: its frames.
        is_endless: whether an end of the frames means that the device was lost.
        open_timeout_s: how long the first frame may take.
    """

    name: str
    received: ReceivedFrames
    is_endless: bool
    open_timeout_s: float

    def close(self) -> None:
        """Release the device."""


class DeviceFrames:
    """Frames of what OpenCV opens: a camera, a stream, a pipeline of GStreamer or a file.

    A thread grabs them, so that each gets the time at which it came, however long the conversion
    of the one before takes. A file is played at its own pace.

    Args:
        source: what to open.
        width: columns requested of a camera; 0: its own.
        height: rows requested of a camera; 0: its own.
        rate_hz: frames per second requested of a camera; 0: its own.
        loop: whether a file is played again at its end; its time runs on.
    """

    open_timeout_s = 6.0

    def __init__(
        self,
        source: VideoSource,
        width: int = 0,
        height: int = 0,
        rate_hz: float = 0.0,
        loop: bool = True,
    ) -> None:
        self.name = source.name
        self.received = ReceivedFrames()
        self.is_endless = loop or not source.is_file
        self._source = source
        self._request = width, height, rate_hz
        self._closing = threading.Event()
        self._began_ns = time.monotonic_ns()
        self._thread = start_thread('webcam', self._grab)

    def close(self) -> None:
        """Let the thread release the device, after the grab in which it may be waiting."""
        self._closing.set()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _grab(self) -> None:
        start_ns: int | None = 0
        while start_ns is not None and not self._closing.is_set():
            capture = self._source.open(*self._request)
            start_ns = self._grab_round(capture, start_ns) if capture.isOpened() else None
            capture.release()
        self.received.end()

    def _grab_round(self, capture: cv2.VideoCapture, start_ns: int) -> int | None:
        """Grab until nothing comes; return when a file begins again, None if it does not."""
        clock = FrameClock(capture, start_ns) if self._source.is_file else None
        begins = True
        while not self._closing.is_set() and capture.grab():
            t_ns = time.monotonic_ns() - self._began_ns
            if clock is not None:
                ahead_ns = (due_ns := clock.time_ns()) - t_ns
                self._closing.wait(max(ahead_ns, 0) / 1e9)
                t_ns = due_ns
            stamp_ns, received_ns = time.time_ns(), time.monotonic_ns()
            decoded, pixels = capture.retrieve()
            if decoded:
                frame = Frame(t_ns, to_rgb(pixels))
                self.received.put(ReceivedFrame(frame, stamp_ns, received_ns, begins))
                begins = False
        return clock.end_ns if clock is not None and self.is_endless else None


class TopicFrames:
    """Frames of a topic of images, which a subscription puts into a queue.

    Args:
        name: of the topic.
        received: the queue; what waits in it from before is forgotten.
    """

    is_endless = True
    open_timeout_s = 0.5

    def __init__(self, name: str, received: ReceivedFrames) -> None:
        self.name = name
        self.received = received
        received.clear()

    def close(self) -> None:
        """Do nothing: the node ends its subscription."""


class StampClock:
    """Times of images by their stamps, from 0."""

    def __init__(self) -> None:
        self._first_ns: int | None = None

    def time_ns(self, stamp_ns: int) -> int:
        """Return the time of a stamp; it begins at 0 again if stamps go back before the first."""
        if self._first_ns is None or stamp_ns < self._first_ns:
            self._first_ns = stamp_ns
        return stamp_ns - self._first_ns


class WebcamCamera(Camera):
    """Events made from frames, and the frames.

    Args:
        frames: where they come from; closed with the camera.

    Raises:
        CameraAbsentError: there is no frame.
    """

    model = 'webcam'
    limits = LIMITS

    def __init__(self, frames: FrameSource) -> None:
        self.serial = frames.name
        self._frames = frames
        self._sensor = VideoSensor()
        # The size is known with the first frame.
        self._first = frames.received.take(frames.open_timeout_s)
        if self._first is None:
            frames.close()
            raise CameraAbsentError(f'no frames from {frames.name}')
        self.height, self.width = fit(self._first.frame.pixels).shape[:2]
        self._gaps = 0

    def read(self, timeout_s: float) -> Batch:
        """Return the next frame and the events since the one before; see `Camera.read`."""
        waiting = self._frames.received
        received, self._first = self._first or waiting.take(timeout_s), None
        if received is None:
            if waiting.has_ended:
                if self._frames.is_endless:
                    raise CameraLostError(f'no more frames from {self.serial}')
                self.ended = True
            return Batch(arrival_ns=time.time_ns())
        frame = Frame(received.frame.t, fit(received.frame.pixels))
        height, width = frame.pixels.shape[:2]
        if (height, width) != (self.height, self.width):
            raise CameraLostError(f'{self.serial} now sends {width} x {height} pixels')
        if received.begins:
            self._sensor.restart()
        events = self._sensor.see(frame)
        gaps, self._gaps = self._sensor.gaps - self._gaps, self._sensor.gaps
        return Batch(
            events,
            frames=(frame,),
            arrival_ns=received.stamp_ns,
            lost=waiting.take_dropped() + gaps,
            lag_ns=max(time.monotonic_ns() - received.received_ns, 0),
        )

    def close(self) -> None:
        """Release the device."""
        self._frames.close()
