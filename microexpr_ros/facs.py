"""Action Units of the Facial Action Coding System, and what an expression is: kind and length.

Source: Ekman, Friesen and Hager, Facial Action Coding System (2002).
"""

from enum import IntEnum
from typing import Final

NAMES: Final[dict[int, str]] = {
    1: 'inner brow raiser',
    2: 'outer brow raiser',
    4: 'brow lowerer',
    5: 'upper lid raiser',
    6: 'cheek raiser',
    7: 'lid tightener',
    9: 'nose wrinkler',
    10: 'upper lip raiser',
    12: 'lip corner puller',
    14: 'dimpler',
    15: 'lip corner depressor',
    17: 'chin raiser',
    18: 'lip pucker',
    20: 'lip stretcher',
    24: 'lip pressor',
    25: 'lips part',
    26: 'jaw drop',
    45: 'blink',
}
"""FACS code to FACS name, for every unit that the package knows."""

CODES: Final[tuple[int, ...]] = tuple(NAMES)
"""The units in the order of every array of units in this package."""

BLINK: Final = 45
"""The unit that closes the lids in a blink."""

OPENING: Final = frozenset({25, 26})
"""The units that open the mouth in a syllable."""

SPEECH: Final = OPENING | {10, 17, 18, 20, 24}
"""The units that speech moves: they open the mouth and shape the lips."""

PRESENT: Final = 0.05
"""Intensity from which a unit counts as present in the ground truth."""

MICRO_NS: Final = 500_000_000
"""Duration from which an expression is no longer a micro-expression (Yan et al., 2013)."""


class ExpressionKind(IntEnum):
    """What an expression is, as in the message MicroExpression."""

    EXPRESSION = 0
    BLINK = 1
    SPEECH = 2


def is_micro(duration_ns: int) -> bool:
    """Return whether an expression of this duration, onset to offset, is a micro-expression."""
    return duration_ns < MICRO_NS
