"""A frame carried to now by the events since it: log intensity + thresholds x signed counts.

Every event says that the logarithm of one pixel's light has changed by the pixel's threshold. The
sum of what has changed since a frame, added to the frame, is the present picture (Brandli et al.,
Real-time, high-speed video decompression using a frame- and event-based DAVIS sensor, ISCAS 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb

BLUR_CELLS: Final = 0.8
"""Standard deviation by which changes are blurred before they are added to a frame: events of one
edge lie on both sides of it by chance."""

_FIT_BLUR_CELLS: Final = 1.5
_FIT_CHANGE: Final = 0.15
_FIT_LEVELS: Final = (12, 243)
_PRIOR_CELLS: Final = 60.0
_KEEP: Final = 0.97

_BLACK: Final = 2e-3
"""Added to linear light before its logarithm is taken: frames end in black, logarithms do not."""


@dataclass(frozen=True, slots=True)
class ContrastThresholds:
    """Change of log light that one event stands for, measured from pairs of frames.

    Attributes:
        on: of ON events, natural logarithm.
        off: of OFF events, a positive number.
        evidence: float64 [2, 3], the normal equations so far: of both thresholds, and the right
            side.
    """

    on: float = 0.2
    off: float = 0.2
    evidence: NDArray[np.float64] | None = None

    def fit(
        self,
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
        density: NDArray[np.float32],
    ) -> ContrastThresholds:
        """Return the thresholds after one more pair of frames.

        Least squares of the change of log light against the counts, with the thresholds of a
        typical sensor as the prior; pairs of long ago count less.

        Args:
            before: uint8 [H, W], gamma-encoded grey frame.
            after: uint8 [H, W], the next one of the same region.
            density: float32 [2, H, W], events per sensor pixel between them, OFF then ON.
        """
        off, on = (cv2.GaussianBlur(plane, (0, 0), _FIT_BLUR_CELLS) for plane in density)
        change = cv2.GaussianBlur(to_log(after) - to_log(before), (0, 0), _FIT_BLUR_CELLS)
        low, high = _FIT_LEVELS
        darker, lighter = np.minimum(before, after), np.maximum(before, after)
        used = (on + off > _FIT_CHANGE) & (darker > low) & (lighter < high)
        x = np.stack([on[used], -off[used]]).astype(np.float64)
        y = change[used].astype(np.float64)
        kept = np.zeros((2, 3)) if self.evidence is None else _KEEP * self.evidence
        evidence = kept + np.column_stack([x @ x.T, x @ y])
        prior = ContrastThresholds()
        weight = _PRIOR_CELLS * _FIT_CHANGE**2
        matrix = evidence[:, :2] + weight * np.eye(2)
        values = np.linalg.solve(matrix, evidence[:, 2] + weight * np.array([prior.on, prior.off]))
        threshold_on, threshold_off = np.clip(values, 0.03, 1.0).tolist()
        return ContrastThresholds(threshold_on, threshold_off, evidence)

    def log_change(self, density: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change of log light, float32 [H, W], that events stand for.

        Args:
            density: float32 [2, H, W], events per sensor pixel, OFF then ON.
        """
        return np.asarray(
            np.float32(self.on) * density[1] - np.float32(self.off) * density[0], np.float32
        )


def integrate(frame: NDArray[np.uint8], log_change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a frame after a change of its light, float32 [H, W], gamma-encoded, 0 to 1.

    Args:
        frame: uint8 [H, W], gamma-encoded grey.
        log_change: float32 [H, W], of the logarithm of light since the frame.
    """
    smooth = cv2.GaussianBlur(log_change, (0, 0), BLUR_CELLS)
    linear = (_LINEAR[frame] + np.float32(_BLACK)) * np.exp(smooth) - np.float32(_BLACK)
    return encode(linear)


def to_log(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the natural logarithm of a frame's light, float32 of the same shape."""
    return np.asarray(_LOG[frame], np.float32)


def to_picture(log_light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the picture of a logarithm of light, float32 [...], gamma-encoded, 0 to 1."""
    return encode(np.exp(log_light) - np.float32(_BLACK))


def encode(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode linear light, 1 for white, as `srgb.encode` but to 1 in 4096, float32, 0 to 1."""
    x = np.clip(linear, 0, 1)
    # Through a table, as powers of 16,000 cells take half a millisecond.
    at = np.sqrt(x) * np.float32(len(_ENCODED) - 1)
    return np.asarray(_ENCODED[np.rint(at).astype(np.int32)], np.float32)


_LINEAR: Final = srgb.decode(np.arange(256) / 255).astype(np.float32)
_LOG: Final = np.log(_LINEAR + np.float32(_BLACK)).astype(np.float32)
_ENCODED: Final = srgb.encode(np.linspace(0, 1, 4097) ** 2).astype(np.float32)
