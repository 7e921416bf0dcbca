"""Serializing event packets and images as ROS messages (CDR), and reading them back."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.bags.contents import EVENT_PACKET, IMAGE
from microexpr_ros.bags.definitions import typestore
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.errors import MicroexprError

_NS: Final = 1_000_000_000


def serialize(message: object, type_name: str) -> bytes:
    """Return the CDR of a message of any type of `typestore()`.

    Args:
        message: An object of the typestore's class for it.
        type_name: Its ROS type.
    """
    return bytes(typestore().serialize_cdr(message, type_name))


def deserialize(cdr: bytes, type_name: str, where: str) -> Any:
    """Return the message of any type of `typestore()`.

    Args:
        cdr: The serialized message.
        type_name: Its ROS type.
        where: Place of the message, for errors.

    Raises:
        MicroexprError: The bytes are not such a message.
    """
    try:
        return typestore().deserialize_cdr(cdr, type_name)
    except Exception as error:
        # Damaged bytes can fail anywhere in the library's generated code.
        raise MicroexprError(f'a message of {where} is damaged: record it again') from error


@lru_cache(maxsize=64)
def lay_out(order: str, begin: int, *fields: str) -> struct.Struct:
    """Return the layout of fields of a message as CDR has them.

    Each is aligned to the size of its numbers, counted from behind the 4 bytes of the
    encapsulation with which the message begins.

    Args:
        order: of the bytes, as of `struct`.
        begin: place in the message of the first field.
        fields: format of each, as of `struct`; the length of a text is a field of its own.

    Example:
        >>> lay_out('<', 0, '4x', 'B', 'I', '3s', 'd').size
        28
    """
    layout, at = order, begin
    for field in fields:
        padding = -(at - 4) % struct.calcsize(f'={field[-1]}')
        layout += f'{padding}x{field}'
        at += padding + struct.calcsize(f'={field}')
    return struct.Struct(layout)


def serialize_packet(packet: EventPacket) -> bytes:
    """Return the CDR of an event packet."""
    message = typestore().types[EVENT_PACKET](
        header=_header(packet.stamp_ns, packet.frame_id),
        height=packet.height,
        width=packet.width,
        seq=packet.seq,
        time_base=packet.time_base,
        encoding=packet.encoding,
        is_bigendian=packet.is_bigendian,
        events=np.frombuffer(packet.events, np.uint8),
    )
    return serialize(message, EVENT_PACKET)


def deserialize_packet(cdr: bytes, where: str) -> EventPacket:
    """Return the packet of a serialized message.

    Args:
        cdr: Serialized EventPacket.
        where: Place of the packet, for errors.

    Raises:
        MicroexprError: The bytes are not a packet.
    """
    # A struct takes a tenth of the time of the generic code, and packets come 500 times a second.
    try:
        order = '<' if cdr[1] == 1 else '>'
        (text_size,) = struct.unpack_from(f'{order}I', cdr, 12)
        fields = lay_out(order, 0, '4x', 'i', 'I', 'I', f'{text_size}s', *'IIQQI')
        *header, text_size = fields.unpack_from(cdr)
        rest = lay_out(order, fields.size, f'{text_size}s', '?', 'I')
        encoding, is_bigendian, size = rest.unpack_from(cdr, fields.size)
        begin = fields.size + rest.size
        events = cdr[begin : begin + size]
        seconds, nanoseconds, _, frame_id, height, width, seq, time_base = header
        frame_id, encoding = (text[:-1].decode() for text in (frame_id, encoding))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise _damaged(where) from error
    # A message may be padded to a multiple of 4 bytes.
    if len(events) != size or len(cdr) - begin - size > 3:
        raise _damaged(where)
    return EventPacket(
        stamp_ns=seconds * _NS + nanoseconds,
        frame_id=frame_id,
        height=height,
        width=width,
        seq=seq,
        time_base=time_base,
        encoding=encoding,
        is_bigendian=is_bigendian,
        events=events,
    )


def _damaged(where: str) -> MicroexprError:
    return MicroexprError(f'the event packet in {where} is damaged: record it again')


def read_sequence_number(cdr: bytes) -> int:
    """Return the `seq` of a serialized EventPacket without reading the rest of it.

    Raises:
        MicroexprError: The bytes are not a packet.
    """
    order = '<' if cdr[1:2] == b'\1' else '>'
    try:
        # After the 4 bytes of the encapsulation: stamp, length and text of frame_id, then height
        # and width aligned to 4 bytes, and `seq` aligned to 8.
        (length,) = struct.unpack_from(f'{order}8xI', cdr, 4)
        place = -(-(12 + length) // 4) * 4 + 8
        (number,) = struct.unpack_from(f'{order}Q', cdr, 4 + -(-place // 8) * 8)
    except struct.error as error:
        raise MicroexprError(
            'an event packet is too short for its header: restart the driver that sends it'
        ) from error
    return int(number)


def serialize_image(pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> bytes:
    """Return the CDR of an image.

    Args:
        pixels: uint8 [height, width] grey (mono8) or [height, width, 3] RGB (rgb8).
        stamp_ns: Time of the exposure.
        frame_id: Coordinate frame of the camera.
    """
    if pixels.dtype != np.uint8 or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    ):
        raise ValueError(
            f'an image is uint8 [height, width] or [height, width, 3], '
            f'not {pixels.dtype} {list(pixels.shape)}'
        )
    channels = 1 if pixels.ndim == 2 else 3
    message = typestore().types[IMAGE](
        header=_header(stamp_ns, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding='mono8' if channels == 1 else 'rgb8',
        is_bigendian=0,
        step=pixels.shape[1] * channels,
        data=np.ascontiguousarray(pixels).reshape(-1),
    )
    return serialize(message, IMAGE)


def _header(stamp_ns: int, frame_id: str) -> Any:
    types = typestore().types
    stamp = types['builtin_interfaces/msg/Time'](sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)
