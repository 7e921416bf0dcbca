"""A frame carried to now by the events since it: log intensity + thresholds x signed counts.

Every event says that the logarithm of one pixel's light has changed by the pixel's threshold. The
sum of what has changed since a frame, added to the frame, is the present picture (Brandli et al.,
Real-time, high-speed video decompression using a frame- and event-based DAVIS sensor, ISCAS 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb

BLUR_CELLS: Final = 0.8
"""Standard deviation by which changes are blurred before they are added to a frame: events of one
edge lie on both sides of it by chance."""

DELAYS: Final = (0.0, 0.8, 1.6, 2.4)
"""How long before a frame was complete the instant may be that it shows, slices: the middle of its
exposure."""

START_DELAY: Final = 1.6
"""That of a camera in a room, which exposes for a thirtieth of a second: until events and frames
say otherwise."""

EXPOSED_SLICES: Final = 5
"""Slices that the exposure of the longest delay lasts."""

QUIET_SHARE: Final = 0.3
"""Share of the pixels, those with the fewest events, that show what changes without events: the
exposure of the frames, and their noise."""

_BETTER: Final = 0.16
"""Share of the change of light that the events of another delay must explain in addition."""

_FIT_BLUR_CELLS: Final = 1.5
_FIT_CHANGE: Final = 0.15
_FIT_LEVELS: Final = (12, 243)
_PRIOR_CELLS: Final = 60.0
_KEEP: Final = 0.9

_BLACK: Final = 2e-3
"""Added to linear light before its logarithm is taken: frames end in black, logarithms do not."""


@dataclass(frozen=True, slots=True)
class ContrastThresholds:
    """Change of log light that one event stands for, measured from pairs of frames.

    Attributes:
        on: of ON events, natural logarithm.
        off: of OFF events, a positive number.
        delay: of the frames, one of DELAYS.
        evidence: float64 [len(DELAYS), 2, 3], the normal equations so far: of both thresholds, and
            the right side.
        squares: sum of the squared changes that they are to explain.
    """

    on: float = 0.2
    off: float = 0.2
    delay: float = START_DELAY
    evidence: NDArray[np.float64] | None = None
    squares: float = 0.0

    def fit(
        self,
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
        densities: Sequence[NDArray[np.float32]],
    ) -> ContrastThresholds:
        """Return the thresholds and the delay after one more pair of frames.

        Least squares of the change of log light against the counts, with the thresholds of a
        typical sensor as the prior; pairs of long ago count less. A change of the exposure is
        taken out: it is what changes where there are hardly any events.

        Args:
            before: uint8 [H, W], gamma-encoded grey frame.
            after: uint8 [H, W], a later one of the same region.
            densities: for each of DELAYS, float32 [2, H, W]: events per sensor pixel between the
                instants that they show, OFF then ON.
        """
        blurred = [
            [cv2.GaussianBlur(plane, (0, 0), _FIT_BLUR_CELLS) for plane in density]
            for density in densities
        ]
        events = sum(blurred[DELAYS.index(START_DELAY)])
        change = to_log(after) - to_log(before)
        change -= np.median(change[is_quiet(np.asarray(events))])
        smooth = cv2.GaussianBlur(change, (0, 0), _FIT_BLUR_CELLS)
        low, high = _FIT_LEVELS
        darker, lighter = np.minimum(before, after), np.maximum(before, after)
        used = (events > _FIT_CHANGE) & (darker > low) & (lighter < high)
        y = smooth[used].astype(np.float64)
        equations = []
        for off, on in blurred:
            x = np.stack([on[used], -off[used]]).astype(np.float64)
            equations.append(np.column_stack([x @ x.T, x @ y]))
        kept = 0.0 if self.evidence is None else _KEEP * self.evidence
        return _solve(kept + np.stack(equations), _KEEP * self.squares + float(y @ y))

    def log_change(self, density: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change of log light, float32 [H, W], that events stand for.

        Args:
            density: float32 [2, H, W], events per sensor pixel, OFF then ON.
        """
        return np.asarray(
            np.float32(self.on) * density[1] - np.float32(self.off) * density[0], np.float32
        )


def _solve(evidence: NDArray[np.float64], squares: float) -> ContrastThresholds:
    prior = ContrastThresholds()
    weight = _PRIOR_CELLS * _FIT_CHANGE**2
    found, unexplained = [], []
    for equations in evidence:
        matrix = equations[:, :2] + weight * np.eye(2)
        right = equations[:, 2] + weight * np.array([prior.on, prior.off])
        values = np.clip(np.linalg.solve(matrix, right), 0.03, 1.0)
        explained = 2 * values @ equations[:, 2] - values @ equations[:, :2] @ values
        found.append(values.tolist())
        unexplained.append(squares - explained)
    best, usual = int(np.argmin(unexplained)), DELAYS.index(START_DELAY)
    if unexplained[usual] <= (1 + _BETTER) * unexplained[best]:
        best = usual
    on, off = found[best]
    return ContrastThresholds(on, off, DELAYS[best], evidence, squares)


def late_shares(delay: float) -> NDArray[np.float32]:
    """Return which share of the events of each slice an exposure does not show.

    It shows the mean of what was there from its begin to its end: of a change in its middle the
    half.

    Args:
        delay: of the frame, slices: half of its exposure.

    Returns:
        float32 [EXPOSED_SLICES], of the last slices of the exposure, the last one first.
    """
    middles = np.arange(EXPOSED_SLICES) + 0.5
    return np.asarray(np.clip(1 - middles / max(2 * delay, 1e-9), 0, 1), np.float32)


def late_density(recent: Sequence[NDArray[np.float32]], delay: float) -> NDArray[np.float32]:
    """Return the events that a frame does not show although they came before it was complete.

    Args:
        recent: float32 [2, H, W] of each of the last slices, the last one last, up to the frame's.
        delay: of the frame, slices.
    """
    late: NDArray[np.float32] = np.zeros_like(recent[-1])
    for share, density in zip(late_shares(delay), reversed(recent), strict=False):
        if share > 0:
            late += share * density
    return late


def is_quiet(events: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels are among QUIET_SHARE of those with the fewest events.

    Args:
        events: float32 [H, W], from 0.
    """
    # Of one in 16, which is enough to know it and much faster.
    return np.asarray(events <= np.quantile(events[::4, ::4], QUIET_SHARE), np.bool_)


def integrate(
    picture: NDArray[np.uint8] | NDArray[np.float32], log_change: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return a picture after a change of its light, float32 [H, W], gamma-encoded, 0 to 1.

    Args:
        picture: uint8 [H, W], gamma-encoded grey, or float32, 0 to 1.
        log_change: float32 [H, W], of the logarithm of light since then.
    """
    smooth = cv2.GaussianBlur(log_change, (0, 0), BLUR_CELLS)
    linear = (to_linear(picture) + np.float32(_BLACK)) * np.exp(smooth) - np.float32(_BLACK)
    return encode(linear)


def to_linear(picture: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the light of a picture, 1 for white, float32 of the same shape.

    Args:
        picture: uint8 [...], gamma-encoded grey, or float32, 0 to 1.
    """
    if picture.dtype == np.uint8:
        return np.asarray(_LINEAR[picture], np.float32)
    # Through a table: powers of 16,000 cells take half a millisecond.
    at = np.rint(picture * np.float32(len(_DECODED) - 1)).astype(np.int32)
    return np.asarray(_DECODED[at], np.float32)


def to_log(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the natural logarithm of a frame's light, float32 of the same shape."""
    return np.asarray(_LOG[frame], np.float32)


def log_light(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the natural logarithm of linear light, float32 of the same shape."""
    return np.asarray(np.log(linear + np.float32(_BLACK)), np.float32)


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
_DECODED: Final = srgb.decode(np.linspace(0, 1, 8193)).astype(np.float32)
_ENCODED: Final = srgb.encode(np.linspace(0, 1, 4097) ** 2).astype(np.float32)
