"""FES, Faces in Event Streams: faces in a laboratory and outside, with boxes and five landmarks.

Layout: README and `preprocessing/` of github.com/IS2AI/faces-in-event-streams. Boxes and landmarks
are read from the XML of CVAT, 30 frames a second, and from the arrays `NAME_bbox.npy` of the
Metavision SDK, times in us. A recording is tied to its labels by its name alone, because where
each lies is not documented.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.files import open_recording
from microexpr_ros.learning.datasets.labelled import (
    FACE,
    Dataset,
    FaceLabels,
    LabelledRecording,
    LayoutError,
)

_FRAME_HZ: Final = 30
_LANDMARKS: Final = 5
_ARRAY_SUFFIX: Final = '_bbox'
_WILD: Final = 'wild'

_Row = tuple[float, NDArray[np.float64], NDArray[np.float64]]
"""Time in s, box and landmarks of one face."""


def _read(path: Path, split: str) -> list[LabelledRecording]:
    labels: dict[str, list[Path]] = {}
    for file in sorted([*path.rglob('*.xml'), *path.rglob(f'*{_ARRAY_SUFFIX}.npy')]):
        labels.setdefault(file.stem.removesuffix(_ARRAY_SUFFIX), []).append(file)
    recordings = sorted(file for file in path.rglob('*.raw') if file.stem in labels)
    if not recordings:
        if any(path.rglob('*.h5')):
            raise LayoutError(
                'its .h5 files are prepared for training with the Metavision SDK, whose layout is '
                'not documented: the raw recordings are needed'
            )
        raise LayoutError('there is no NAME.raw with NAME.xml or NAME_bbox.npy')
    return [
        LabelledRecording(
            file.stem,
            _find_person(file.relative_to(path)),
            partial(open_recording, file),
            FACE,
            faces=_read_labels(labels[file.stem]),
        )
        for file in recordings
    ]


def _find_person(file: Path) -> str:
    """Return the subject of a recording; those outside are named by their scene."""
    subject, separator, _ = file.stem.rpartition('_')
    return subject if separator and _WILD not in file.parts else ''


def _read_labels(files: list[Path]) -> FaceLabels:
    """Return the faces of one recording, whose files may hold boxes or landmarks or both."""
    rows = [row for file in files for row in _read_rows(file)]
    boxes = [(time_s, box) for time_s, box, _ in rows if not np.isnan(box).any()]
    points: defaultdict[float, list[NDArray[np.float64]]] = defaultdict(list)
    for time_s, _, found in rows:
        if not np.isnan(found).any():
            points[time_s].append(found)
    landmarks = [_find_landmarks(box, points[time_s]) for time_s, box in boxes]
    return FaceLabels(
        np.array([time_s for time_s, _ in boxes], np.float64),
        np.array([box for _, box in boxes], np.float64).reshape(-1, 4),
        np.array(landmarks, np.float64).reshape(-1, _LANDMARKS, 2),
    )


def _read_rows(file: Path) -> list[_Row]:
    try:
        return _read_array(file) if file.suffix == '.npy' else _read_xml(file)
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        raise LayoutError(f'{file} cannot be read: {error}') from error


def _find_landmarks(
    box: NDArray[np.float64], candidates: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the landmarks whose centre is in a box; nan without any."""
    for points in candidates:
        centre = points.mean(axis=0)
        if ((centre >= box[:2]) & (centre <= box[:2] + box[2:])).all():
            return points
    return np.full((_LANDMARKS, 2), np.nan)


def _read_xml(file: Path) -> list[_Row]:
    rows = []
    for track in ElementTree.parse(file).getroot().iter('track'):
        for shape in track:
            if shape.get('outside', '0') != '0':
                continue
            time_s = int(shape.attrib['frame']) / _FRAME_HZ
            box, points = np.full(4, np.nan), np.full((_LANDMARKS, 2), np.nan)
            if shape.tag == 'box':
                left, top, right, bottom = (
                    float(shape.attrib[name]) for name in ('xtl', 'ytl', 'xbr', 'ybr')
                )
                box = np.array([left, top, right - left, bottom - top])
            elif shape.tag == 'points':
                numbers = [float(number) for number in re.split('[,;]', shape.attrib['points'])]
                points = np.array(numbers).reshape(_LANDMARKS, 2)
            rows.append((time_s, box, points))
    return rows


def _read_array(file: Path) -> list[_Row]:
    table: NDArray[Any] = np.load(file)
    names = table.dtype.names or ()
    if not {'t', 'x', 'y', 'w', 'h'} <= set(names):
        raise ValueError(f'its fields are {", ".join(names) or "none"}, not t, x, y, w and h')
    times = table['t'] / 1e6
    boxes = np.stack([table[name] for name in ('x', 'y', 'w', 'h')], axis=1).astype(np.float64)
    points = np.full((len(table), _LANDMARKS, 2), np.nan)
    if {'x0', 'y4'} <= set(names):
        for number in range(_LANDMARKS):
            points[:, number] = np.stack([table[f'x{number}'], table[f'y{number}']], axis=1)
    return list(zip(times.tolist(), boxes, points, strict=True))


FES: Final = Dataset(
    name='fes',
    title='FES (Bissarinova et al., Faces in Event Streams: An Annotated Face Dataset for Event '
    'Cameras, Sensors 2024)',
    access='download its raw part from '
    'https://huggingface.co/datasets/issai/Faces_in_Event_Streams, no form is needed',
    layout='NAME.raw and, anywhere, NAME.xml of CVAT or NAME_bbox.npy',
    labels='boxes and five landmarks of faces: they score the face region, and no units',
    units=(),
    splits=('test',),
    protocol='all recordings, as nothing is trained on them; of those in the laboratory the name '
    'up to the last _ is the subject',
    read=_read,
)
