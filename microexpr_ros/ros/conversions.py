"""Times, packets, images and slices to messages and back."""

from __future__ import annotations

import importlib
import math
import zlib
from dataclasses import fields
from typing import Any, Final

import numpy as np
from builtin_interfaces.msg import Duration, Time
from event_camera_msgs.msg import EventPacket as EventPacketMessage
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest

from microexpr_ros.alignment.face_alignment import measure_off_centre
from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.serialization import lay_out
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.image_encodings import ENCODINGS, compress, decode_pixels, decompress
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.landmarks import LANDMARKS
from microexpr_ros.msg import AlignedEvents

SECOND_NS = 1_000_000_000


def to_time(nanoseconds: int) -> Time:
    """Return ns as a ROS time."""
    return Time(sec=nanoseconds // SECOND_NS, nanosec=nanoseconds % SECOND_NS)


def to_duration(nanoseconds: int) -> Duration:
    """Return ns as a ROS duration."""
    return Duration(sec=nanoseconds // SECOND_NS, nanosec=nanoseconds % SECOND_NS)


def to_ns(stamp: Time | Duration) -> int:
    """Return a ROS time or duration in ns."""
    return int(stamp.sec) * SECOND_NS + int(stamp.nanosec)


def packet_to_message(packet: EventPacket) -> EventPacketMessage:
    """Return a packet of events as a message."""
    message = EventPacketMessage(
        height=packet.height,
        width=packet.width,
        seq=packet.seq,
        time_base=packet.time_base,
        encoding=packet.encoding,
        is_bigendian=packet.is_bigendian,
    )
    message.header.stamp = to_time(packet.stamp_ns)
    message.header.frame_id = packet.frame_id
    message.events.frombytes(packet.events)
    return message


def pixels_to_image(pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """Return uint8 [height, width] as mono8, or [height, width, 3] as rgb8."""
    height, width = pixels.shape[:2]
    colour = pixels.ndim == 3
    message = Image(
        height=height,
        width=width,
        encoding='rgb8' if colour else 'mono8',
        step=width * (3 if colour else 1),
    )
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    message.data.frombytes(np.ascontiguousarray(pixels))
    return message


def pixels_to_compressed(
    pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str, jpeg_quality: int
) -> CompressedImage:
    """Return uint8 [height, width] grey or [height, width, 3] RGB as JPEG, quality 1 to 100."""
    data, description = compress(pixels, jpeg_quality)
    message = CompressedImage(format=description)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    message.data.frombytes(data)
    return message


def image_to_pixels(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """Return an image as uint8 [height, width] grey or [height, width, 3] RGB.

    The encodings of `ENCODINGS` are read here; every other encoding needs cv_bridge.

    Raises:
        MicroexprError: the data is not what the header says, or cv_bridge is needed and
            not installed or cannot convert.
    """
    if isinstance(message, CompressedImage):
        return decompress(np.frombuffer(message.data, np.uint8), message.format)
    if not message.height or not message.width:
        raise MicroexprError('image without pixels; the camera driver sent a malformed message')
    if message.encoding not in ENCODINGS:
        return _with_cv_bridge(message)
    return decode_pixels(
        np.frombuffer(message.data, np.uint8),
        (message.height, message.width),
        message.step,
        message.encoding,
        bool(message.is_bigendian),
    )


def _with_cv_bridge(message: Image) -> NDArray[np.uint8]:
    try:
        cv_bridge = importlib.import_module('cv_bridge')
    except ImportError:
        raise MicroexprError(
            f'image encoding {message.encoding!r} needs cv_bridge, which is not installed; '
            'let the camera send rgb8, bgr8 or mono8, or install ros-jazzy-cv-bridge'
        ) from None
    try:
        return np.asarray(cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8'), np.uint8)
    except cv_bridge.CvBridgeError as error:
        raise MicroexprError(f'image encoding {message.encoding!r}: {error}') from None


def face_id(aligned: AlignedSlice) -> str:
    """Return the id of a slice's face, empty if it shows none."""
    return '' if aligned.face < 0 else aligned.given_id or f'face_{aligned.face}'


def aligned_to_message(aligned: AlignedSlice, frame_id: str, lost_packets: int) -> AlignedEvents:
    """Return an aligned slice as a message."""
    slice_ = aligned.slice
    _, height, width = slice_.counts.shape
    message = AlignedEvents(
        duration=to_duration(slice_.duration_ns),
        face_id=face_id(aligned),
        height=height,
        width=width,
        events=slice_.events,
        lost_packets=lost_packets,
        sync_source=int(aligned.source),
        sync_error_ms=aligned.sync_error_ns / 1e6,
        newest_arrival=to_time(aligned.newest_arrival_ns),
    )
    message.header.stamp = to_time(slice_.end_ns)
    message.header.frame_id = frame_id
    message.counts.frombytes(slice_.counts)
    if slice_.region is not None:
        message.roi = _region_to_roi(slice_.region.bounds())
    if isinstance(slice_.region, AlignedRegion):
        # An int in a float field would not raise an error but abort the process.
        region = slice_.region
        message.region_x, message.region_y = float(region.x), float(region.y)
        message.region_side, message.region_roll = float(region.side), float(region.roll)
    if aligned.landmarks is not None:
        message.landmarks.frombytes(aligned.landmarks.tobytes())
        message.landmarks_sigma = float(aligned.sigma)
    if slice_.motion is not None:
        for name in _SPEEDS:
            setattr(message, f'head_{name}', float(getattr(slice_.motion, name)))
    if slice_.frame is not None:
        message.image = [pixels_to_image(slice_.frame, slice_.frame_stamp_ns, frame_id)]
    return message


def serialize_aligned(aligned: AlignedSlice, frame_id: str, lost_packets: int) -> bytes:
    """Return the CDR of what `aligned_to_message` returns.

    Slices without a frame are laid out directly, in a fraction of the time of a message.
    """
    slice_ = aligned.slice
    if slice_.frame is not None:
        return bytes(serialize_message(aligned_to_message(aligned, frame_id, lost_packets)))
    _, height, width = slice_.counts.shape
    frame, face = (text.encode() + b'\0' for text in (frame_id, face_id(aligned)))
    roi, square, speeds, landmarks = [0] * 4, [0.0] * 4, [0.0] * len(_SPEEDS), b''
    if (region := slice_.region) is not None:
        message = _region_to_roi(region.bounds())
        # The height is before the width there.
        roi = [message.x_offset, message.y_offset, message.height, message.width]
    if isinstance(region, AlignedRegion):
        square = [region.x, region.y, region.side, region.roll]
    if aligned.landmarks is not None:
        landmarks = aligned.landmarks.tobytes()
    if slice_.motion is not None:
        speeds = [getattr(slice_.motion, name) for name in _SPEEDS]
    header = f'4s i I I {len(frame)}s i I I {len(face)}s 4I ? H H'
    rest = f'I {slice_.counts.size}s I I B f I i I 4d I {len(landmarks)}s d {len(speeds)}d'
    return lay_out('<', 0, *header.split(), *rest.split()).pack(
        _LITTLE_ENDIAN,
        *divmod(slice_.end_ns, SECOND_NS),
        len(frame),
        frame,
        *divmod(slice_.duration_ns, SECOND_NS),
        len(face),
        face,
        *roi,
        False,
        height,
        width,
        slice_.counts.size,
        slice_.counts.tobytes(),
        slice_.events,
        lost_packets,
        aligned.source,
        aligned.sync_error_ns / 1e6,
        0,  # There is no image.
        *divmod(aligned.newest_arrival_ns, SECOND_NS),
        *square,
        len(landmarks) // 4,
        landmarks,
        aligned.sigma if landmarks else 0.0,
        *speeds,
    )


_LITTLE_ENDIAN: Final = b'\0\1\0\0'

_SPEEDS: Final = tuple(field.name for field in fields(HeadMotion) if field.name != 'sigma')


def _region_to_roi(region: Region) -> RegionOfInterest:
    # RegionOfInterest has no room for a region that begins before the sensor; such an offset is
    # written as 32-bit two's complement, which reads back exactly.
    return RegionOfInterest(
        x_offset=region.x & 0xFFFFFFFF,
        y_offset=region.y & 0xFFFFFFFF,
        width=region.width,
        height=region.height,
    )


def _message_to_region(message: AlignedEvents) -> Region | AlignedRegion | None:
    square = message.region_x, message.region_y, message.region_side, message.region_roll
    if not all(map(math.isfinite, square)):
        raise MicroexprError(
            f'AlignedEvents with a region of x, y, side and roll {square}; the sender is malformed'
        )
    if message.region_side > 0:
        return AlignedRegion(*square)
    roi = message.roi
    if roi.width == 0 or roi.height == 0:
        return None
    x, y = (
        value - (1 << 32) if value >= 1 << 31 else value for value in (roi.x_offset, roi.y_offset)
    )
    return Region(x, y, roi.width, roi.height)


def message_to_aligned(message: AlignedEvents) -> AlignedSlice:
    """Return the aligned slice that a message carries.

    Raises:
        MicroexprError: the counts do not have the size that the message says, or another field
            has a value that it cannot have.
    """
    expected = 2 * message.height * message.width
    if len(message.counts) != expected or expected == 0:
        raise MicroexprError(
            f'AlignedEvents of 2 x {message.height} x {message.width} cells has '
            f'{len(message.counts)} counts; the sender is malformed'
        )
    if to_ns(message.duration) <= 0 or message.sync_source not in set(SyncSource):
        raise MicroexprError(
            f'AlignedEvents with duration {to_ns(message.duration)} ns and sync_source '
            f'{message.sync_source}; the sender is malformed'
        )
    counts = np.frombuffer(message.counts, np.uint8).reshape(2, message.height, message.width)
    face, given_id = _message_to_face(message.face_id)
    region, landmarks = _message_to_region(message), _message_to_landmarks(message)
    return AlignedSlice(
        slice=Slice(
            end_ns=to_ns(message.header.stamp),
            duration_ns=to_ns(message.duration),
            region=region,
            counts=counts,
            events=message.events,
            frame=image_to_pixels(message.image[0]) if message.image else None,
            frame_stamp_ns=to_ns(message.image[0].header.stamp) if message.image else 0,
            motion=_message_to_motion(message),
            off_centre=measure_off_centre(region, landmarks),
        ),
        face=face,
        source=SyncSource(message.sync_source),
        sync_error_ns=message.sync_error_ms * 1e6,
        newest_arrival_ns=to_ns(message.newest_arrival),
        landmarks=landmarks,
        sigma=message.landmarks_sigma,
        given_id=given_id,
    )


def _message_to_face(name: str) -> tuple[int, str]:
    """Return the number of a face, and its id if that does not have the number."""
    prefix, _, number = name.partition('_')
    if prefix == 'face' and number.isdecimal():
        return int(number), ''
    # The same for an id each time, and another one for another id.
    return (zlib.crc32(name.encode()), name) if name else (-1, '')


def _message_to_landmarks(message: AlignedEvents) -> NDArray[np.float32] | None:
    values = np.frombuffer(message.landmarks, np.float32)
    if not values.size:
        return None
    if values.size != 2 * len(LANDMARKS) or not np.isfinite(values).all():
        raise MicroexprError(
            f'AlignedEvents with landmarks {values.tolist()}, not {len(LANDMARKS)} columns and '
            'rows; the sender is malformed'
        )
    return values.reshape(-1, 2)


def _message_to_motion(message: AlignedEvents) -> HeadMotion | None:
    # Without landmarks, the motion was not measured.
    if not message.landmarks:
        return None
    speeds = {name: getattr(message, f'head_{name}') for name in _SPEEDS}
    return HeadMotion(sigma=message.landmarks_sigma, **speeds)


def message_type(name: str) -> type[Any]:
    """Return the class of a message type such as `sensor_msgs/msg/Image`.

    Raises:
        MicroexprError: the package is not installed.
    """
    package, _, kind = name.partition('/msg/')
    try:
        found: type[Any] = getattr(importlib.import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError):
        raise MicroexprError(
            f'message type {name} is not installed; install {package} or leave its topics out'
        ) from None
    return found
