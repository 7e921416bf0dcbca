"""The five landmarks by which a face is held still, and where an aligned region shows them."""

from __future__ import annotations

from typing import Final

import numpy as np

LANDMARKS: Final = (
    'right eye',
    'left eye',
    'nose',
    'right mouth corner',
    'left mouth corner',
)
"""Centres of the subject's own right and left eye, base of the nose, corners of the mouth.

Wherever the package holds landmarks, they are those of the face without an expression, moved by
the head and the camera alone: a smile must not move the region in which it is seen. Only those of
another detector (`face_source: hri`) are as it gives them."""

PLACES: Final = np.array(
    [[0.344, 0.344], [0.656, 0.344], [0.500, 0.579], [0.380, 0.699], [0.620, 0.699]]
)
"""Column and row of each landmark in an aligned region, float64 [5, 2], as shares of its side.

The mean over the synthetic persons, seen from the front; then brows are at 0.19 of the height and
the chin is at 0.90, so that the inner face is inside whatever the person."""

EYE_DISTANCE: Final = 0.312
"""From eye to eye in an aligned region, as a share of its side."""

DEPTHS: Final = np.array([0.0, 0.0, 0.297, 0.185, 0.185])
"""How far each landmark is in front of the eyes, float64 [5], as shares of the distance between
them; the mean over the synthetic persons. Because of it, nose and mouth move against the eyes when
the head nods or turns."""
