"""What cannot be read of a bag: counted and named, while everything else is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DamagedPlace:
    """A part of a bag's file that cannot be read.

    Attributes:
        file: name of the file.
        offset: where in the file it begins, in bytes.
        reason: what is wrong with it.
        counts: number of messages in it by topic, '' where the topic is not known; None if their
            number is not known.
    """

    file: str
    offset: int
    reason: str
    counts: Mapping[str, int] | None = None

    @property
    def messages(self) -> int | None:
        """Number of messages in it; None if that is not known."""
        return None if self.counts is None else sum(self.counts.values())

    def __str__(self) -> str:
        count = 'an unknown number of' if self.messages is None else str(self.messages)
        noun = 'message' if self.messages == 1 else 'messages'
        return f'{self.file} at byte {self.offset}: {self.reason}; {count} {noun} lost'


class Damage:
    """The damaged places that were met while a bag was read.

    A place that is met again, by another reader or in the next round of a loop, counts once.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], DamagedPlace] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[DamagedPlace]:
        # A copy: another thread may read the bag meanwhile.
        return iter(list(self._places.values()))

    @property
    def messages(self) -> int:
        """Messages lost, without those of places where their number is not known."""
        return sum(place.messages or 0 for place in self)

    def count(self, topics: Collection[str]) -> int:
        """Return how many messages of some topics were lost, as far as that is known."""
        return sum(
            number
            for place in self
            for topic, number in (place.counts or {}).items()
            if topic in topics
        )

    def add(self, place: DamagedPlace) -> None:
        """Count a place, unless it was counted before."""
        self._places.setdefault((place.file, place.offset), place)
