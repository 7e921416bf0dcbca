"""NEFER: persons who watch videos that are to move them, with an event camera and a GoPro.

Layout, labels and users of the splits: README and `annotations/` of github.com/miccunifi/NEFER.
Files of events are found by their name, as neither their folders nor their format are documented.
Units by emotion: prototypes as of Friesen and Ekman, EMFACS-7, 1983, as far as the package has
their units; 16 and 23 it has not. They are weak labels of units: nobody has coded these faces, and
a person who felt something need not have shown it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from microexpr_ros.events.files import open_recording
from microexpr_ros.learning.datasets.labelled import (
    EXPRESSION,
    Dataset,
    LabelledRecording,
    LayoutError,
)

_PROTOTYPES: Final[dict[str, frozenset[int]]] = {
    'Happiness': frozenset({6, 12}),
    'Sadness': frozenset({1, 4, 15}),
    'Surprise': frozenset({1, 2, 5, 26}),
    'Fear': frozenset({1, 2, 4, 5, 7, 20, 26}),
    'Anger': frozenset({4, 5, 7}),
    'Disgust': frozenset({9, 15}),
    'Contempt': frozenset({12, 14}),
    'None': frozenset(),
}
"""Label of a recording to the units that it makes likely."""

_FILES: Final = {'train': 'train_event_subjective', 'test': 'validation_event_subjective'}
_SUFFIX: Final = '_cd'
_EVENTS: Final = ('.raw', '.dat', '.hdf5', '.h5', '.npy', '.npz', '.aedat4')


def _read(path: Path, split: str) -> list[LabelledRecording]:
    labels = {other: _read_labels(path, other) for other in _FILES}
    shared = {user for user, _ in labels['train']} & {user for user, _ in labels['test']}
    if shared:
        raise LayoutError(f'{", ".join(sorted(shared))} is in both splits')
    files = _find_files(path)
    found = [
        LabelledRecording(name, user, partial(open_recording, file), EXPRESSION, units)
        for (user, name), units in labels[split].items()
        for file in [files.get(name) or files.get(name.removesuffix(_SUFFIX))]
        if file is not None
    ]
    if not found:
        raise LayoutError(f'event_raw has no recording that annotations name for {split}')
    return found


def _read_labels(path: Path, split: str) -> dict[tuple[str, str], frozenset[int]]:
    """Return the units of each recording, by user and name; the file has a line per frame."""
    file = path / 'annotations' / 'reported_emotions' / f'{_FILES[split]}.csv'
    return dict(_read_lines(file))


def _read_lines(file: Path) -> Iterator[tuple[tuple[str, str], frozenset[int]]]:
    try:
        with file.open(newline='') as lines:
            for row in csv.reader(lines):
                if len(row) != 4 or row[3] not in _PROTOTYPES:
                    raise LayoutError(f'{file.name} has the line {",".join(row)!r}')
                yield (row[0], row[1]), _PROTOTYPES[row[3]]
    except (OSError, UnicodeDecodeError) as error:
        raise LayoutError(f'{file.name} cannot be read') from error


def _find_files(path: Path) -> dict[str, Path]:
    files = sorted((path / 'event_raw').rglob('*'))
    return {file.stem: file for file in files if file.suffix.lower() in _EVENTS}


NEFER: Final = Dataset(
    name='nefer',
    title='NEFER (Berlincioni et al., Neuromorphic Event-based Facial Expression Recognition, '
    'CVPRW 2023)',
    access='download it from the Google Drive folder that https://github.com/miccunifi/NEFER '
    'names, no form is needed',
    layout='event_raw/ and annotations/reported_emotions/train_event_subjective.csv and '
    'validation_event_subjective.csv',
    labels='units that are likely by EMFACS-like prototypes of what the person reported: weak '
    'labels, no coding',
    units=tuple(sorted(frozenset().union(*_PROTOTYPES.values()))),
    splits=('train', 'test'),
    protocol='the publishers, by user: 20 to train, 6 to validate, which are test here',
    read=_read,
)
