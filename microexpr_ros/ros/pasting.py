"""The face as it is now, put into the newest frame of the RGB camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from microexpr_ros.alignment.camera_geometry import CameraGeometry, read_geometry
from microexpr_ros.alignment.frames import paste
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import image_to_pixels
from microexpr_ros.ros.images import ImagePublisher, ImageSubscription
from microexpr_ros.ros.lifecycle import MicroexprNode


class Pasting:
    """Publish frames in which the face is replaced by its reconstruction.

    Args:
        node: advertises the topic; is being configured.
        geometry: file of `microexpr calibrate cameras`; empty where both cameras see the same
            field of view. Then the event camera's info says how large its sensor is; without one
            it is taken to have as many pixels as the frames.
        jpeg_quality: of the compressed images, 1 to 100.
    """

    def __init__(self, node: MicroexprNode[Any], geometry: str, jpeg_quality: int) -> None:
        self._node = node
        self._geometry: CameraGeometry | None = read_geometry(Path(geometry)) if geometry else None
        self._publisher = ImagePublisher(node, topics.PASTED, qos.FRAMES, jpeg_quality)

    def activate(self) -> None:
        """Listen to the frames, while the node is active."""
        self._frame: Image | CompressedImage | None = None
        self._sensor: tuple[int, int] | None = None
        frames = self._node.watch(topics.RGB_IMAGE, 'frames')
        ImageSubscription(self._node, topics.RGB_IMAGE, self._on_frame, qos.FRAMES, [frames])
        self._node.subscribe(
            (CameraInfo, topics.EVENT_CAMERA_INFO, self._on_camera_info, qos.FRAMES)
        )

    @property
    def has_frame(self) -> bool:
        """Whether a frame has come."""
        return self._frame is not None

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to what is pasted."""
        return self._publisher.has_subscribers

    def _on_frame(self, message: Image | CompressedImage, _: int) -> None:
        self._frame = message

    def _on_camera_info(self, message: CameraInfo, _: int) -> None:
        self._sensor = message.height, message.width

    def publish(
        self,
        picture: NDArray[np.uint8],
        region: Region | AlignedRegion | None,
        stamp_ns: int,
    ) -> None:
        """Publish the newest frame with a picture of the face, if somebody subscribes.

        Args:
            picture: uint8 [rows, columns], of the region.
            region: of the event sensor; None shows no face.
            stamp_ns: the instant that the picture shows.
        """
        if self._frame is None or region is None or not self.has_subscribers:
            return
        pixels = image_to_pixels(self._frame)
        sensor = self._sensor or (pixels.shape[0], pixels.shape[1])
        homography = None
        if self._geometry is not None:
            self._geometry.check_frame(*pixels.shape[:2])
            homography = self._geometry.homography_at(region)
        pasted = paste(pixels, picture, region, sensor, homography)
        self._publisher.publish(pasted, stamp_ns, self._frame.header.frame_id)
