"""How a report names methods and writes numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

NOTHING: Final = '–'

METHODS: Final[dict[str, str]] = {
    'events': 'spiking network, events',
    'fusion': 'events and RGB',
    'rgb': 'the same network, RGB at 30 fps',
    'mediapipe': 'MediaPipe blendshapes, RGB',
    'twin': 'not spiking twin (conv + GRU)',
    'linear': 'linear, events per region',
    'time_shuffled': 'trained on slices in random order',
    'memoryless': 'trained to forget every slice',
    'events_time_shuffled': 'same weights, slices in random order',
    'events_memoryless': 'same weights, forgetting every slice',
    'majority': 'commonest label of training',
    'always_positive': 'every unit always',
    'chance': 'uniform guess',
}
"""Methods in the order of tables."""


def methods(report: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return key, name and scores of the methods of a report; unknown ones come last."""
    rows: dict[str, dict[str, Any]] = report['methods']
    order = [key for key in METHODS if key in rows] + sorted(rows.keys() - METHODS.keys())
    return [(key, METHODS.get(key, key), rows[key]) for key in order]


def percent(value: float | None) -> str:
    """Write a share.

    Example:
        >>> percent(0.2291), percent(None)
        ('22.9 %', '–')
    """
    return NOTHING if value is None else f'{100 * value:.1f} %'


def points(value: float | None) -> str:
    """Write a difference of shares, in points of a hundred.

    Example:
        >>> points(0.146), points(-0.02)
        ('14.6 points', '-2.0 points')
    """
    return NOTHING if value is None else f'{100 * value:.1f} points'


def fraction(value: float | None) -> str:
    """Write a score between 0 and 1."""
    return NOTHING if value is None else f'{value:.3f}'


def number(value: float | None, unit: str = '') -> str:
    """Write a number of any size with three digits.

    Example:
        >>> number(1234567, '/s'), number(81.97, 'ms'), number(0.51)
        ('1.23 M/s', '82 ms', '0.51')
    """
    if value is None:
        return NOTHING
    size, prefix = next(
        (pair for pair in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')) if abs(value) >= pair[0]), (1, '')
    )
    return f'{value / size:.3g} {prefix}{unit}'.rstrip()


def between(interval: Sequence[float | None] | None, write: Callable[[float | None], str]) -> str:
    """Write the bounds of an interval; nothing if it is unknown."""
    if interval is None or None in interval:
        return ''
    return ' to '.join(map(write, interval))
