"""Quality of service that users set: parameters `qos_overrides.TOPIC.publisher.depth` and so on.

rclpy's `QoSOverridingOptions` has the same parameters, but declares them read-only and for good:
a lifecycle node, whose topics come and go, could not be configured again with other ones. It also
accepts names and values that mean nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, Final

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from microexpr_ros.errors import MicroexprError

PREFIX: Final = 'qos_overrides.'
"""What the names of these parameters begin with."""

PUBLISHER: Final = 'publisher'
SUBSCRIPTION: Final = 'subscription'

MAX_DEPTH: Final = 1_000_000

CHOICES: Final[dict[str, dict[str, IntEnum]]] = {
    'reliability': {
        'reliable': ReliabilityPolicy.RELIABLE,
        'best_effort': ReliabilityPolicy.BEST_EFFORT,
    },
    'durability': {
        'volatile': DurabilityPolicy.VOLATILE,
        'transient_local': DurabilityPolicy.TRANSIENT_LOCAL,
    },
    'history': {
        'keep_last': HistoryPolicy.KEEP_LAST,
        'keep_all': HistoryPolicy.KEEP_ALL,
    },
}
"""Policies that are words, and their values."""

POLICIES: Final = (*CHOICES, 'depth')


class QosOverrides:
    """The overrides of one node, which are applied as its topics are made.

    Args:
        given: values by the name of the parameter; other names than these are ignored.
        made: topics, each with its side, that were made before.

    Raises:
        MicroexprError: a name or a value has no meaning.

    Example:
        >>> given = {'qos_overrides./images.publisher.depth': 9}
        >>> QosOverrides(given).apply('/images', 'publisher', QoSProfile(depth=1)).depth
        9
    """

    def __init__(self, given: Mapping[str, Any], made: Iterable[tuple[str, str]] = ()) -> None:
        self._by_end: dict[tuple[str, str], dict[str, Any]] = {}
        for name, value in given.items():
            if name.startswith(PREFIX):
                topic, side, policy = _split(name)
                values = self._by_end.setdefault((topic, side), {})
                values[policy] = _parse(name, policy, value)
        self._made = set(made)

    def apply(self, topic: str, side: str, profile: QoSProfile) -> QoSProfile:
        """Return a profile with the overrides of a topic.

        Args:
            topic: full name, after remapping.
            side: PUBLISHER or SUBSCRIPTION.
            profile: what holds where nothing is overridden; it is not changed.
        """
        self._made.add((topic, side))
        changed = copy.copy(profile)
        for policy, value in self._by_end.get((topic, side), {}).items():
            setattr(changed, policy, value)
        return changed

    def require_made(self) -> None:
        """Refuse overrides of topics that have not been made.

        Raises:
            MicroexprError: there is such an override.
        """
        unknown = sorted(set(self._by_end) - self._made)
        if unknown:
            known = ', '.join(f'{topic}.{side}' for topic, side in sorted(self._made))
            raise MicroexprError(
                f'unknown parameter {PREFIX}{".".join(unknown[0])}: the node has {known}'
            )


def _split(name: str) -> tuple[str, str, str]:
    parts = name.removeprefix(PREFIX).rsplit('.', 2)
    if len(parts) != 3 or parts[1] not in (PUBLISHER, SUBSCRIPTION) or parts[2] not in POLICIES:
        raise MicroexprError(
            f'unknown parameter {name}; give {PREFIX}/TOPIC.{PUBLISHER}.POLICY or '
            f'.{SUBSCRIPTION}.POLICY, where POLICY is one of {", ".join(POLICIES)}'
        )
    topic, side, policy = parts
    if not topic.startswith('/'):
        raise MicroexprError(
            f'parameter {name}: {topic!r} is not a full name of a topic; begin with a slash and '
            'the namespace'
        )
    return topic, side, policy


def _parse(name: str, policy: str, value: object) -> object:
    if policy == 'depth':
        # bool is an int to Python.
        if type(value) is not int or not 1 <= value <= MAX_DEPTH:
            raise MicroexprError(f'parameter {name} = {value!r}: give 1 to {MAX_DEPTH}')
        return value
    choices = CHOICES[policy]
    if not isinstance(value, str) or value not in choices:
        raise MicroexprError(f'parameter {name} = {value!r}: choose one of {", ".join(choices)}')
    return choices[value]
