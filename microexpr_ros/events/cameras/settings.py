"""How a camera is set up, in the words of the ROS event-camera drivers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.packets import PACKET_NS
from microexpr_ros.events.region import Region

TRIGGER_MODES: Final = ('disabled', 'external')
"""Modes of the trigger input."""


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """Which camera, and how it is set up. Settings that a camera lacks are refused, not ignored.

    Attributes:
        serial: serial number; empty for the first camera found.
        biases: value by name; the names are the camera's own.
        roi: the only part of the sensor that sends events, None for all of it.
        trigger_in_mode: one of TRIGGER_MODES.
        interval_ns: longest time between two deliveries of data, where the camera can be set.
    """

    serial: str = ''
    biases: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    roi: Region | None = None
    trigger_in_mode: str = 'disabled'
    interval_ns: int = PACKET_NS

    def __post_init__(self) -> None:
        if self.trigger_in_mode not in TRIGGER_MODES:
            raise MicroexprError(
                f'trigger_in_mode {self.trigger_in_mode!r}: choose one of '
                f'{", ".join(TRIGGER_MODES)}'
            )


def parse_roi(numbers: Sequence[int]) -> Region | None:
    """Return a region given as x, y, width and height; None if there are no numbers.

    Raises:
        MicroexprError: There are more or fewer numbers, or they are not a rectangle on a sensor.
    """
    if not numbers:
        return None
    if len(numbers) != 4 or min(numbers[:2]) < 0 or min(numbers[2:]) < 1:
        raise MicroexprError(
            f'roi {list(numbers)}: give [x, y, width, height] in pixels of the sensor'
        )
    return Region(*numbers)


def parse_biases(texts: Iterable[str]) -> dict[str, int]:
    """Return biases given as NAME=VALUE.

    Raises:
        MicroexprError: A text is not of that form.

    Example:
        >>> parse_biases(['diff_on=20', 'fo = -5'])
        {'diff_on': 20, 'fo': -5}
    """
    biases = {}
    for text in texts:
        name, _, value = text.partition('=')
        biases[name.strip()] = _to_value(value, f'bias {text!r}: give NAME=VALUE')
    return biases


def read_bias_file(path: Path) -> dict[str, int]:
    """Read a .bias file, which has a line `VALUE % NAME` for each bias.

    Raises:
        MicroexprError: The file cannot be read or is not of that form.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MicroexprError(f'bias_file {path} cannot be read: {error}') from None
    biases = {}
    for line in filter(str.strip, lines):
        value, _, name = line.partition('%')
        if not name.strip():
            raise MicroexprError(f'bias_file {path}: line {line!r} is not VALUE % NAME')
        # Files of the vendor prefix the names of the registers with bias_.
        name = name.strip().removeprefix('bias_')
        biases[name] = _to_value(value, f'bias_file {path}: line {line!r} is not VALUE % NAME')
    return biases


def require_biases(
    biases: Mapping[str, int], bounds: Mapping[str, tuple[int, int]], model: str
) -> None:
    """Refuse biases that a camera does not have, and values out of range.

    Args:
        biases: Value by name.
        bounds: Lowest and highest value of each bias that the camera has.
        model: The camera, for the message.

    Raises:
        MicroexprError: A bias is unknown or out of range.
    """
    for name, value in biases.items():
        if name not in bounds:
            raise MicroexprError(
                f'{model} has no bias {name}; it has {", ".join(bounds) or "none"}'
            )
        low, high = bounds[name]
        if not low <= value <= high:
            raise MicroexprError(f'bias {name} = {value}: {model} takes {low} to {high}')


def require_roi(roi: Region, height: int, width: int) -> None:
    """Refuse a region that reaches over the sensor's edge.

    Raises:
        MicroexprError: The region reaches over the edge.
    """
    if roi.x + roi.width > width or roi.y + roi.height > height:
        raise MicroexprError(
            f'roi {[roi.x, roi.y, roi.width, roi.height]} reaches over the edge of the sensor, '
            f'which has {width} x {height} pixels'
        )


def _to_value(text: str, complaint: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise MicroexprError(complaint) from None
