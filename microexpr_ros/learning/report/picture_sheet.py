"""Sheets of reconstructed pictures beside what they were made from, or what was to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target, explain_write_errors
from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.story_pictures import ALONE, FRAME, StoryPicture
from microexpr_ros.learning.training.fixed_examples import find_examples
from microexpr_ros.learning.training.intervals import predict_with_intervals
from microexpr_ros.learning.training.reconstruction import ReconstructionExample, changed_since
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

COLUMNS: Final = ('frame', 'reconstruction', 'interval', 'truth')
"""What each row shows, from left to right; the interval is half its width, 8 times as bright."""

STORY_ROWS: Final = ('truth', FRAME, ALONE)
"""What the rows of a story show: a frame, what was painted with an earlier one, and without."""

SHEET_AGES: Final = (3, 10)
"""Ages of the frames, slices: at least the first, less than the second."""

_BRIGHTER: Final = 8.0
_GAP: Final = 4
_ENLARGED: Final = 2


def write_sheet(
    path: Path,
    reconstructor: Reconstructor,
    clips: Sequence[SparseClip],
    light: str = 'dim',
    sensor: str = 'davis346',
    rows: int = 6,
) -> None:
    """Write a PNG of pictures in one light: those of the clips that changed most since the frame.

    Args:
        path: file to write.
        reconstructor: with its network.
        clips: to choose from; a row shows each person at most once.
        light: kind of light.
        sensor: kind of event sensor.
        rows: most rows.

    Raises:
        MicroexprError: no clip has this light and sensor, or the file cannot be written.
    """
    chosen = _choose([s for s in clips if s.clip.light == light and s.clip.sensor == sensor], rows)
    if not chosen:
        raise MicroexprError(f'no clip in {light} light by a {sensor} has a frame to start from')
    images, intervals = predict_with_intervals(reconstructor, chosen)
    lines = []
    for example, image, interval in zip(chosen, images, intervals, strict=True):
        assert example.frame is not None
        cells = (
            example.sparse.clip.frames[example.frame],
            255 * image,
            _BRIGHTER * 255 * interval,
            example.target,
        )
        lines.append(_row([np.clip(cell, 0, 255).astype(np.uint8) for cell in cells]))
    _write(path, np.concatenate(lines)[:-_GAP])


class StorySheet:
    """Pictures of the first stories: of each the frames, and below them what the chain painted.

    Args:
        stories: how many are shown.
        columns: instants of each.
    """

    def __init__(self, stories: int = 3, columns: int = 6) -> None:
        self._stories, self._columns = stories, columns
        self._lines: list[NDArray[np.uint8]] = []

    def add(self, pictures: Sequence[StoryPicture]) -> None:
        """Take in the pictures of a story, if it is one of the first that have some."""
        whole = [picture for picture in pictures if STORY_ROWS[1] in picture.made]
        if len(whole) < self._columns or len(self._lines) == self._stories * len(STORY_ROWS):
            return
        places = np.linspace(0, len(whole) - 1, self._columns).round().astype(int)
        shown = [{STORY_ROWS[0]: whole[k].truth, **whole[k].made} for k in places]
        self._lines += [_row([one[name] for one in shown]) for name in STORY_ROWS]

    def write(self, path: Path) -> None:
        """Write a PNG.

        Raises:
            MicroexprError: no story has frames, or the file cannot be written.
        """
        if not self._lines:
            raise MicroexprError('no story has frames to show')
        _write(path, np.concatenate(self._lines)[:-_GAP])


def _write(path: Path, sheet: NDArray[np.uint8]) -> None:
    with explain_write_errors(path), atomic_target(path, replace=True) as hidden:
        hidden.write_bytes(cv2.imencode('.png', sheet)[1].tobytes())


def _choose(clips: Sequence[SparseClip], rows: int) -> list[ReconstructionExample]:
    examples = [example for clip in clips for example in find_examples(clip, *SHEET_AGES, 4)]
    examples.sort(key=lambda example: -int(changed_since(example).sum()))
    of_person: dict[int, ReconstructionExample] = {}
    for example in examples:
        of_person.setdefault(example.sparse.clip.identity, example)
    return list(of_person.values())[:rows]


def _row(cells: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    framed = []
    for cell in cells:
        large = cv2.resize(cell, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
        framed.append(cv2.copyMakeBorder(large, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT, value=255))
    return np.asarray(np.concatenate(framed, axis=1)[:, :-_GAP], np.uint8)
