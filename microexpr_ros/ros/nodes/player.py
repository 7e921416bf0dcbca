"""Node `player`: a rosbag2 back onto its topics, at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import Trigger

from microexpr_ros import bags
from microexpr_ros.bags.pacing import RATES, Pacer
from microexpr_ros.bags.playback import Playback, PlaybackOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import SECOND_NS, message_type, to_time
from microexpr_ros.ros.diagnostics import Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.recorded_qos import adapt_offer

WAITING = 'waiting for subscribers'
PLAYING = 'playing'
ENDED = 'the bag has ended'
STOPPED = 'stopped'

SETTLE_S = 0.5
"""From seeing a subscriber to the first message: it sees the player a little later, and what is
best effort is lost until then."""


@dataclass(frozen=True)
class PlayerParameters(NodeParameters):
    """Parameters of the player."""

    bag: str = parameter('', 'rosbag2 folder, or a lone .mcap or .db3 file')
    rate: float = parameter(
        1.0, 'speed; 1 is that of the recording', minimum=RATES[0], maximum=RATES[1]
    )
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
    delay_s: float = parameter(
        0.0, 'wait this long before each round, in s', minimum=0.0, maximum=1e6
    )
    start_paused: bool = parameter(False, 'begin with a pause')
    wait_for_subscribers_s: float = parameter(
        5.0,
        'begin when every topic has a subscriber, or after this long, in s',
        minimum=0.0,
        maximum=600.0,
    )
    shutdown_at_end: bool = parameter(True, 'end the process when the bag ends')


class PlayerNode(MicroexprNode):
    """Publish the serialized messages of a bag without decoding them.

    Services `~/pause`, `~/resume`, `~/toggle_paused` and `~/play_next` are named as those of
    rosbag2's player.
    """

    name = 'player'
    Parameters: ClassVar[type[NodeParameters]] = PlayerParameters
    playback: Playback | None = None
    """What is played; None until the node is configured."""

    def configure(self) -> None:
        """Open the bag and advertise its topics."""
        values = self.parameters
        if not values.bag:
            raise MicroexprError('parameter bag is empty; set it to a rosbag2 to play')
        bag = bags.read_contents(values.bag)
        if not bag.complete:
            self.get_logger().warning(f'{bag.path} was not ended; what is there is played')
        known = {topic.name: topic for topic in bag.topics}
        names = list(values.topics) or self._playable(bag)
        self._options = PlaybackOptions(
            topics=names,
            start_offset_ns=round(values.start_offset_s * SECOND_NS),
            duration_ns=round(values.playback_duration_s * SECOND_NS),
            loop=values.loop,
            delay_ns=round(values.delay_s * SECOND_NS),
            clock_hz=values.clock_hz,
        )
        self._bag = bag
        self._prepare()
        self._out = {}
        for name in names:
            kind = known[name].type
            profile = {bags.EVENT_PACKET: qos.EVENTS, bags.IMAGE: qos.FRAMES}.get(kind, qos.SLICES)
            profile = adapt_offer(known[name].offered_qos, profile)
            self._out[name] = self.advertise(message_type(kind), name, profile)
        if values.clock_hz:
            self._clock_out = self.advertise(ClockMessage, '/clock', qos.RESULTS)

    def _prepare(self) -> None:
        self._published, self._event_packets, self._state = Rate(), 0, WAITING
        pacer = Pacer(self.parameters.rate, self.parameters.start_paused)
        self.playback = Playback(self._bag, self._options, pacer)

    def _playable(self, bag: bags.BagContents) -> list[str]:
        """Return the topics to play when none are named; say which are left out."""
        topics = []
        for topic in bag.topics:
            if topic.name == '/clock' and self.parameters.clock_hz:
                continue  # The player makes its own.
            try:
                message_type(topic.type)
            except MicroexprError as error:
                self.get_logger().warning(f'{topic.name} is not played: {error}')
            else:
                topics.append(topic.name)
        return topics

    def activate(self) -> None:
        """Begin to play."""
        self._prepare()
        pacer = self.playback.pacer
        self._offer('pause', lambda: pacer.change(paused=True))
        self._offer('resume', lambda: pacer.change(paused=False))
        self._offer('toggle_paused', pacer.toggle)
        self._offer('play_next', pacer.step)
        self.stream(self._play)
        self._teardown.append(self.playback.stop)

    def _offer(self, name: str, action: Callable[[], bool | None]) -> None:
        """Offer a service until the node is deactivated."""

        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            response.success = action() is not False
            response.message = self.state
            return response

        service = self.create_service(Trigger, f'~/{name}', answer)
        self._teardown.append(lambda: self.destroy_service(service))

    @property
    def state(self) -> str:
        """What the player does, in a word or a few."""
        return 'paused' if self._state == PLAYING and self.playback.pacer.paused else self._state

    def _play(self) -> None:
        try:
            self._wait_for_subscribers()
            self._state = PLAYING
            self.playback.run(self._publish, self._tell)
        except MicroexprError as error:
            self._report(error)
            self.failed = True
        self._state = STOPPED if self.stopping.is_set() else ENDED
        if not self.stopping.is_set():
            if not self.failed:
                late_ms = self.playback.lateness.summary()['late_p99_ms']
                self.get_logger().info(
                    f'the bag has ended: {self._published.total} messages, 99 % of them at most '
                    f'{late_ms:g} ms late'
                )
                if self.parameters.clock_hz:
                    # A little more time, so that the last slices end.
                    self._tell(self.playback.played_ns + SECOND_NS // 10)
            # The last packets are still on their way, and everybody tells once a second how
            # it went.
            self.stopping.wait(1.5)
            if self.parameters.shutdown_at_end and not self.stopping.is_set():
                self.context.try_shutdown()

    def _publish(self, message: bags.Message) -> None:
        self._out[message.topic].publish(message.cdr)
        self._published.add()
        self._event_packets += message.type == bags.EVENT_PACKET

    def _tell(self, time_ns: int) -> None:
        self._clock_out.publish(ClockMessage(clock=to_time(time_ns)))

    def _wait_for_subscribers(self) -> None:
        """Let discovery finish, so that the first messages are heard."""
        until_s = time.monotonic() + self.parameters.wait_for_subscribers_s
        while time.monotonic() < until_s and not all(
            publisher.get_subscription_count() for publisher in self._out.values()
        ):
            if self.stopping.wait(0.05):
                return
        self.stopping.wait(SETTLE_S)

    def summary(self) -> dict[str, Any]:
        """Return what was played so far, and how late."""
        return {
            'bag': str(self._bag.path),
            'rate': round(self.playback.pacer.rate, 2),
            'played_s': round((self.playback.played_ns - self._bag.start_ns) / SECOND_NS, 3),
            'messages': self._published.total,
            'event_packets': self._event_packets,
            **self.playback.lateness.summary(),
        }

    def diagnose(self) -> Diagnosis:
        """Tell how far the player is and whether it keeps up."""
        hz = round(self._published.hz(), 1)
        return Diagnosis(message=self.state, values={**self.summary(), 'messages_hz': hz})


def main() -> None:
    """Run the node."""
    run(PlayerNode)


if __name__ == '__main__':
    main()
