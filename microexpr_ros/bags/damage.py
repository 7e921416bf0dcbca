"""What cannot be read of a bag: counted and named, while everything else is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DamagedPlace:
    """A part of a bag's file that cannot be read.

    Attributes:
        file: name of the file.
        offset: where in the file it begins, in bytes.
        reason: what is wrong with it.
        messages: number of messages in it; None if that is not known.
    """

    file: str
    offset: int
    reason: str
    messages: int | None = None

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

    def add(self, place: DamagedPlace) -> None:
        """Count a place, unless it was counted before."""
        self._places.setdefault((place.file, place.offset), place)
