"""Recordings of real faces with labels, whoever published them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import Recording

EXPRESSION: Final = 'expression'
SPEECH: Final = 'speech'
HEAD: Final = 'head'
FACE: Final = 'face'
"""What a recording shows: an expression, someone who speaks, a head that moves, or any face."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceLabels:
    """Where faces are, face by face and moment by moment.

    Attributes:
        time_s: float64 [N], s since the begin of the recording; one moment may come several times.
        boxes: float64 [N, 4], first column and row, width and height, px.
        landmarks: float64 [N, 5, 2], columns and rows, px; nan where they are not labelled.
    """

    time_s: NDArray[np.float64]
    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledRecording:
    """A recording and what its publishers say about it.

    Attributes:
        name: names it in messages.
        person: whom it shows; empty where that is not published.
        open: opens the events.
        shows: EXPRESSION, SPEECH, HEAD or FACE.
        units: FACS numbers of the units that the label means, out of `facs.CODES`.
        interval_s: where they move, s since the begin of the recording; None for anywhere.
        faces: where the faces are, if that is labelled.
    """

    name: str
    person: str
    open: Callable[[], Recording]
    shows: str
    units: frozenset[int] = frozenset()
    interval_s: tuple[float, float] | None = None
    faces: FaceLabels | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A published data set.

    Attributes:
        name: as it is given on the command line.
        title: its name and its publication.
        access: how to get it.
        layout: the files that are read.
        labels: what its labels say about units, and by which source.
        units: units that are scored.
        splits: names of the splits.
        protocol: who is in which split.
        read: lists the recordings of a split in a folder.
    """

    name: str
    title: str
    access: str
    layout: str
    labels: str
    units: tuple[int, ...]
    splits: tuple[str, ...]
    protocol: str
    read: Callable[[Path, str], Sequence[LabelledRecording]]


class LayoutError(Exception):
    """A folder is not laid out as a data set is; the message says what is missing."""


def read_dataset(dataset: Dataset, path: Path, split: str) -> Sequence[LabelledRecording]:
    """Return the recordings of a split.

    Raises:
        MicroexprError: The folder is missing or does not hold the data set, or the split does not
            exist.
    """
    if split not in dataset.splits:
        raise MicroexprError(
            f'--split {split!r} is not one of {dataset.name}: choose {", ".join(dataset.splits)}'
        )
    if not path.is_dir():
        raise MicroexprError(
            f'the folder {path} does not exist: {dataset.access}; then give its folder'
        )
    try:
        recordings = dataset.read(path, split)
    except LayoutError as error:
        raise MicroexprError(
            f'{path} does not hold {dataset.name}: {error}; it must hold {dataset.layout} '
            f'({dataset.access})'
        ) from error
    return recordings


def spread(recordings: Sequence[LabelledRecording], limit: int) -> list[LabelledRecording]:
    """Return at most so many recordings, spread evenly over all.

    Example:
        >>> spread(['a', 'b', 'c', 'd', 'e', 'f'], 3)
        ['a', 'c', 'e']
    """
    count = min(limit, len(recordings))
    return [recordings[number * len(recordings) // count] for number in range(count)]
