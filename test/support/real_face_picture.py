"""Draw docs/real_face.jpg anew: the real face of the demo at ten instants, from events alone.

    PYTHONPATH=. .venv/bin/python test/support/real_face_picture.py

The recording goes through the chain without ROS and without waiting. Above, ON (white) and OFF
(black) events of 0.1 s in the region of the face, below the picture that is painted then.
"""

from __future__ import annotations

import tempfile
from collections import deque
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.analysis import SliceStream
from microexpr_ros.cli.demo.sources import prepare_source
from microexpr_ros.events.files import open_recording
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

PICTURE: Final = Path(__file__).resolve().parents[2] / 'docs' / 'real_face.jpg'

INSTANTS_S: Final = (1.6, 2.5, 3.4, 4.17, 5.2, 6.0, 6.8, 7.7, 8.6, 9.5)
"""From the second second on; the lids are closed at 4.17."""

PERIOD_SLICES: Final = 4
"""A picture is painted in each fourth slice, as at 25 images a second."""

_SHOWN_SLICES: Final = 10
_GREY: Final = 128
_STEP: Final = 60.0


def main() -> None:
    """Paint the recording and write the picture."""
    reconstructor = Reconstructor.load()
    with tempfile.TemporaryDirectory() as scratch:
        source = prepare_source('real', float('inf'), Path(scratch), lambda *_: None)
        columns = paint(SliceStream(open_recording(source.path)), reconstructor)
    sheet = np.vstack([np.hstack([column[row] for column in columns]) for row in range(2)])
    cv2.imwrite(str(PICTURE), sheet, [cv2.IMWRITE_JPEG_QUALITY, 90])


def paint(
    stream: SliceStream, reconstructor: Reconstructor
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return events and picture at each of the instants."""
    state, painter = reconstructor.initial_state(), FacePainter(reconstructor)
    recent: deque[NDArray[np.float32]] = deque(maxlen=_SHOWN_SLICES)
    columns: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    began_ns = None
    for number, aligned in enumerate(stream):
        slice_ = aligned.slice
        began_ns = slice_.clock_end_ns if began_ns is None else began_ns
        state = reconstructor.observe(slice_, state)
        off, on = slice_.counts.astype(np.float32) / np.float32(slice_.pixels_per_cell)
        recent.append(on - off)
        is_due = len(columns) < len(INSTANTS_S) and (
            slice_.clock_end_ns - began_ns >= INSTANTS_S[len(columns)] * 1e9
        )
        if slice_.region is None or not (is_due or number % PERIOD_SLICES == 0):
            continue
        image = painter.paint(state).image
        if is_due:
            seen = (_GREY + _STEP * np.sum(recent, axis=0)).clip(0, 255).astype(np.uint8)
            columns.append((seen, image))
    return columns


if __name__ == '__main__':
    main()
