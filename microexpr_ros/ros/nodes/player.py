"""Node `player`: a rosbag2 back onto its topics, at its own pace."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rosgraph_msgs.msg import Clock as ClockMessage

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import bags
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import message_type, to_time
from microexpr_ros.ros.diagnostics import Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter


@dataclass(frozen=True)
class PlayerParameters(NodeParameters):
    """Parameters of the player."""

    bag: str = parameter('', 'rosbag2 folder, or a lone .mcap or .db3 file')
    rate: float = parameter(1.0, 'speed; 1 is that of the recording', minimum=0.01, maximum=100.0)
    loop: bool = parameter(False, 'begin again at the end')
    topics: tuple[str, ...] = parameter((), 'play these topics only; empty: all', element=str)
    clock_hz: float = parameter(
        10.0,
        'publish /clock at this rate for nodes with use_sim_time; 0: not at all',
        minimum=0.0,
        maximum=1000.0,
    )
    start_offset_s: float = parameter(
        0.0, 'begin this long after the start of the bag, in s', minimum=0.0, maximum=1e6
    )
    playback_duration_s: float = parameter(
        0.0, 'play this much of the bag, in s; 0: to its end', minimum=0.0, maximum=1e9
    )
    wait_for_subscribers_s: float = parameter(
        5.0,
        'begin when every topic has a subscriber, or after this long, in s',
        minimum=0.0,
        maximum=600.0,
    )
    shutdown_at_end: bool = parameter(True, 'end the process when the bag ends')


class PlayerNode(MicroexprNode):
    """Publish the serialized messages of a bag without decoding them."""

    name = 'player'
    Parameters: ClassVar[type[NodeParameters]] = PlayerParameters

    def configure(self) -> None:
        """Open the bag and advertise its topics."""
        if not self.parameters.bag:
            raise MicroexprError('parameter bag is empty; set it to a rosbag2 to play')
        self._path = Path(self.parameters.bag)
        self._bag = bags.describe(self._path)
        known = {topic.name: topic.type for topic in self._bag.topics}
        missing = [name for name in self.parameters.topics if name not in known]
        if missing:
            raise MicroexprError(
                f'bag {self._path} has no topic {", ".join(missing)}; it has {", ".join(known)}'
            )
        self._topics = list(self.parameters.topics) or self._playable(known)
        self._out = {}
        for topic in self._topics:
            kind = known[topic]
            profile = {bags.EVENT_PACKET: qos.EVENTS, bags.IMAGE: qos.FRAMES}.get(kind, qos.SLICES)
            self._out[topic] = self.advertise(message_type(kind), topic, profile)
        hz = self.parameters.clock_hz
        self._clock_ns = round(1e9 / hz) if hz else 0
        if self._clock_ns:
            self._clock_out = self.advertise(ClockMessage, '/clock', qos.RESULTS)

    def _playable(self, known: dict[str, str]) -> list[str]:
        """Return the topics to play when none are named; say which are left out."""
        topics = []
        for topic, kind in known.items():
            if topic == '/clock' and self.parameters.clock_hz:
                continue  # The player makes its own.
            try:
                message_type(kind)
            except MicroexprError as error:
                self.get_logger().warning(f'{topic} is not played: {error}')
            else:
                topics.append(topic)
        return topics

    def activate(self) -> None:
        """Begin to play."""
        self._published, self._event_packets = Rate(), 0
        self._late_ns, self._played_ns, self._finished = 0, 0, False
        self.stream(self._play)

    def _play(self) -> None:
        try:
            self._wait_for_subscribers()
            while not self.stopping.is_set():
                self._play_once()
                if not self.parameters.loop:
                    break
        except MicroexprError as error:
            self._report(error)
            self.failed = True
        self._finished = True
        if not self.stopping.is_set():
            if not self.failed:
                self.get_logger().info('the bag has ended')
                self._let_time_pass()
            # The last packets are still on their way, and everybody tells once a second how
            # it went.
            self.stopping.wait(1.5)
            if self.parameters.shutdown_at_end and not self.stopping.is_set():
                self.context.try_shutdown()

    def _let_time_pass(self) -> None:
        """Tell the clock on a little, so that the last slices end."""
        if self._clock_ns and self._played_ns:
            self._clock_out.publish(ClockMessage(clock=to_time(self._played_ns + 100_000_000)))

    def _wait_for_subscribers(self) -> None:
        """Let discovery finish, so that the first messages are heard."""
        until_s = time.monotonic() + self.parameters.wait_for_subscribers_s
        while time.monotonic() < until_s and not all(
            publisher.get_subscription_count() for publisher in self._out.values()
        ):
            if self.stopping.wait(0.05):
                return
        self.stopping.wait(0.2)

    def _play_once(self) -> None:
        """Publish the bag once, each message when its time has come."""
        rate = self.parameters.rate
        begin_ns = self._bag.start_ns + round(self.parameters.start_offset_s * 1e9)
        began_ns: int | None = None
        next_clock_ns = begin_ns
        duration_ns = round(self.parameters.playback_duration_s * 1e9)
        for message in bags.read_messages(self._path, tuple(self._topics), begin_ns):
            if duration_ns and message.time_ns > begin_ns + duration_ns:
                return
            if began_ns is None:
                # Opening the bag takes time that the recording did not.
                began_ns = time.monotonic_ns()
            while True:
                until_ns = (
                    min(message.time_ns, next_clock_ns) if self._clock_ns else message.time_ns
                )
                ahead_ns = (until_ns - begin_ns) / rate - (time.monotonic_ns() - began_ns)
                if ahead_ns > 0 and self.stopping.wait(ahead_ns / 1e9):
                    return
                if not self._clock_ns or next_clock_ns > message.time_ns:
                    break
                self._clock_out.publish(ClockMessage(clock=to_time(next_clock_ns)))
                next_clock_ns += self._clock_ns
            self._late_ns = max(self._late_ns, round(-ahead_ns))
            self._out[message.topic].publish(message.cdr)
            self._played_ns = message.time_ns
            self._published.add()
            self._event_packets += message.type == bags.EVENT_PACKET

    def diagnose(self) -> Diagnosis:
        """Tell how far the player is and whether it keeps up."""
        return Diagnosis(
            message='the bag has ended' if self._finished else 'playing',
            values={
                'bag': str(self._path),
                'messages_hz': round(self._published.hz(), 1),
                'messages': self._published.total,
                'event_packets': self._event_packets,
                'most_late_ms': round(self._late_ns / 1e6, 1),
            },
        )


def main() -> None:
    """Run the node."""
    run(PlayerNode)


if __name__ == '__main__':
    main()
