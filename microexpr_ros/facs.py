"""Action Units of the Facial Action Coding System, and when an expression is micro.

Source: Ekman, Friesen and Hager, Facial Action Coding System (2002).
"""

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

PRESENT: Final = 0.05
"""Intensity from which a unit counts as present in the ground truth."""

MICRO_NS: Final = 500_000_000
"""Duration from which an expression is no longer a micro-expression (Yan et al., 2013)."""


def is_micro(duration_ns: int) -> bool:
    """Return whether an expression of this duration, onset to offset, is a micro-expression."""
    return duration_ns < MICRO_NS
