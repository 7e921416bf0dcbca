"""Definitions of the message types that a bag may hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from microexpr_ros.errors import MicroexprError


@dataclass(frozen=True, slots=True)
class Definition:
    """Definition of a message type, stored in a bag for readers that do not know the type.

    Attributes:
        text: definition in the ros2msg format, with those of all types in it.
        digest: RIHS01 hash of the type.
    """

    text: str
    digest: str


@cache
def typestore() -> Typestore:
    """Return the types of ROS 2 Jazzy, of EventPacket and of this package's messages.

    Raises:
        MicroexprError: The definitions of the messages are not installed.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for package in ('event_camera_msgs', 'microexpr_ros'):
        types = {}
        for file in sorted(_find_definitions(package).glob('*.msg')):
            types.update(get_types_from_msg(file.read_text('utf-8'), f'{package}/msg/{file.stem}'))
        store.register(types)
    return store


@cache
def define(type_name: str) -> Definition:
    """Return the definition of a type of `typestore()`, or of an installed package.

    Example:
        >>> define('event_camera_msgs/msg/EventPacket').digest[:15]
        'RIHS01_d6fa1762'

    Raises:
        MicroexprError: The type is not installed.
    """
    store = typestore()
    types: dict[str, Any] = {}
    missing = [type_name]
    while missing:
        name = missing.pop()
        if name not in store.types and name not in types:
            types.update(get_types_from_msg(_read_definition(name), name))
            missing += _parts(types[name])
    store.register(types)
    text, _ = store.generate_msgdef(type_name, ros_version=2)
    return Definition(text, store.hash_rihs01(type_name))


def is_as_defined(type_name: str, text: str) -> bool:
    """Return whether a definition that a bag holds has the fields that the type has today.

    Args:
        type_name: a type of `typestore()`, or of an installed package.
        text: definition in the ros2msg format, with those of all types in it.

    Raises:
        MicroexprError: The type is not installed.
    """
    recorded = get_typestore(Stores.EMPTY)
    recorded.register(get_types_from_msg(text, type_name))
    return bool(recorded.hash_rihs01(type_name) == define(type_name).digest)


def is_defined(type_name: str) -> bool:
    """Return whether a type can be written: one of this package, of ROS 2 Jazzy, or installed."""
    try:
        define(type_name)
    except MicroexprError:
        return False
    return True


def _parts(definition: Any) -> Iterator[str]:
    """Yield the message types of a definition's fields, which rosbags nests in tuples."""
    if isinstance(definition, tuple | list):
        for part in definition:
            yield from _parts(part)
    elif isinstance(definition, str) and '/msg/' in definition:
        yield definition


def _read_definition(name: str) -> str:
    package, _, kind = name.partition('/msg/')
    file = _find_definitions(package) / f'{kind}.msg'
    if not file.is_file():
        raise MicroexprError(f'message type {name} is not installed: install its package')
    return file.read_text('utf-8')


def _find_definitions(package: str) -> Path:
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    candidates = [Path(prefix, 'share', package, 'msg') for prefix in prefixes if prefix]
    repository = Path(__file__).resolve().parents[2]
    own = 'msg' if package == 'microexpr_ros' else f'interfaces/{package}/msg'
    candidates.append(repository / own)
    for folder in candidates:
        if any(folder.glob('*.msg')):
            return folder
    raise MicroexprError(
        f'the messages of {package} are not in any of {", ".join(map(str, candidates))}: '
        'build the workspace and source it'
    )
