"""The receiving process of `bench replay`: it decodes every packet.

It listens until its standard input is closed and no more packets come for a second. Then it
prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from event_camera_msgs.msg import EventPacket
from numpy.typing import NDArray
from rclpy.context import Context

from microexpr_ros.bags.event_packet import SequenceGaps
from microexpr_ros.cli.bench.checksum import sum_columns
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events
from microexpr_ros.ros import environment, qos
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.subscriptions import SubscriptionThread

_QUIET_NS: Final = 1_000_000_000


class Receiver:
    """Decodes, counts and sums what arrives.

    Attributes:
        events: number of events and sums of their columns, as `sum_columns` returns them.
        end_ns: time of the last event.
        gaps: packets that are missing by their sequence numbers.
        latencies_ns: time from publication to decoded events of each packet.
        stamps_ns: of the packets.
        arrivals_ns: monotonic time at which each packet arrived.
        player: newest diagnostics of the player.
        error: why a message could not be taken in, None if all could.
    """

    def __init__(self) -> None:
        self.events: NDArray[np.int64] = np.zeros(5, np.int64)
        self.end_ns = 0
        self.latencies_ns: list[int] = []
        self.stamps_ns: list[int] = []
        self.arrivals_ns: list[int] = []
        self.player: dict[str, str] = {}
        self.error: Exception | None = None
        self._decoder: codecs.Decoder | None = None
        self.gaps = SequenceGaps()

    def take_packet(self, message: EventPacket, published_ns: int) -> None:
        """Decode a packet."""
        if self._decoder is None:
            self._decoder = codecs.decoder(message.encoding, message.height, message.width)
        events, _ = self._decoder.decode(message.events, message.time_base)
        self.latencies_ns.append(time.time_ns() - published_ns)
        self.arrivals_ns.append(time.monotonic_ns())
        self.stamps_ns.append(to_ns(message.header.stamp))
        self.gaps.add(message.seq)
        self.events += sum_columns(events)
        if len(events):
            self.end_ns = int(events.t[-1])

    def take_diagnostics(self, message: DiagnosticArray, _: int) -> None:
        """Keep the diagnostics of the player."""
        for status in message.status:
            if status.name.endswith('player'):
                self.player = {value.key: value.value for value in status.values}

    def fail(self, error: Exception) -> None:
        """Keep an error, to be raised at the end."""
        self.error = error

    def report(self) -> dict[str, Any]:
        """Return everything as values that JSON has.

        Raises:
            Exception: A message could not be taken in.
        """
        if self.error is not None:
            raise self.error
        received = bool(self.latencies_ns)
        p50, p99, worst = np.percentile(np.array(self.latencies_ns or [0]), [50, 99, 100]) / 1e6
        return {
            'packets': len(self.latencies_ns),
            'lost_packets': self.gaps.total,
            'sums': self.events.tolist(),
            'end_ns': self.end_ns,
            'latency_ms': {'p50': round(p50, 2), 'p99': round(p99, 2), 'max': round(worst, 2)},
            'recorded_s': (self.stamps_ns[-1] - self.stamps_ns[0]) / 1e9 if received else 0.0,
            'wall_s': (self.arrivals_ns[-1] - self.arrivals_ns[0]) / 1e9 if received else 0.0,
            'player': self.player,
        }


def main(topic: str) -> None:
    """Listen to a topic."""
    environment.keep_on_loopback()
    environment.prepare()
    codecs.compile_kernels()
    sum_columns(Events.empty())
    receiver, thread, context = Receiver(), SubscriptionThread(), Context()
    context.init()
    subscriptions = thread.subscribe(
        rclpy.create_node('receiver', context=context),
        (
            (EventPacket, topic, receiver.take_packet, qos.EVENTS),
            (DiagnosticArray, '/diagnostics', receiver.take_diagnostics, qos.RESULTS),
        ),
        receiver.fail,
    )
    sys.stdin.read()
    while time.monotonic_ns() - (receiver.arrivals_ns or [0])[-1] < _QUIET_NS:
        time.sleep(0.1)
    thread.unsubscribe(subscriptions)
    thread.close()
    context.try_shutdown()
    print(json.dumps(receiver.report()))


if __name__ == '__main__':
    main(sys.argv[1])
