"""The frames of a bag: its images, with their stamps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from microexpr_ros.bags import IMAGE, Message
from microexpr_ros.bags.serialization import deserialize
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Frame
from microexpr_ros.events.files.recording import Recording
from microexpr_ros.events.image_encodings import ENCODINGS, Pixels, decode_pixels, decompress

COMPRESSED_IMAGE: Final = 'sensor_msgs/msg/CompressedImage'

_NS: Final = 1_000_000_000


class BagFrames:
    """The frames of one topic of a bag; those that cannot be read are counted.

    Args:
        recording: the bag.
        topic: topic of images; None for the first in the bag.

    Attributes:
        topic: topic that is read; empty before the first image.
        frame_id: coordinate frame of the camera; empty before the first image.
        unreadable: images so far that were left out.
        reason: why the first of them was; empty if there is none.
    """

    def __init__(self, recording: Recording, topic: str | None = None) -> None:
        self.topic = topic or ''
        self.frame_id = ''
        self.unreadable = 0
        self.reason = ''
        self._recording = recording

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames in the order in which they were received; ROS times.

        Raises:
            MicroexprError: a topic was named that has no images.
        """
        found = False
        for message in self._recording.others():
            if not isinstance(message, Message) or message.type not in (IMAGE, COMPRESSED_IMAGE):
                continue
            self.topic = self.topic or message.topic
            if message.topic != self.topic:
                continue
            found = True
            try:
                frame = self._to_frame(message)
            except MicroexprError as error:
                self.unreadable += 1
                self.reason = self.reason or str(error)
                continue
            yield frame
        if self.topic and not found:
            raise MicroexprError(
                f'{self.topic} in {self._recording.path} has no images: give another topic, or '
                'none'
            )

    def _to_frame(self, message: Message) -> Frame:
        image = deserialize(message.cdr, message.type, message.topic)
        self.frame_id = self.frame_id or image.header.frame_id
        stamp = image.header.stamp
        return Frame(stamp.sec * _NS + stamp.nanosec, _to_pixels(image, message.type))


def _to_pixels(image: Any, kind: str) -> Pixels:
    data = np.asarray(image.data, np.uint8)
    if kind == COMPRESSED_IMAGE:
        return decompress(data, image.format)
    if image.encoding not in ENCODINGS or not image.height or not image.width:
        raise MicroexprError(
            f'images of {image.width} x {image.height} {image.encoding!r} are not read: record '
            'rgb8, bgr8 or mono8'
        )
    return decode_pixels(
        data,
        (image.height, image.width),
        image.step,
        image.encoding,
        bool(image.is_bigendian),
    )
