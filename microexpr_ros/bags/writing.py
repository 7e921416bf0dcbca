"""Writing bags that appear as a whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos

from microexpr_ros.atomic import atomic_target, explain_write_errors
from microexpr_ros.bags.contents import EVENT_PACKET, IMAGE, ForeignMessage
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.folder import BagFolder, check_storage
from microexpr_ros.bags.serialization import serialize, serialize_image, serialize_packet

if TYPE_CHECKING:
    from typing_extensions import Self


class BagWriter:
    """Writes a bag that appears when the `with` block ends; an error leaves nothing behind.

    Example:
        >>> import tempfile
        >>> from microexpr_ros.bags import read_contents
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with BagWriter(Path(folder, 'bag')) as writer:
        ...         writer.write_image('/image_raw', np.zeros((2, 2), np.uint8), 5, 'camera')
        ...     [topic.name for topic in read_contents(Path(folder, 'bag')).topics]
        ['/image_raw']
    """

    def __init__(
        self, path: Path | str, storage: str = 'mcap', compression: str | None = None
    ) -> None:
        """Prepare a bag.

        Args:
            path: Folder, which must not be there.
            storage: mcap or sqlite3.
            compression: zstd or none; None for zstd where the storage has it.
        """
        check_storage(storage, compression)
        self.path = Path(path)
        self._storage = storage
        self._compression = compression
        self._stack = ExitStack()
        self._bag: BagFolder | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            hidden = stack.enter_context(atomic_target(self.path))
            with explain_write_errors(self.path):
                self._bag = BagFolder(hidden, self._storage, self._compression)
            stack.push(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(error_type, error, traceback)

    def _end(self, error_type: type[BaseException] | None, *_: object) -> None:
        assert self._bag is not None
        if error_type is not None:
            self._bag.abandon()
            return
        with explain_write_errors(self.path):
            self._bag.close()

    def write_packet(self, topic: str, packet: EventPacket, time_ns: int | None = None) -> None:
        """Write an event packet.

        Args:
            topic: Its topic.
            packet: The packet.
            time_ns: Time at which it was received; None for its stamp.
        """
        time_ns = packet.stamp_ns if time_ns is None else time_ns
        self.write_serialized(topic, EVENT_PACKET, serialize_packet(packet), time_ns)

    def write_image(
        self,
        topic: str,
        pixels: NDArray[np.uint8],
        stamp_ns: int,
        frame_id: str,
        time_ns: int | None = None,
    ) -> None:
        """Write an image.

        Args:
            topic: Its topic.
            pixels: uint8 [height, width] grey (mono8) or [height, width, 3] RGB (rgb8).
            stamp_ns: Time of the exposure.
            frame_id: Coordinate frame of the camera.
            time_ns: Time at which it was received; None for its stamp.
        """
        cdr = serialize_image(pixels, stamp_ns, frame_id)
        self.write_serialized(topic, IMAGE, cdr, stamp_ns if time_ns is None else time_ns)

    def write(self, topic: str, type_name: str, message: object, time_ns: int) -> None:
        """Write a message of any type of `typestore()`.

        Args:
            topic: Its topic.
            type_name: Its ROS type.
            message: An object of the typestore's class for it.
            time_ns: Time at which it was received.
        """
        self.write_serialized(topic, type_name, serialize(message, type_name), time_ns)

    def write_serialized(
        self,
        topic: str,
        type_name: str,
        cdr: bytes,
        time_ns: int,
        offered_qos: Sequence[Qos] = (),
    ) -> None:
        """Write a serialized message of any type of `typestore()`.

        Args:
            topic: Its topic.
            type_name: Its ROS type.
            cdr: Serialized message.
            time_ns: Time at which it was received.
            offered_qos: What the publishers of the topic offer, at its first message.
        """
        if self._bag is None:
            raise ValueError('a bag is written inside a with block')
        with explain_write_errors(self.path):
            self._bag.write(topic, type_name, cdr, time_ns, offered_qos=offered_qos)

    def write_foreign(self, message: ForeignMessage) -> None:
        """Write a message that is not of ROS 2, which only mcap bags hold."""
        if self._bag is None:
            raise ValueError('a bag is written inside a with block')
        with explain_write_errors(self.path):
            self._bag.write_foreign(message)
