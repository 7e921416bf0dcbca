"""Node `player`: publishes a rosbag2 on its topics, at any pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rosgraph_msgs.msg import Clock as ClockMessage

from microexpr_ros import bags
from microexpr_ros.bags.pacing import Pacer
from microexpr_ros.bags.playback import Playback
from microexpr_ros.errors import MicroexprError
from microexpr_ros.msg import ActionUnitArray
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import SECOND_NS, to_time
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Lag, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.playback import (
    BagPublishers,
    PlayerParameters,
    choose_topics,
    to_options,
    warn_of_unplayed,
)
from microexpr_ros.ros.process import run_node

WAITING = 'waiting for subscribers'
WAITING_FOR_NODES = 'waiting for nodes'
PLAYING = 'playing'
PAUSED = 'paused'
ENDED = 'the bag has ended'
STOPPED = 'stopped'

LINGER_S = 1.2
"""From the last estimate to the end of the process: every node publishes its diagnosis once a
second."""

MOST_LINGER_S = 60.0
"""From the end of the bag to the end of the process at most, if another source feeds the nodes."""


class PlayerNode(MicroexprNode[PlayerParameters]):
    """Publish the serialized messages of a bag without decoding them.

    Services `~/pause`, `~/resume`, `~/toggle_paused` and `~/play_next` are named as those of
    rosbag2's player.
    """

    name = 'player'
    Parameters = PlayerParameters
    playback: Playback | None = None
    """What is played; None until the node is configured."""

    def configure(self) -> None:
        """Open the bag and advertise its topics."""
        given = self.parameters
        if not given.bag:
            raise MicroexprError('parameter bag is empty; set it to a rosbag2 to play')
        self._bag = bag = bags.read_contents(given.bag)
        warn_of_unplayed(self, bag)
        names = given.topics or choose_topics(self, bag, skip_clock=given.clock_hz > 0)
        self._part = to_options(given, names)
        self._prepare()
        self._topics_out = BagPublishers(self, bag, names)
        if given.clock_hz:
            self._clock_publisher = self.advertise(ClockMessage, topics.CLOCK, qos.RESULTS)

    def _prepare(self) -> Playback:
        self._published, self._event_packets, self._frames = Rate(), 0, 0
        self._lag, self._state = Lag(), WAITING
        self._places_logged = 0
        self._places_lock = threading.Lock()
        pacer = Pacer(self.parameters.rate, self.parameters.start_paused)
        self.playback = Playback(self._bag, self._part, pacer)
        return self.playback

    def activate(self) -> None:
        """Begin to play."""
        playback = self._prepare()
        pacer = playback.pacer
        self._offer('pause', lambda: pacer.change(paused=True))
        self._offer('resume', lambda: pacer.change(paused=False))
        self._offer('toggle_paused', pacer.toggle)
        self._offer('play_next', pacer.step)
        self.on_teardown(self._topics_out.end)
        self.start_thread(lambda: self._play(playback))
        self.on_teardown(playback.stop)

    def _offer(self, name: str, action: Callable[[], bool | None]) -> None:
        self.service(f'~/{name}', lambda: (action() is not False, self.state))

    @property
    def state(self) -> str:
        """What the player is doing, in a few words."""
        paused = self.playback is not None and self.playback.pacer.paused
        return PAUSED if self._state == PLAYING and paused else self._state

    def _play(self, playback: Playback) -> None:
        try:
            self._wait_for_consumers()
            self._log_unsubscribed()
            self._state = PLAYING
            playback.run(self._publish, self._publish_clock)
        except MicroexprError as error:
            self.fail(error)
        if self.stopping.is_set():
            self._state = STOPPED
            return
        self._state = ENDED
        if not self.failed:
            self._report_end(playback)
        self._wait_for_estimates()
        if self.parameters.shutdown_at_end and not self.stopping.is_set():
            self.context.try_shutdown()

    def _wait_for_consumers(self) -> None:
        names = self.parameters.wait_for_nodes
        if names:
            self._state = WAITING_FOR_NODES
            self._topics_out.wait_for_nodes(names, self.stopping)
        else:
            self._topics_out.wait_for_subscribers(
                self.parameters.wait_for_subscribers_s, self.stopping
            )

    def _wait_for_estimates(self) -> None:
        """Wait until no estimate has come for a while: that of the last packet is out then."""
        began_s = newest_s = time.monotonic()

        def take(message: ActionUnitArray, _: int) -> None:
            nonlocal newest_s
            if message.state != ActionUnitArray.STALE:
                newest_s = time.monotonic()

        # Only now: the classifier makes no messages while nobody subscribes.
        estimates = self.subscription_thread.subscribe(
            self, [(ActionUnitArray, topics.ACTION_UNITS, take, qos.RESULTS)], self.fail
        )
        while time.monotonic() < min(newest_s + LINGER_S, began_s + MOST_LINGER_S):
            if self.stopping.wait(0.05):
                break
        self.subscription_thread.unsubscribe(estimates)

    def _publish(self, message: bags.Message) -> None:
        self._topics_out.publish(message)
        self._published.add()
        self._event_packets += message.type == bags.EVENT_PACKET
        self._frames += message.type == bags.IMAGE
        assert self.playback is not None, 'a message is published by the playback'
        if self._lag.add(self.playback.lateness.last_ns, time.monotonic_ns()):
            self._report_lag()

    def _report_lag(self) -> None:
        if self._lag.is_behind:
            self.get_logger().warning(self._explain_lag())
        else:
            self.get_logger().info(f'in time again after {self._lag.lasted_ns / 1e9:.1f} s')
        self.publish_diagnosis_soon()

    def _explain_lag(self) -> str:
        return (
            f'falling behind: the bag is played at {self._lag.factor:.2f} of the rate asked for, '
            f'{self._lag.excess_ns / 1e9:.1f} s late'
        )

    def _publish_clock(self, time_ns: int) -> None:
        self._clock_publisher.publish(ClockMessage(clock=to_time(time_ns)))

    def _log_unsubscribed(self) -> None:
        unsubscribed = self._topics_out.find_unsubscribed()
        if not unsubscribed or self.stopping.is_set():
            return
        logger, text = self.get_logger(), f'nobody subscribes to {", ".join(unsubscribed)}'
        if self._topics_out.has_subscribers:
            logger.info(text)
        else:
            logger.warning(f'{text}: remap the topics to those that the nodes read')

    def _warn_of_damage(self) -> int:
        """Log the damaged places that were met since the last time; return how many there are."""
        assert self.playback is not None, 'to be called once the node is configured'
        # Diagnostics and the thread that plays may find a place at the same time.
        with self._places_lock:
            places = list(self.playback.damage)
            new, self._places_logged = places[self._places_logged :], len(places)
        for place in new:
            self.get_logger().warning(f'not played: {place}')
        return len(places)

    def _report_end(self, playback: Playback) -> None:
        self._warn_of_damage()
        late_ms = playback.lateness.summary()['late_p99_ms']
        self.get_logger().info(
            f'the bag has ended: {self._published.total} messages, 99 % of them at '
            f'most {late_ms:g} ms late'
        )
        if playback.pauses_skipped:
            self.get_logger().warning(
                f'{playback.pauses_skipped} pauses of over a day were skipped: the times before '
                'them were zeroed when the bag was written, or a clock was set'
            )
        for topic, number in self._topics_out.undelivered.items():
            self.get_logger().warning(f'{number} messages of {topic} had no subscriber')
        if self.parameters.clock_hz:
            # A little more time, so that the last slices end.
            self._publish_clock(playback.played_ns + SECOND_NS // 10)

    def summary(self) -> dict[str, Any]:
        """Return what was played so far, and how late, as JSON takes it."""
        assert self.playback is not None, 'to be called once the node is configured'
        return {
            'bag': str(self._bag.path),
            'rate': round(self.playback.pacer.rate, 2),
            'played_s': round((self.playback.played_ns - self._bag.start_ns) / SECOND_NS, 3),
            'messages': self._published.total,
            'event_packets': self._event_packets,
            'frames': self._frames,
            'undelivered': sum(self._topics_out.undelivered.values()),
            'damaged_places': len(self.playback.damage),
            'messages_damaged': self.playback.damage.messages,
            'pauses_skipped': self.playback.pauses_skipped,
            **self.playback.lateness.summary(),
        }

    def diagnose(self) -> Diagnosis:
        """Return how far the player is, whether it keeps up, and whether anybody subscribes."""
        unsubscribed = ', '.join(self._topics_out.find_unsubscribed())
        level, message = OK, self.state
        lost = self._warn_of_damage()
        if message == PLAYING and not self._topics_out.has_subscribers:
            level, message = WARN, f'nobody subscribes to {unsubscribed}'
        elif message in (WAITING, WAITING_FOR_NODES):
            level = WARN
            inactive = self._topics_out.find_inactive(self.parameters.wait_for_nodes)
            message = f'{message}: {", ".join(inactive) or unsubscribed or "they have just come"}'
        elif lost or self._bag.unlisted:
            level, message = WARN, f'{message}; a part of the bag is not played'
        diagnosis = Diagnosis(
            level,
            message,
            {
                **self.summary(),
                'messages_hz': round(self._published.hz(), 1),
                'topics_without_subscribers': unsubscribed,
                **self._lag.values(),
                'files_not_in_metadata': len(self._bag.unlisted),
            },
        )
        return diagnosis.with_problem(self._explain_lag()) if self._lag.is_behind else diagnosis


def main() -> None:
    """Run the node."""
    run_node(PlayerNode)


if __name__ == '__main__':
    main()
