"""Node `event_camera`: an event camera, or a recording that stands in for one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from event_camera_msgs.msg import EventPacket as EventPacketMessage

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs import ENCODINGS
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import open_recording, parse_sensor
from microexpr_ros.events.packets import EventPacket, packetize
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import packet_to_message
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter


@dataclass(frozen=True)
class EventCameraParameters(NodeParameters):
    """Parameters of the event camera; where ROS drivers have the same one, so is its name."""

    driver: str = parameter('file', 'where events come from', choices=('file',))
    path: str = parameter('', 'recording: .raw, .npy, .npz or a rosbag2')
    time_unit: str = parameter(
        '', 'unit of the times of an array; empty: the file says', choices=('', 's', 'us', 'ns')
    )
    sensor: str = parameter('', 'sensor size WIDTHxHEIGHT; empty: the file says')
    rate: float = parameter(1.0, 'speed; 1 is that of the recording', minimum=0.01, maximum=100.0)
    loop: bool = parameter(True, 'begin again at the end, as a camera never ends')
    frame_id: str = parameter('event_camera', 'TF frame of the sensor')
    encoding: str = parameter('evt3', 'encoding of the packets', choices=ENCODINGS)
    event_message_time_threshold: float = parameter(
        0.002, 'longest packet, in s', minimum=0.0001, maximum=0.1
    )
    event_message_size_threshold: int = parameter(
        400_000, 'largest packet, in bytes', minimum=1000, maximum=400_000
    )


class EventCameraNode(MicroexprNode):
    """Publish packets as they come, only while somebody listens."""

    name = 'event_camera'
    Parameters: ClassVar[type[NodeParameters]] = EventCameraParameters

    def configure(self) -> None:
        """Open the recording."""
        given: EventCameraParameters = self.parameters
        if not given.path:
            raise MicroexprError('parameter path is empty; set it to a recording of events')
        self._recording = open_recording(
            Path(given.path),
            time_unit=given.time_unit or None,
            sensor=parse_sensor(given.sensor) if given.sensor else None,
        )
        self._publisher = self.advertise(EventPacketMessage, '~/events', qos.EVENTS)

    def activate(self) -> None:
        """Begin to send."""
        self._sent, self._events, self._finished = Rate(), Rate(), False
        self.stream(self._send)

    def _send(self) -> None:
        try:
            for packet in self._packets():
                if self._publisher.get_subscription_count() == 0:
                    continue
                message = packet_to_message(packet)
                # Like a driver's, the stamp is the host's time on arrival.
                message.header.stamp = self.get_clock().now().to_msg()
                self._publisher.publish(message)
                self._sent.add()
        finally:
            self._finished = True

    def _packets(self) -> Iterator[EventPacket]:
        """Iterate over the packets of the recording, each when its time has come."""
        given: EventCameraParameters = self.parameters
        began_ns = time.monotonic_ns()
        first_ns: int | None = None
        for packet in packetize(
            self._rounds(),
            self._recording.height,
            self._recording.width,
            encoding=given.encoding,
            frame_id=given.frame_id,
            packet_ns=round(given.event_message_time_threshold * 1e9),
            packet_bytes=given.event_message_size_threshold,
        ):
            first_ns = packet.stamp_ns if first_ns is None else first_ns
            ahead_ns = (packet.stamp_ns - first_ns) / given.rate - (time.monotonic_ns() - began_ns)
            if self.stopping.wait(max(ahead_ns / 1e9, 0.0)):
                return
            yield packet

    def _rounds(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording, again and again if asked, on one clock that goes on."""
        offset_ns = 0
        while True:
            first_ns: int | None = None
            last_ns = 0
            for events, triggers in self._recording.chunks():
                if len(events):
                    first_ns = int(events.t[0]) if first_ns is None else first_ns
                    last_ns = int(events.t[-1])
                    self._events.add(len(events))
                yield (
                    replace(events, t=events.t + offset_ns),
                    replace(triggers, t=triggers.t + offset_ns),
                )
            if not self.parameters.loop or first_ns is None:
                return
            offset_ns += last_ns - first_ns + 1_000_000

    def diagnose(self) -> Diagnosis:
        """Tell what was sent."""
        listened = self._publisher.get_subscription_count() > 0
        if self._finished:
            message = 'the recording has ended'
        else:
            message = 'sending' if listened else 'nobody listens'
        return Diagnosis(
            WARN if self._recording.dropped else OK,
            message,
            {
                'recording': str(self._recording.path),
                'packets_hz': round(self._sent.hz(), 1),
                'packets': self._sent.total,
                'events_read': self._events.total,
                'events_dropped': self._recording.dropped,
            },
        )


def main() -> None:
    """Run the node."""
    run(EventCameraNode)


if __name__ == '__main__':
    main()
