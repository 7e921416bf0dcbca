"""The frames of a bag: its images, with their stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from microexpr_ros.bags import IMAGE, Message
from microexpr_ros.bags.message_place import MessagePlace
from microexpr_ros.bags.serialization import deserialize
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Frame
from microexpr_ros.events.files.recording import Recording
from microexpr_ros.events.image_encodings import ENCODINGS, Pixels, decode_pixels, decompress

COMPRESSED_IMAGE: Final = 'sensor_msgs/msg/CompressedImage'

_NS: Final = 1_000_000_000


@dataclass(slots=True)
class FramesRead:
    """How far the frames of a bag were read.

    Attributes:
        topic: topic that is read; empty before the first image.
        frame_id: coordinate frame of the camera; empty before the first image.
        unreadable: images so far that were left out.
        reason: why the first of them was; empty if there is none.
        is_found: whether there was an image.
        place: counts the messages so far, also those that are no images.
    """

    topic: str = ''
    frame_id: str = ''
    unreadable: int = 0
    reason: str = ''
    is_found: bool = False
    place: MessagePlace = field(default_factory=MessagePlace)


class BagFrames:
    """The frames of one topic of a bag; those that cannot be read are counted.

    Args:
        recording: the bag.
        topic: topic of images; None for the first in the bag.
        read: where to go on; None for the first image.

    Attributes:
        read: how far they were read.
    """

    def __init__(
        self, recording: Recording, topic: str | None = None, read: FramesRead | None = None
    ) -> None:
        self._recording = recording
        self.read = read or FramesRead(topic or '')

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames in the order in which they were received; ROS times.

        Raises:
            MicroexprError: a topic was named that has no images.
        """
        read = self.read
        for message in read.place.read_on(self._recording.others):
            read.place.add(message.time_ns)
            if not isinstance(message, Message) or message.type not in (IMAGE, COMPRESSED_IMAGE):
                continue
            read.topic = read.topic or message.topic
            if message.topic != read.topic:
                continue
            read.is_found = True
            try:
                frame = self._to_frame(message)
            except MicroexprError as error:
                read.unreadable += 1
                read.reason = read.reason or str(error)
                continue
            yield frame
        if read.topic and not read.is_found:
            raise MicroexprError(
                f'{read.topic} in {self._recording.path} has no images: give another topic, or '
                'none'
            )

    def _to_frame(self, message: Message) -> Frame:
        image = deserialize(message.cdr, message.type, message.topic)
        self.read.frame_id = self.read.frame_id or image.header.frame_id
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
