"""Recordings: files of events in any of several formats, read in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from microexpr_ros import bags
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files.arrays import ArrayRecording
from microexpr_ros.events.files.columns import NS_OF_UNIT
from microexpr_ros.events.files.dat import DatRecording
from microexpr_ros.events.files.packets import open_rosbag2
from microexpr_ros.events.files.raw import RawRecording
from microexpr_ros.events.files.recording import Position, Recording

__all__ = [
    'KNOWN_FORMATS',
    'NS_OF_UNIT',
    'Position',
    'Recording',
    'find_topics',
    'open_recording',
    'parse_sensor',
]

KNOWN_FORMATS: Final = (
    'Prophesee .raw (EVT2, EVT2.1, EVT3, EVT4) and .dat, iniVation .aedat4, .h5 or .hdf5 '
    '(Metavision, DSEC, MVSEC, v2e), .npy, .npz, rosbag2 (folder, .mcap or .db3), ROS 1 .bag'
)

_HDF5_SUFFIXES: Final = ('.h5', '.hdf5')


def open_recording(
    path: Path | str,
    *,
    time_unit: str | None = None,
    sensor: tuple[int, int] | None = None,
    topic: str | None = None,
) -> Recording:
    """Open a recording of any of KNOWN_FORMATS.

    Args:
        path: A file, or a rosbag2 folder. Arrays are structured with fields t, x, y and p, or
            [N, 4] with these columns; an .npz holds one such array, or four of these names.
        time_unit: Unit of the times of arrays and columns: s, us or ns. Needed unless the
            format says, or they have fractions, which only seconds have.
        sensor: Columns and rows of the sensor. Needed where the file does not say.
        topic: Topic of a bag, if it has more than one of events.

    Raises:
        MicroexprError: The file cannot be read, its format is not known, or something that
            it does not say must be given.
    """
    path = Path(path)
    if not path.exists():
        raise MicroexprError(f'there is no recording {path}: check the path')
    if bags.is_bag(path):
        return open_rosbag2(path, sensor, topic)
    if path.is_dir():
        raise MicroexprError(f'the folder {path} is not a recording: give one of {KNOWN_FORMATS}')
    if path.stat().st_size == 0:
        raise MicroexprError(f'{path} is empty: copy or record it again')
    suffix = path.suffix.lower()
    if suffix == '.raw':
        return RawRecording(path, sensor)
    if suffix == '.dat':
        return DatRecording(path, sensor)
    if suffix in ('.npy', '.npz'):
        return ArrayRecording(path, sensor, time_unit)
    # The remaining formats load a library each, which is imported only for its files.
    if _is_ros1(path):
        from microexpr_ros.events.files.ros1 import open_ros1

        return open_ros1(path, sensor, topic)
    if suffix == '.aedat4':
        from microexpr_ros.events.files.aedat4 import Aedat4Recording

        return Aedat4Recording(path, sensor)
    if suffix in _HDF5_SUFFIXES:
        with _needing_library(path):
            from microexpr_ros.events.files.hdf5 import Hdf5Recording
        return Hdf5Recording(path, sensor, time_unit)
    raise MicroexprError(f'{path} is of an unknown format: give one of {KNOWN_FORMATS}')


def find_topics(path: Path) -> list[str]:
    """Return the topics of events of a ROS 1 bag, sorted; other files have none.

    Raises:
        MicroexprError: The bag cannot be read.
    """
    if not path.is_file() or not _is_ros1(path):
        return []
    from microexpr_ros.events.files.ros1 import find_ros1_topics

    return find_ros1_topics(path)


def _is_ros1(path: Path) -> bool:
    return path.name.lower().endswith(('.bag', '.bag.active'))


def parse_sensor(text: str) -> tuple[int, int]:
    """Return the columns and rows of a sensor size such as 640x480.

    Raises:
        MicroexprError: The text is not a size.

    Example:
        >>> parse_sensor('640x480')
        (640, 480)
    """
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise MicroexprError(f'{text!r} is not a sensor size: give WIDTHxHEIGHT, such as 640x480')
    return int(match[1]), int(match[2])


@contextmanager
def _needing_library(path: Path) -> Iterator[None]:
    """Turn a missing library into a MicroexprError that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MicroexprError(
            f'{path} needs a library that is not installed: pip install {error.name}'
        ) from error
