"""Writing events to files of several formats, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.writers.csv import CsvWriter
from microexpr_ros.events.writers.evreal import EvrealWriter
from microexpr_ros.events.writers.npz import NpzWriter
from microexpr_ros.events.writers.raw import RawWriter
from microexpr_ros.events.writers.writer import EventWriter

__all__ = ['BAG', 'EVREAL', 'FORMATS', 'EventWriter', 'choose_format', 'make_writer']

BAG: Final = 'bag'
"""The format of a folder, which `bags` writes."""

EVREAL: Final = 'evreal'
"""The format of a folder of arrays, for evaluations of reconstructions."""

_FOLDERS: Final = (BAG, EVREAL)

_SUFFIXES: Final = {
    'raw': ('.raw',),
    'dsec': ('.h5', '.hdf5'),
    'metavision': ('.hdf5', '.h5'),
    'npz': ('.npz',),
    'csv': ('.csv',),
}
"""Names that a file of a format may have, that of which it is the default first."""

_READ_ONLY: Final = ('.aedat4', '.bag', '.dat', '.db3', '.mcap', '.npy')

FORMATS: Final = (*_FOLDERS, *_SUFFIXES)


def choose_format(target: Path, given: str | None = None) -> str:
    """Return the format to write: the given one of FORMATS, or that of the target's name.

    Raises:
        MicroexprError: The format is unknown, or the name is one of another format.

    Example:
        >>> [choose_format(Path(name)) for name in ('a.raw', 'a.h5', 'a.hdf5', 'a')]
        ['raw', 'dsec', 'metavision', 'bag']
    """
    if given is not None and given not in FORMATS:
        raise MicroexprError(f'unknown format {given!r}: choose one of {", ".join(FORMATS)}')
    suffix = target.suffix.lower()
    named = next((name for name, known in _SUFFIXES.items() if suffix == known[0]), BAG)
    chosen = named if given is None else given
    if suffix in _READ_ONLY or (chosen in _FOLDERS and named != BAG):
        names = ', '.join(f'NAME{known[0]}' for known in _SUFFIXES.values())
        raise MicroexprError(
            f'{target} cannot be written as {target.suffix}: give {names}, or a name without '
            'suffix for a bag folder or one of --to evreal'
        )
    if chosen not in _FOLDERS and suffix not in _SUFFIXES[chosen]:
        raise MicroexprError(
            f'{target} is not the name of a file of the format {chosen}: give one that ends in '
            f'{" or ".join(_SUFFIXES[chosen])}'
        )
    return chosen


def make_writer(name: str, path: Path, height: int, width: int, epoch_ns: int = 0) -> EventWriter:
    """Return the writer of a new file of one of FORMATS but BAG; close it at the end.

    Args:
        name: Format.
        path: The file.
        height: Rows of the sensor.
        width: Columns of the sensor.
        epoch_ns: Host time at sensor time 0, 0 if it is not known.

    Raises:
        MicroexprError: The format has no room for such a sensor.
    """
    made: dict[str, Callable[[Path, int, int, int], EventWriter]]
    made = {'raw': RawWriter, 'npz': NpzWriter, 'csv': CsvWriter, EVREAL: EvrealWriter}
    if name not in made:
        # h5py is only loaded for its files.
        from microexpr_ros.events.writers.hdf5 import DsecWriter, MetavisionWriter

        made = {'dsec': DsecWriter, 'metavision': MetavisionWriter}
    return made[name](path, height, width, epoch_ns)
