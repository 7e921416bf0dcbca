"""FACEMORPHIC: persons who make one Action Unit after the other, with an event and an RGB camera.

Layout and split: `facemorphic.py` and `facemorphic_dataset.py` of
github.com/lcultrera/Facemorphic_PI, the code of its authors. The data had not been published when
this was written, so no file of it has been read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from microexpr_ros.events.files import open_recording
from microexpr_ros.facs import CODES
from microexpr_ros.learning.datasets.labelled import (
    EXPRESSION,
    HEAD,
    SPEECH,
    Dataset,
    LabelledRecording,
    LayoutError,
)

_ACTION: Final = re.compile(r'AU_(\d+|READING)')
_HEAD_CODES: Final = range(51, 57)
_TIME: Final = re.compile(r'(\d\d:\d\d:\d\d\.\d{6})')
_TRAINED_SHARE: Final = 0.8


def _read(path: Path, split: str) -> list[LabelledRecording]:
    root = path / 'recordings' if (path / 'recordings').is_dir() else path
    users = sorted((user for user in root.iterdir() if user.is_dir()), reverse=True)
    first = int(_TRAINED_SHARE * len(users))
    chosen = users[:first] if split == 'train' else users[first:]
    found = [recording for user in chosen for recording in _read_user(user)]
    if not found:
        raise LayoutError(f'there is no USER/AU_*/event_*.raw of the split {split}')
    return found


def _read_user(user: Path) -> Iterator[LabelledRecording]:
    for folder in sorted(user.iterdir()):
        match = _ACTION.fullmatch(folder.name)
        if match is None:
            continue
        shows, units = _classify(match[1])
        if shows is None:
            continue
        for file in sorted(folder.glob('event_*.raw')):
            yield LabelledRecording(
                f'{user.name}/{folder.name}/{file.stem}',
                user.name,
                partial(open_recording, file),
                shows,
                units,
                _read_interval(file) if units else None,
            )


def _classify(action: str) -> tuple[str | None, frozenset[int]]:
    """Return what an action shows, and its units; None for a unit that the package does not know.

    Unit 43, eyes that stay closed, is not a blink, and 27 opens the mouth wider than 26 does.
    """
    if action == 'READING':
        return SPEECH, frozenset()
    if int(action) in _HEAD_CODES:
        return HEAD, frozenset()
    return (EXPRESSION, frozenset({int(action)})) if int(action) in CODES else (None, frozenset())


def _read_interval(file: Path) -> tuple[float, float] | None:
    """Return where the unit moves, s since the begin of the events; None where it is not said.

    An annotation counts frames of the RGB camera, whose files have their times of day in their
    names. The first frame ends the first frame's time after the events begin.
    """
    annotation = file.with_name(file.stem.replace('event_', 'event_frames_')) / 'annotation.json'
    frames = file.with_name(file.stem.replace('event_', 'frames_'))
    if not annotation.is_file() or not frames.is_dir():
        return None
    names = sorted(frames.glob('*.jpg'), key=lambda frame: int(frame.stem.split('_')[1]))
    times = [_TIME.search(frame.name) for frame in names]
    try:
        content = json.loads(annotation.read_text())
        start, end = int(content['start']), int(content['end'])
        clock = [datetime.strptime(match[1], '%H:%M:%S.%f') for match in times if match]
        seconds = np.array([(one - clock[0]).total_seconds() for one in clock])
        period = float(np.diff(seconds).mean())
        # An end may lie after the last frame.
        last = min(end, len(seconds)) - 1
        if not 0 <= start <= last:
            return None
        return float(seconds[start]), float(seconds[last]) + period
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise LayoutError(f'{annotation} cannot be read: {error}') from error


FACEMORPHIC: Final = Dataset(
    name='facemorphic',
    title='FACEMORPHIC (Becattini et al., Neuromorphic Facial Analysis with Cross-Modal '
    'Supervision, ECCVW 2024)',
    access='it had not been published when this was written: ask its authors '
    '(https://arxiv.org/abs/2409.10213)',
    layout='USER/AU_NUMBER/event_K.raw, with event_frames_K/annotation.json and frames_K/*.jpg '
    'beside it, as in https://github.com/lcultrera/Facemorphic_PI',
    labels='the Action Unit that the person was asked to make; 23, 27 and 43, which the package '
    'does not know, are left out; 51 to 56 move the head, and reading is speech',
    units=(1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 24, 25, 26, 45),
    splits=('train', 'test'),
    protocol="its authors' code, by user: the first 80 % of the names in falling order to train",
    read=_read,
)
