"""Measures of the template, the head that all persons are made from."""

from __future__ import annotations

from typing import Final

import numpy as np

FACE_CENTRE: Final = (0.0, 7.12, 1.2)
"""The point of the template's face that a camera looks at, dm."""

FACE_HEIGHT: Final = 1.95
"""Chin to hairline of the template, dm."""

PIVOT: Final = np.array([0.0, 6.2, 0.3], np.float32)
"""Where the head turns on the neck, dm."""
