"""Charts of scores: plain data in, SVG out. A value that is nan was not measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from microexpr_ros.learning.evaluation.action_unit_report import (
    UNKNOWN,
    ConfidenceBin,
    Interval,
)
from microexpr_ros.learning.report.svg import (
    FAINT,
    INK,
    MAIN,
    OTHER,
    RULE,
    SERIES,
    SOFT,
    WARM,
    box,
    element,
    line,
    picture,
    text,
)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart.

    Attributes:
        label: to its left.
        value: length of the bar; nan where nothing was measured.
        interval: ends of the whisker.
        dot: another value, shown as a dot.
        note: right of the value.
        main: False for a bar that the others are compared with.
    """

    label: str
    value: float
    interval: Interval = UNKNOWN
    dot: float = math.nan
    note: str = ''
    main: bool = True


def draw_bars(
    rows: Sequence[Bar],
    label: str,
    write: Callable[[float], str],
    width: float = 460,
    label_width: float = 150,
    most: float | None = None,
) -> Markup:
    """Draw horizontal bars, with whiskers and values.

    Args:
        rows: from the top.
        label: what the chart shows.
        write: formats a value.
        width: of the picture, px.
        label_width: of the column of labels, px.
        most: value at the right end; None for the largest that is shown.
    """
    row_height, value_width = 24, 68
    note_width = max(6.2 * max(len(row.note) for row in rows) + 14, 14)
    shown = [v for r in rows for v in (r.value, r.dot, *r.interval) if not math.isnan(v)]
    bar_width = width - label_width - value_width - note_width
    scale = bar_width / (most or max(shown, default=0) or 1)
    parts = []
    for number, row in enumerate(rows):
        y = (number + 0.5) * row_height
        colour = INK if row.main else FAINT
        parts.append(text(label_width - 10, y, row.label, 'end', colour))
        parts.append(text(width, y, row.note, 'end', FAINT, 11))
        if math.isnan(row.value):
            parts.append(text(label_width + 8, y, 'not measured', fill=FAINT, size=11))
            continue
        length = max(row.value * scale, 1)
        parts.append(box(label_width, y - 7, length, 14, MAIN if row.main else OTHER, 2))
        parts.append(text(width - note_width, y, write(row.value), 'end', colour, 11.5))
        if not any(map(math.isnan, row.interval)):
            x1, x2 = (label_width + scale * bound for bound in row.interval)
            ends = [line(x, y - 3, x, y + 3, INK) for x in (x1, x2)]
            parts += [line(x1, y, x2, y, INK), *ends]
        if not math.isnan(row.dot):
            x = label_width + row.dot * scale
            parts.append(element('circle', cx=x, cy=y, r=3.5, fill=WARM))
    axis = line(label_width, 2, label_width, len(rows) * row_height - 2, FAINT)
    return picture(width, len(rows) * row_height, label, *parts, axis)


def draw_differences(
    rows: Sequence[Bar],
    label: str,
    write: Callable[[float], str],
    width: float = 460,
    label_width: float = 150,
) -> Markup:
    """Draw differences from 0 as dots with whiskers; those whose whisker leaves out 0 are filled.

    Args:
        rows: from the top; only label, value, interval and note count.
        label: what the chart shows.
        write: formats a value.
        width: of the picture, px.
        label_width: of the column of labels, px.
    """
    row_height, value_width, edge = 24, 68, 8
    note_width = max(6.2 * max((len(row.note) for row in rows), default=0) + 14, 14)
    shown = [0.0, *(v for r in rows for v in (r.value, *r.interval) if not math.isnan(v))]
    left, right = label_width + edge, width - value_width - note_width - edge
    scale = (right - left) / ((max(shown) - min(shown)) or 1)
    zero = left - min(shown) * scale
    parts = [line(zero, 2, zero, len(rows) * row_height - 2, FAINT)]
    for number, row in enumerate(rows):
        y = (number + 0.5) * row_height
        parts.append(text(label_width - 10, y, row.label, 'end'))
        parts.append(text(width, y, row.note, 'end', FAINT, 11))
        if math.isnan(row.value):
            parts.append(text(zero + 8, y, 'not measured', fill=FAINT, size=11))
            continue
        parts.append(text(width - note_width, y, write(row.value), 'end', size=11.5))
        low, high = row.interval
        if not math.isnan(low + high):
            parts.append(line(zero + low * scale, y, zero + high * scale, y, MAIN, 2))
        fill = MAIN if low > 0 or high < 0 else 'white'
        x = zero + row.value * scale
        parts.append(element('circle', cx=x, cy=y, r=5, fill=fill, stroke=MAIN, stroke_width=2))
    return picture(width, len(rows) * row_height, label, *parts)


def draw_confusion(counts: Sequence[Sequence[int]], names: Sequence[str], label: str) -> Markup:
    """Draw how often each true class (row) was found as each class (column).

    The colour is the share of the row, so that rare classes can be seen as well.
    """
    cell, left, top = 25, 64, 44
    side = cell * len(names)
    parts = [
        text(left + side / 2, 10, 'found', 'middle', FAINT, 11),
        text(
            12, top + side / 2, 'true', 'middle', FAINT, 11,
            transform=f'rotate(-90 12 {top + side / 2:.1f})',
        ),
    ]  # fmt: skip
    for r, row in enumerate(counts):
        y, total = top + (r + 0.5) * cell, sum(row)
        parts.append(text(left - 8, y, names[r], 'end', size=11))
        parts.append(text(left + (r + 0.5) * cell, top - 12, names[r], 'middle', size=11))
        for c, count in enumerate(row):
            share = count / total if total else 0.0
            x = left + c * cell
            parts.append(box(x + 1, y - cell / 2 + 1, cell - 2, cell - 2, _shade(share), 2))
            if count:
                colour = 'white' if share > 0.6 else INK
                parts.append(text(x + cell / 2, y, str(count), 'middle', colour, 10))
    outline = element(
        'path',
        d=''.join(
            f'M{left + k * cell} {top + k * cell}h{cell}v{cell}h{-cell}z'
            for k in range(len(names))
        ),
        fill='none',
        stroke=WARM,
        stroke_width=1,
    )
    return picture(left + side + 8, top + side + 8, label, *parts, outline)


def draw_reliability(bins: Sequence[ConfidenceBin], label: str) -> Markup:
    """Draw the share of right decisions against confidence; the area of a dot is their number.

    Args:
        bins: of ascending confidence.
        label: what the chart shows.
    """
    axes = Axes((0, 1), (0, 1), 300, 300, 'confidence', 'share that is right')
    most = max((b.n for b in bins), default=1)
    dots = [
        element(
            'circle',
            cx=axes.x(b.confidence),
            cy=axes.y(b.right),
            r=2.5 + 9 * (b.n / most) ** 0.5,
            fill=MAIN,
            fill_opacity=0.55,
        )
        for b in bins
    ]
    track = axes.track([(b.confidence, b.right) for b in bins], MAIN)
    return axes.draw(label, axes.track([(0, 0), (1, 1)], FAINT, dashes='4 4'), track, *dots)


def draw_histogram(values: Sequence[float], width: float, unit: str, label: str) -> Markup:
    """Draw how often values fall into bins, with the median marked.

    Args:
        values: from 0.
        width: of a bin.
        unit: of the values.
        label: what the chart shows.
    """
    bins = int(max(values, default=0) // width) + 1
    counts = np.bincount((np.asarray(values) // width).astype(np.int64), minlength=bins)
    top = float(max(counts.max(), 1))
    axes = Axes((0, bins * width), (0, top), 460, 240, unit, 'expressions')
    step = axes.x(width) - axes.x(0)
    columns = [
        box(axes.x(k * width) + 1, axes.y(n), step - 2, axes.y(0) - axes.y(n), SOFT, 1)
        for k, n in enumerate(counts.tolist())
    ]
    if len(values) == 0:
        return axes.draw(label, *columns)
    middle = float(np.median(values))
    x = axes.x(middle)
    marks = line(x, axes.y(top), x, axes.y(0), WARM, 1.5)
    name = text(x, axes.y(top) - 8, f'median {middle:.0f} {unit}', fill=WARM, size=11)
    return axes.draw(label, *columns, marks, name)


def draw_curves(
    series: Mapping[str, Sequence[Point]], x_name: str, y_name: str, label: str
) -> Markup:
    """Draw lines with points, each named at its right end.

    Args:
        series: points by name; x ascends.
        x_name: what is on the x axis.
        y_name: what is on the y axis, from 0.
        label: what the chart shows.
    """
    points = [p for track in series.values() for p in track]
    most = max((y for _, y in points), default=1.0) or 1.0
    right = max((x for x, _ in points), default=1.0)
    axes = Axes((0, right), (0, 1.15 * most), 460, 260, x_name, y_name, margin=70)
    parts = []
    for (name, track), colour in zip(series.items(), SERIES, strict=False):
        x, y = track[-1]
        parts.append(axes.track(track, colour, 2))
        parts += [
            element('circle', cx=axes.x(px), cy=axes.y(py), r=3, fill=colour) for px, py in track
        ]
        parts.append(text(axes.x(x) + 8, axes.y(y), name, fill=colour, size=11.5))
    return axes.draw(label, *parts)


@dataclass(frozen=True, slots=True)
class Axes:
    """A pair of axes: values become pixels.

    Attributes:
        x_range: values at the left and right end.
        y_range: values at the bottom and top.
        width: of the picture, px.
        height: of the picture, px.
        x_name: what is on the x axis.
        y_name: what is on the y axis.
        margin: right of the axes, px.
    """

    x_range: Point
    y_range: Point
    width: float
    height: float
    x_name: str
    y_name: str
    margin: float = 12

    def x(self, value: float) -> float:
        """Return the pixel of a value on the x axis."""
        left, right = self.x_range
        return 44 + (value - left) / ((right - left) or 1) * (self.width - 44 - self.margin)

    def y(self, value: float) -> float:
        """Return the pixel of a value on the y axis."""
        bottom, top = self.y_range
        share = (value - bottom) / ((top - bottom) or 1)
        return self.height - 42 - share * (self.height - 42 - 24)

    def track(
        self, points: Sequence[Point], stroke: str, width: float = 1.5, dashes: str = 'none'
    ) -> Markup:
        """Return a line through points."""
        return element(
            'polyline',
            points=' '.join(f'{self.x(x):.1f},{self.y(y):.1f}' for x, y in points),
            fill='none',
            stroke=stroke,
            stroke_width=width,
            stroke_dasharray=dashes,
        )

    def draw(self, label: str, *children: Markup) -> Markup:
        """Return the picture with axes behind its content."""
        (left, right), (bottom, top) = self.x_range, self.y_range
        parts = []
        for value in ticks(bottom, top):
            y = self.y(value)
            parts.append(line(self.x(left), y, self.x(right), y, RULE))
            parts.append(text(self.x(left) - 6, y, f'{value:g}', 'end', FAINT, 10.5))
        for value in ticks(left, right):
            name = text(self.x(value), self.height - 30, f'{value:g}', 'middle', FAINT, 10.5)
            parts.append(name)
        middle = (self.x(left) + self.x(right)) / 2
        return picture(
            self.width,
            self.height,
            label,
            *parts,
            *children,
            text(middle, self.height - 10, self.x_name, 'middle', FAINT, 11),
            text(0, 10, self.y_name, fill=FAINT, size=11),
        )


def ticks(low: float, high: float) -> list[float]:
    """Return about five round values from `low` to at most `high`.

    Example:
        >>> ticks(0, 1)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = ((high - low) or 1) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    count = int((high - low) / step + 1e-9)
    return [round(float(low + k * step), 10) for k in range(count + 1)]


def _shade(share: float) -> str:
    # Between the colour of paper and the main colour.
    pale, full = (244, 243, 239), (43, 122, 130)
    return '#' + ''.join(
        f'{round(p + share * (f - p)):02x}' for p, f in zip(pale, full, strict=True)
    )
