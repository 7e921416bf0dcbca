"""Which numbers persons have: no person of one use is ever seen in another."""

from __future__ import annotations

from typing import Final

PERSONS: Final = 1_000_000
"""Persons, and skins, of each use."""

FIRST_PERSON: Final = {
    'train': 0,
    'val': 1_000_000,
    'test': 2_000_000,
    'stream': 3_000_000,
    'shift': 4_000_000,
    'calm': 5_000_000,
    'live': 6_000_000,
    'rest': 7_000_000,
}
"""A data set's split, the long takes of `sensors.streaming`, or the simulated camera, to its first
person and skin."""
