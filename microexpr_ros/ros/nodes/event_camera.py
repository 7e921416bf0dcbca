"""Node `event_camera`: an event camera, or something that stands in for one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from event_camera_msgs.msg import EventPacket as EventPacketMessage
from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import Batch, Camera, CameraLostError
from microexpr_ros.events.cameras.connection import Connection
from microexpr_ros.events.codecs import warm_up
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.ros import qos
from microexpr_ros.ros.cameras import EventCameraParameters, opener
from microexpr_ros.ros.conversions import packet_to_message, pixels_to_image, to_time
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run

LATE_NS = 100_000_000
"""Data that is older than this when it is read comes too late for its slice."""


class EventCameraNode(MicroexprNode):
    """Publish packets and frames as they come, only while somebody listens."""

    name = 'event_camera'
    Parameters: ClassVar[type[NodeParameters]] = EventCameraParameters

    def configure(self) -> None:
        """Find out how the camera is opened; it may come later."""
        self._open = opener(self.parameters)
        self._packets_out = self.advertise(EventPacketMessage, '~/events', qos.EVENTS)
        self._frames_out = self.advertise(Image, '~/image_raw', qos.FRAMES)
        self._compiling = warm_up()

    def activate(self) -> None:
        """Begin to look for the camera."""
        self._packets, self._events, self._frames = Rate(), Rate(), Rate()
        self._seq = self._lost = self._told = self._lag_ns = self._restarts = 0
        self._finished = False
        self._connection: Connection | None = None
        self._batch = Batch()
        self.stream(self._work)

    def _work(self) -> None:
        given: EventCameraParameters = self.parameters
        self._connection = connection = Connection(
            self._open,
            self.stopping,
            interval_ns=round(given.event_message_time_threshold * 1e9),
            waiting=self._warn,
        )
        for camera in connection.cameras():
            self._compiling.join()
            self.get_logger().info(
                f'{camera.model} {camera.serial}: {camera.width} x {camera.height}'
            )
            for number, batches in enumerate(connection.streams()):
                if number:
                    self._restarts += 1
                    self.get_logger().warning(
                        'the clock of the camera was set back; a new stream begins',
                        throttle_duration_sec=10.0,
                    )
                self._serve(camera, map(self._take, batches))
        self._finished = not self.stopping.is_set()

    def _warn(self, error: MicroexprError) -> None:
        message = f'{error}; waiting for it'
        if isinstance(error, CameraLostError):
            self.get_logger().warning(message)
        else:
            self.get_logger().warning(message, throttle_duration_sec=10.0)

    def _take(self, batch: Batch) -> Batch:
        """Count what came, and publish its frames."""
        self._batch = batch
        self._events.add(len(batch.events))
        self._lost += batch.lost
        self._lag_ns = max(self._lag_ns, batch.lag_ns)
        for frame in batch.frames:
            self._frames.add()
            if self._frames_out.get_subscription_count():
                stamp_ns = batch.host_ns(frame.t)
                self._frames_out.publish(
                    pixels_to_image(frame.pixels, stamp_ns, self.parameters.frame_id)
                )
        return batch

    def _serve(self, camera: Camera, batches: Iterator[Batch]) -> None:
        given: EventCameraParameters = self.parameters
        for first in batches:
            if not self._is_heard:
                continue
            # A new encoder for every audience: who comes late needs nothing from before.
            for packet in packetize(
                self._while_heard(chain([first], batches)),
                camera.height,
                camera.width,
                encoding=given.encoding,
                frame_id=given.frame_id,
                packet_ns=round(given.event_message_time_threshold * 1e9),
                packet_bytes=given.event_message_size_threshold,
            ):
                message = packet_to_message(packet)
                message.seq = self._seq
                message.header.stamp = to_time(self._batch.host_ns(packet.stamp_ns))
                self._packets_out.publish(message)
                self._seq += 1
                self._packets.add()

    def _while_heard(self, batches: Iterator[Batch]) -> Iterator[tuple[Events, Triggers]]:
        for batch in batches:
            yield batch.events, batch.triggers
            if not self._is_heard:
                return

    @property
    def _is_heard(self) -> bool:
        return bool(self._packets_out.get_subscription_count())

    def diagnose(self) -> Diagnosis:
        """Tell whether there is a camera, what it sends, and what was lost."""
        connection = self._connection
        camera = connection.camera if connection else None
        lag_ns, self._lag_ns = self._lag_ns, 0
        is_fresh, self._told = self._lost > self._told, self._lost
        if self._finished:
            level, message = OK, 'the recording has ended'
        elif camera is None:
            level, message = WARN, 'waiting for the camera'
        elif is_fresh:
            level, message = WARN, 'something was lost before it came here'
        elif lag_ns > LATE_NS:
            level, message = WARN, f'the camera is {lag_ns / 1e9:.1f} s late'
        else:
            level, message = OK, 'sending' if self._is_heard else 'nobody listens'
        return Diagnosis(
            level,
            message,
            {
                'camera': f'{camera.model} {camera.serial}' if camera else 'none',
                'reconnects': max(connection.connects - 1, 0) if connection else 0,
                'events_hz': round(self._events.hz()),
                'packets_hz': round(self._packets.hz(), 1),
                'frames_hz': round(self._frames.hz(), 1),
                'events': self._events.total,
                'packets': self._packets.total,
                'lost': self._lost,
                'clock_restarts': self._restarts,
                'lag_ms': round(lag_ns / 1e6, 1),
            },
        )


def main() -> None:
    """Run the node."""
    run(EventCameraNode)


if __name__ == '__main__':
    main()
