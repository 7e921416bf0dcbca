"""Playback: publish the messages of a bag at the times at which they were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from microexpr_ros.bags.byte_queue import ByteQueue
from microexpr_ros.bags.contents import BagContents, Message, require_topic
from microexpr_ros.bags.damage import Damage
from microexpr_ros.bags.pacing import Lateness, Pacer
from microexpr_ros.bags.reading import read_messages
from microexpr_ros.errors import MicroexprError
from microexpr_ros.threads import start_thread

READ_AHEAD_BYTES: Final = 32 * 1024 * 1024
READ_AHEAD_NS: Final = 2_000_000_000
"""Recorded time that is read ahead at most, at the speed of the recording or below."""

_ROUND_BYTES: Final = READ_AHEAD_BYTES // 2
"""Size that the end of a round counts as, so that of a short loop only one round is read ahead."""

_FILL_S: Final = 0.5
"""Longest time to read ahead before the first message."""

LONGEST_PAUSE_NS: Final = 86_400_000_000_000
"""A longer pause between two messages, a day, is not waited for: times before it were zeroed, or a
clock was set."""

_SHORTEST_ROUND_NS: Final = 1_000_000
"""Shortest round of a loop: a bag with one message must not keep a processor busy."""


@dataclass(frozen=True, slots=True)
class PlaybackOptions:
    """Which part of a bag is played, and how often.

    Attributes:
        topics: topics to play.
        start_offset_ns: time from the start of the bag to where playback begins.
        duration_ns: recorded time to play; 0 for all.
        loop: whether to begin again at the end.
        delay_ns: time to wait before each round.
        clock_hz: how often per second the recorded time is published; 0 for never.
    """

    topics: Sequence[str]
    start_offset_ns: int = 0
    duration_ns: int = 0
    loop: bool = False
    delay_ns: int = 0
    clock_hz: float = 0.0


class Playback:
    """Plays a part of a bag.

    A thread reads ahead, so that neither disk nor decompression delays a message. Without a
    delay, the next round of a loop begins when the last one ends.

    Attributes:
        pacer: changes rate, pauses and steps.
        lateness: how late messages were.
        played_ns: recorded time of the last message.
        damage: damaged places of the bag that were met so far, which cannot be played.
        pauses_skipped: pauses of over LONGEST_PAUSE_NS that were not waited for.
    """

    def __init__(self, bag: BagContents, options: PlaybackOptions, pacer: Pacer) -> None:
        """Prepare to play.

        Raises:
            MicroexprError: No topic is given, one is not in the bag, or the part begins behind the
                end of the bag.
        """
        if not options.topics:
            raise MicroexprError(f'{bag.path} has no topic that can be played: choose another bag')
        for topic in options.topics:
            require_topic(bag, topic)
        self._begin_ns = bag.start_ns + options.start_offset_ns
        if self._begin_ns > bag.end_ns:
            raise MicroexprError(
                f'start offset {options.start_offset_ns / 1e9:g} s is behind the end of '
                f'{bag.path}: give at most the {(bag.end_ns - bag.start_ns) / 1e9:g} s of the bag'
            )
        self._end_ns = bag.end_ns
        if options.duration_ns:
            self._end_ns = min(self._end_ns, self._begin_ns + options.duration_ns)
        self._path = bag.path
        self._options = options
        self._next_tick_ns = self._begin_ns
        self._queue: ByteQueue[_Item] = ByteQueue(READ_AHEAD_BYTES)
        self.pacer = pacer
        self.lateness = Lateness()
        self.played_ns = self._begin_ns
        self.damage = Damage()
        self.pauses_skipped = 0

    def run(
        self, publish: Callable[[Message], None], publish_clock: Callable[[int], None]
    ) -> None:
        """Play until the end or until it is stopped; to be called once.

        Args:
            publish: Called with each message.
            publish_clock: Called with the recorded time, `clock_hz` times a second.

        Raises:
            MicroexprError: The bag cannot be read.
        """
        start_thread('read ahead', self._read_ahead)
        try:
            self._queue.wait_filled(_FILL_S)
            item = self._queue.get()
            # Only now, since opening the bag and reading ahead take time of their own.
            self.pacer.begin(self._begin_ns - self._delay_ns)
            while item is not None and self._play(item, publish, publish_clock):
                item = self._queue.get()
        finally:
            # The reading thread ends when it next adds a message to the closed queue.
            self._queue.close()

    def stop(self) -> None:
        """Let `run` return."""
        self.pacer.stop()
        self._queue.close()

    @property
    def _delay_ns(self) -> int:
        """The delay as recorded time, which runs at the rate."""
        return round(self._options.delay_ns * self.pacer.rate)

    def _play(
        self, item: _Item, publish: Callable[[Message], None], publish_clock: Callable[[int], None]
    ) -> bool:
        """Wait until the item is due and publish it; return whether to go on."""
        if isinstance(item, Exception):
            raise item
        if isinstance(item, _RoundEnd):
            if not self._options.loop:
                return self._wait(self._end_ns, publish_clock) is not None
            round_ns = max(self._end_ns - self._begin_ns, _SHORTEST_ROUND_NS)
            if self._wait(self._begin_ns + round_ns, publish_clock) is None:
                return False
            self.pacer.rewind(round_ns + self._delay_ns)
            self._next_tick_ns = self.played_ns = self._begin_ns
            return True
        if item.time_ns - self.played_ns > LONGEST_PAUSE_NS:
            self.pauses_skipped += 1
            self.pacer.skip_to(item.time_ns)
            self._next_tick_ns = item.time_ns
        late_ns = self._wait(item.time_ns, publish_clock, ends_step=True)
        if late_ns is None:
            return False
        self.lateness.add(late_ns)
        publish(item)
        self.played_ns = item.time_ns
        return True

    def _wait(
        self, until_ns: int, publish_clock: Callable[[int], None], ends_step: bool = False
    ) -> int | None:
        """Wait for a recorded time; publish the clock's times until then."""
        while self._options.clock_hz and self._next_tick_ns <= until_ns:
            if self.pacer.wait_until(self._next_tick_ns) is None:
                return None
            publish_clock(self._next_tick_ns)
            self._next_tick_ns += max(round(1e9 * self.pacer.rate / self._options.clock_hz), 1)
        return self.pacer.wait_until(until_ns, ends_step)

    def _read_ahead(self) -> None:
        newest_ns = self._begin_ns
        try:
            for item in self._rounds():
                size = _ROUND_BYTES
                if isinstance(item, Message):
                    # As a share of the time, too: of slow recordings, little is enough.
                    share = (item.time_ns - newest_ns) / READ_AHEAD_NS / max(self.pacer.rate, 1)
                    newest_ns = item.time_ns
                    size = max(len(item.cdr), round(min(share, 1) * READ_AHEAD_BYTES))
                if not self._queue.put(item, size, wait=True):
                    return
        except Exception as error:
            self._queue.put(error, 1, wait=True)
        self._queue.close()

    def _rounds(self) -> Iterator[_Item]:
        while True:
            for message in read_messages(
                self._path, self._options.topics, self._begin_ns, self.damage
            ):
                if message.time_ns > self._end_ns:
                    break
                yield message
            yield _RoundEnd()
            if not self._options.loop:
                return


class _RoundEnd:
    """Marks the end of the part that is played."""


_Item: TypeAlias = Message | Exception | _RoundEnd
