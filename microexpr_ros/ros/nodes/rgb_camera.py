"""Node `rgb_camera`: a camera or stream that OpenCV can read, or a video file in its place."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.camera_info import CameraInfoPublisher, camera_info_url_parameter
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate, Silence
from microexpr_ros.ros.images import ImagePublisher, jpeg_quality_parameter
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.video import find_source, quiet

HANGS_AFTER_NS = 1_000_000_000
"""Silence after which an open camera is reported, at least."""

SILENT_FRAMES = 3
"""Silence after which a slow camera is reported, in frames at its rate."""


@dataclass(frozen=True)
class RgbCameraParameters(NodeParameters):
    """Parameters of the RGB camera."""

    device: str = parameter(
        '0',
        'number or path of a camera, URL of a stream, pipeline of GStreamer, or a video file',
    )
    image_width: int = parameter(
        0, 'columns requested of a camera; 0: its own', minimum=0, maximum=8192
    )
    image_height: int = parameter(
        0, 'rows requested of a camera; 0: its own', minimum=0, maximum=8192
    )
    framerate: float = parameter(
        0.0, 'frames per second; 0: the rate of the camera or file', minimum=0.0, maximum=1000.0
    )
    loop: bool = parameter(True, 'play a file again at its end, as a camera never ends')
    frame_id: str = parameter('rgb_camera', 'TF frame of the camera: x right, y down, z forward')
    camera_info_url: str = camera_info_url_parameter()
    jpeg_quality: int = jpeg_quality_parameter()


class RgbCameraNode(MicroexprNode[RgbCameraParameters]):
    """Grab frames on a thread; wait for a camera that is missing or was unplugged."""

    name = 'rgb_camera'
    Parameters = RgbCameraParameters

    def configure(self) -> None:
        """Find out what the device is; a file must exist, a camera may be plugged in later."""
        quiet()
        given = self.parameters
        self._source = find_source(given.device)
        self._infos = CameraInfoPublisher(self, given.camera_info_url, qos.FRAMES)
        self._publisher = ImagePublisher(self, topics.CAMERA_IMAGE, qos.FRAMES, given.jpeg_quality)

    def activate(self) -> None:
        """Begin to grab."""
        self._frames, self._connected, self._finished = Rate(), False, False
        rate_hz = self.parameters.framerate
        slow_ns = round(SILENT_FRAMES * 1e9 / rate_hz) if rate_hz else 0
        self._silence = Silence(max(HANGS_AFTER_NS, slow_ns))
        self.start_thread(self._grab)
        self.every(0.25, self._check_silence)

    def _check_silence(self) -> None:
        is_open = self._connected and not self._source.is_file
        if is_open and self._silence.has_begun(time.monotonic_ns()):
            self.get_logger().warning('the camera is open and sends nothing')
            self.publish_diagnosis_soon()

    def _end_silence(self) -> None:
        silent_ns = self._silence.end(time.monotonic_ns())
        if silent_ns:
            self.get_logger().info(f'the camera sends again, after {silent_ns / 1e9:.1f} s')
            self.publish_diagnosis_soon()

    def _grab(self) -> None:
        while not self.stopping.is_set():
            given = self.parameters
            capture = self._source.open(given.image_width, given.image_height, given.framerate)
            before = self._frames.total
            if capture.isOpened():
                self._silence.end(time.monotonic_ns())
                self._connected = True
                self._read(capture)
                self._connected = False
            capture.release()
            if self._source.is_file and not given.loop:
                self._finished = True
                return
            is_missing = not self._source.is_file or self._frames.total == before
            if is_missing and not self.stopping.is_set():
                self.get_logger().warning(
                    f'no frames from {self._source.name}; waiting for it',
                    throttle_duration_sec=10.0,
                )
                self.stopping.wait(1.0)

    def _read(self, capture: cv2.VideoCapture) -> None:
        period_s = 0.0
        if self._source.is_file:
            period_s = 1 / (self.parameters.framerate or capture.get(cv2.CAP_PROP_FPS) or 30.0)
        due_s = time.monotonic()
        while not self.stopping.is_set():
            grabbed = capture.grab()
            stamp = self.get_clock().now()
            if not grabbed:
                return
            decoded, pixels = capture.retrieve()
            if decoded:
                self._end_silence()
                self._publish(np.asarray(pixels, np.uint8), stamp.nanoseconds)
                self._frames.add()
            due_s += period_s
            self.stopping.wait(max(due_s - time.monotonic(), 0.0) if period_s else 0.0)

    def _publish(self, pixels: NDArray[np.uint8], stamp_ns: int) -> None:
        frame_id = self.parameters.frame_id
        if self._publisher.has_subscribers:
            # A pipeline may give grey.
            if pixels.ndim == 3:
                pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            self._publisher.publish(pixels, stamp_ns, frame_id)
        height, width = pixels.shape[:2]
        self._infos.publish(stamp_ns, frame_id, (height, width))

    def diagnose(self) -> Diagnosis:
        """Return whether there is a camera, and its rate."""
        if self._finished:
            level, message = OK, 'the video has ended'
        elif not self._connected:
            level, message = WARN, 'waiting for the camera'
        elif self._silence.is_silent:
            silent_s = self._silence.lasts_ns(time.monotonic_ns()) / 1e9
            level, message = WARN, f'the camera is open and has sent nothing for {silent_s:.1f} s'
        else:
            level, message = OK, 'running'
        return Diagnosis(
            level,
            message,
            {
                'device': self._source.name,
                'frames_hz': round(self._frames.hz(), 1),
                'frames': self._frames.total,
            },
        ).with_problem(self._infos.problem)


def main() -> None:
    """Run the node."""
    run_node(RgbCameraNode)


if __name__ == '__main__':
    main()
