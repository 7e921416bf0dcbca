"""Parts of the work for the jobs of a batch system."""

from __future__ import annotations

from dataclasses import dataclass

from microexpr_ros.errors import MicroexprError


@dataclass(frozen=True, slots=True)
class Share:
    """One of several parts of the work, which are as equal as possible.

    Attributes:
        part: number of this part, from 1.
        of: number of parts.
    """

    part: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """Return the share that a text such as 2/3 names.

        Example:
            >>> Share.parse('2/3')
            Share(part=2, of=3)

        Raises:
            MicroexprError: The text is not part/parts, counted from 1.
        """
        part, _, of = text.partition('/')
        if not (part.isdecimal() and of.isdecimal() and 1 <= int(part) <= int(of)):
            raise MicroexprError(
                f'--shard {text!r} is not a part of parts: give for example 1/3, 2/3 or 3/3'
            )
        return cls(int(part), int(of))

    def has(self, number: int) -> bool:
        """Return whether a piece of work, counted from 0, is in this part."""
        return number % self.of == self.part - 1
