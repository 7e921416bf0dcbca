"""How far a bag was read, so that reading can go on there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

Item = TypeVar('Item')


@dataclass(slots=True)
class MessagePlace:
    """Counts the messages that were read, in the order of their receive times.

    Attributes:
        messages: how many.
        time_ns: receive time of the last one; None before the first.
        at_time: how many of them have that time.
        is_ordered: whether no time was before an earlier one. Files of a bag may overlap.

    Example:
        >>> place = MessagePlace()
        >>> for time_ns in (10, 20, 20):
        ...     place.add(time_ns)
        >>> stored = [10, 20, 20, 20, 30]
        >>> list(place.read_on(lambda start_ns: (t for t in stored if t >= (start_ns or 0))))
        [20, 30]
    """

    messages: int = 0
    time_ns: int | None = None
    at_time: int = 0
    is_ordered: bool = True

    def add(self, time_ns: int) -> None:
        """Count the next message."""
        self.messages += 1
        if self.time_ns is not None and time_ns < self.time_ns:
            self.is_ordered = False
        self.at_time = self.at_time + 1 if time_ns == self.time_ns else 1
        self.time_ns = time_ns

    def read_on(self, read: Callable[[int | None], Iterator[Item]]) -> Iterator[Item]:
        """Return the messages that follow, without reading those of before where times allow it.

        Args:
            read: reads messages from a receive time on; None for all.
        """
        if self.is_ordered and self.time_ns is not None:
            return islice(read(self.time_ns), self.at_time, None)
        return islice(read(None), self.messages, None)
