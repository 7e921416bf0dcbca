"""A picture of all units over time, where they were active, and what moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.facs import ExpressionKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FULL_ROW: Final = 0.5
"""Intensity that fills a row; micro-expressions stay below it."""


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """The units over time.

    Attributes:
        time_s: float64 [T], s.
        intensity: float32 [T, 18], 0 to 1.
        active: bool [T, 18].
        moving: bool [T], where the head moves.
    """

    time_s: NDArray[np.float64]
    intensity: NDArray[np.float32]
    active: NDArray[np.bool_]
    moving: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Mark:
    """A movement on the timeline.

    Attributes:
        onset_s: its begin, s.
        offset_s: its end, s.
        codes: FACS numbers of its units.
        kind: what it is.
        micro: whether it is shorter than half a second.
    """

    onset_s: float
    offset_s: float
    codes: tuple[int, ...]
    kind: ExpressionKind
    micro: bool

    @property
    def colour(self) -> str:
        """Colour of its line."""
        if self.kind is ExpressionKind.BLINK:
            return '#35618f'
        if self.kind is ExpressionKind.SPEECH:
            return '#3d8361'
        return '#c2352b' if self.micro else '#7a8490'


def write_timeline(path: Path, title: str, traces: Traces, marks: Sequence[Mark]) -> None:
    """Draw every unit over time, where it was active, and the movements that were found."""
    # matplotlib takes half a second to load.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    time_s = traces.time_s
    lanes = assign_lanes([(mark.onset_s, mark.offset_s) for mark in marks])
    depth = 0.55 * (max(lanes, default=0) + 1)
    figure = Figure(figsize=(13, 7 + depth / 2), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = len(facs.CODES)
    moving = traces.moving.tolist()
    axes.fill_between(time_s, -depth - 0.6, rows, where=moving, color='#e3e6ea', lw=0)
    for row, code in enumerate(facs.CODES):
        base = rows - 1 - row
        trace = base + 0.95 * np.minimum(traces.intensity[:, row] / _FULL_ROW, 1.0)
        axes.axhline(base, color='#c3c8cf', lw=0.5)
        axes.plot(time_s, trace, color='#35618f', lw=0.9)
        where = traces.active[:, row].tolist()
        axes.fill_between(time_s, base, trace, where=where, color='#f2a33a', lw=0)
        _label(axes, base + 0.1, f'{code}  {facs.NAMES[code]}')
    for mark, lane in zip(marks, lanes, strict=True):
        y = -0.6 - 0.55 * lane
        axes.plot(
            [mark.onset_s, mark.offset_s], [y, y], color=mark.colour, lw=3, solid_capstyle='butt'
        )
        codes = '+'.join(map(str, mark.codes))
        axes.text(mark.onset_s, y + 0.08, codes, va='bottom', fontsize=7, color=mark.colour)
    _label(axes, -0.75, 'movements found')
    # A recording of one slice, or of none, has an axis of some length, too.
    first_s, last_s = (time_s[0], time_s[-1]) if len(time_s) else (0.0, 0.0)
    axes.set(xlim=(first_s, max(last_s, first_s + 0.01)), ylim=(-depth - 0.6, rows), yticks=[])
    axes.set_xlabel(
        f'time / s.  Height of a row: intensity {_FULL_ROW:g}.  Orange: active.  Grey: the head '
        'moves.  Red: micro-expression, blue: blink, green: speech'
    )
    axes.set_title(f'Action Units: {title}', loc='left')
    for side in ('left', 'right', 'top'):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110)


def assign_lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return a lane for each span, so that spans in one lane do not overlap.

    Example:
        >>> assign_lanes([(0, 5), (3, 4), (6, 9)])
        [0, 1, 0]
    """
    ends: list[float] = []
    lanes = []
    for start, end in spans:
        lane = next((lane for lane, free in enumerate(ends) if free <= start), len(ends))
        ends[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def _label(axes: Axes, y: float, text: str) -> None:
    transform = axes.get_yaxis_transform()
    axes.text(-0.01, y, text, ha='right', fontsize=9, transform=transform)
