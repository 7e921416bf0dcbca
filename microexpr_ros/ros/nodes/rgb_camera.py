"""Node `rgb_camera`: a camera that OpenCV knows, or a video file that stands in for one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import pixels_to_image
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter


@dataclass(frozen=True)
class RgbCameraParameters(NodeParameters):
    """Parameters of the RGB camera."""

    device: str = parameter('0', 'number or path of a camera, or a video file')
    image_width: int = parameter(
        0, 'columns asked of a camera; 0: its own', minimum=0, maximum=8192
    )
    image_height: int = parameter(0, 'rows asked of a camera; 0: its own', minimum=0, maximum=8192)
    framerate: float = parameter(
        0.0, 'frames per second; 0: those of the camera or file', minimum=0.0, maximum=1000.0
    )
    loop: bool = parameter(True, 'begin a file again at its end, as a camera never ends')
    frame_id: str = parameter('rgb_camera', 'TF frame of the camera')


class RgbCameraNode(MicroexprNode):
    """Grab frames on a thread; wait for a camera that is not there, or no longer."""

    name = 'rgb_camera'
    Parameters: ClassVar[type[NodeParameters]] = RgbCameraParameters

    def configure(self) -> None:
        """Tell file from camera; a file must be there, a camera may come later."""
        # OpenCV would tell on every try that there is no camera; once is enough, and we do.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        device = self.parameters.device
        self._is_file = Path(device).is_file()
        if not self._is_file and not device.isdecimal() and not device.startswith('/dev/'):
            raise MicroexprError(
                f'device {device!r} is no camera and no file; give a number, /dev/video... or '
                'a video'
            )
        if self._is_file and not cv2.VideoCapture(device).isOpened():
            raise MicroexprError(f'{device} is not a video that OpenCV can read')
        self._publisher = self.advertise(Image, '~/image_raw', qos.FRAMES)

    def activate(self) -> None:
        """Begin to grab."""
        self._frames, self._connected, self._finished = Rate(), False, False
        self.stream(self._grab)

    def _grab(self) -> None:
        while not self.stopping.is_set():
            capture = self._open()
            before = self._frames.total
            if capture.isOpened():
                self._connected = True
                self._read(capture)
                self._connected = False
            capture.release()
            if self._is_file and not self.parameters.loop:
                self._finished = True
                return
            if not self._is_file or self._frames.total == before:
                self.get_logger().warning(
                    f'no camera {self.parameters.device}; waiting for it',
                    throttle_duration_sec=10.0,
                )
                self.stopping.wait(1.0)

    def _open(self) -> cv2.VideoCapture:
        given: RgbCameraParameters = self.parameters
        source = int(given.device) if given.device.isdecimal() else given.device
        capture = cv2.VideoCapture(source)
        if not self._is_file:
            # One frame in the driver's queue: a newer frame is worth more than an older one.
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            for key, value in (
                (cv2.CAP_PROP_FRAME_WIDTH, given.image_width),
                (cv2.CAP_PROP_FRAME_HEIGHT, given.image_height),
                (cv2.CAP_PROP_FPS, given.framerate),
            ):
                if value:
                    capture.set(key, value)
        return capture

    def _read(self, capture: cv2.VideoCapture) -> None:
        period_s = 0.0
        if self._is_file:
            period_s = 1 / (self.parameters.framerate or capture.get(cv2.CAP_PROP_FPS) or 30.0)
        due_s = time.monotonic()
        while not self.stopping.is_set():
            grabbed = capture.grab()
            stamp = self.get_clock().now()
            if not grabbed:
                return
            _, pixels = capture.retrieve()
            if self._publisher.get_subscription_count():
                rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
                self._publisher.publish(
                    pixels_to_image(rgb, stamp.nanoseconds, self.parameters.frame_id)
                )
            self._frames.add()
            due_s += period_s
            self.stopping.wait(max(due_s - time.monotonic(), 0.0) if period_s else 0.0)

    def diagnose(self) -> Diagnosis:
        """Tell whether there is a camera and how fast it is."""
        if self._finished:
            message = 'the video has ended'
        else:
            message = 'running' if self._connected else 'waiting for the camera'
        return Diagnosis(
            OK if self._connected or self._finished else WARN,
            message,
            {
                'device': self.parameters.device,
                'frames_hz': round(self._frames.hz(), 1),
                'frames': self._frames.total,
            },
        )


def main() -> None:
    """Run the node."""
    run(RgbCameraNode)


if __name__ == '__main__':
    main()
