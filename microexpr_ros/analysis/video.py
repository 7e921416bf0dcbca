"""Videos of what the networks see and find."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.analysis.chain import AnalyzedSlice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception.drawing import HEIGHT, WIDTH, Panel
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.reconstructor import (
    ReconstructionState,
    Reconstructor,
)

FPS: Final = 25
FRAME_NS: Final = 1_000_000_000 // FPS


class PanelVideo:
    """Write a video of a panel, at the speed of the recording.

    Args:
        path: new file.

    Raises:
        MicroexprError: OpenCV cannot write this video here.

    Attributes:
        panel: what each picture of the video shows.
    """

    def __init__(self, path: Path) -> None:
        self.panel = Panel()
        self._due_ns: int | None = None
        size = (WIDTH, HEIGHT)
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), FPS, size)
        if not self._writer.isOpened():
            raise MicroexprError(f'OpenCV cannot write a video to {path}')

    def is_due(self, end_ns: int) -> bool:
        """Return whether the next picture is of this time; then it is to be drawn."""
        if self._due_ns is None or abs(end_ns - self._due_ns) > 1_000_000_000:
            self._due_ns = end_ns
        return end_ns >= self._due_ns

    def draw(self) -> None:
        """Write the panel as the next picture."""
        assert self._due_ns is not None, 'a picture is drawn when it is due'
        self._due_ns += FRAME_NS
        self._writer.write(self.panel.draw()[:, :, ::-1])

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


class AnalysisVideo:
    """Write the video of an analysis: events, reconstruction and Action Units.

    Args:
        path: new file.
        thresholds: float32 [18], from which units are active.

    Raises:
        MicroexprError: OpenCV cannot write this video here.
    """

    def __init__(self, path: Path, thresholds: NDArray[np.float32]) -> None:
        self._reconstructor = Reconstructor.load()
        self._states: dict[int, ReconstructionState] = {}
        self._painters: dict[int, FacePainter] = {}
        self._in_view = FacesInView(-1)
        self._video = PanelVideo(path)
        self._video.panel.show_thresholds(thresholds)

    def add(self, analyzed: AnalyzedSlice) -> None:
        """Take in the next slice; the nearest face is shown."""
        aligned, video = analyzed.aligned, self._video
        face = aligned.face
        for lost in self._in_view.take(face, aligned.slice):
            del self._states[lost]
            self._painters.pop(lost, None)
        state = self._states.get(face) or self._reconstructor.initial_state()
        self._states[face] = state = self._reconstructor.observe(aligned.slice, state)
        if face != self._in_view.nearest:
            return
        video.panel.show_slice(aligned.slice, aligned.landmarks)
        video.panel.show_estimate(analyzed.estimate)
        if video.is_due(aligned.slice.clock_end_ns):
            if aligned.slice.region is not None:
                painter = self._painters.setdefault(face, FacePainter(self._reconstructor))
                found = painter.paint(state)
                video.panel.show_reconstruction(found.image)
            video.draw()

    def close(self) -> None:
        """Finish the file."""
        self._video.close()
