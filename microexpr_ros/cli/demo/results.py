"""What the demo shows and writes: live table, video, timeline, estimates and report."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rich.table import Table
from rich.text import Text
from sensor_msgs.msg import Image

from microexpr_ros import facs
from microexpr_ros.cli.demo.observer import Observation, Shown
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.msg import MicroExpression
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.perception.drawing import SIDE, Panel
from microexpr_ros.ros.conversions import image_to_pixels, message_to_aligned, to_ns

FPS: Final = 25
FRAME_NS: Final = 1_000_000_000 // FPS
FULL_ROW: Final = 0.5
"""Intensity that fills a row of the timeline; micro-expressions stay below it."""


class Video:
    """Write a video of the messages as they arrive, at the speed of the recording.

    Raises:
        MicroexprError: OpenCV cannot write this video here.
    """

    def __init__(self, path: Path) -> None:
        self._panel = Panel()
        self._due_ns: int | None = None
        size = (3 * SIDE, SIDE)
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), FPS, size)
        if not self._writer.isOpened():
            raise MicroexprError(f'OpenCV cannot write a video to {path}')

    def show(self, item: Shown) -> None:
        """Take in one message, and write the next frame if its time has come."""
        if isinstance(item, ActionUnitEstimate):
            self._panel.show_estimate(item)
        elif isinstance(item, Image):
            self._panel.show_reconstruction(image_to_pixels(item))
        else:
            aligned = message_to_aligned(item)
            self._panel.show_slice(aligned.slice, aligned.landmarks)
            end_ns = to_ns(item.header.stamp)
            if self._due_ns is None or abs(end_ns - self._due_ns) > 1_000_000_000:
                self._due_ns = end_ns
            if end_ns >= self._due_ns:
                self._due_ns += FRAME_NS
                self._writer.write(self._panel.draw()[:, :, ::-1])

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


def live_table(seen: Observation, title: str) -> Table:
    """Return the newest Action Units as a table for the terminal."""
    estimate = seen.estimates[-1] if seen.estimates else None
    status = estimate.status.name.lower().replace('_', ' ') if estimate else 'waiting'
    table = Table(title=f'{title}: {status}', title_justify='left')
    table.add_column('AU', justify='right')
    table.add_column('name')
    table.add_column('intensity', width=26)
    table.add_column('confidence', justify='right')
    for row, code in enumerate(facs.CODES):
        intensity = float(estimate.intensity[row]) if estimate else 0.0
        active = bool(estimate.active[row]) if estimate else False
        style = 'bold yellow' if active else ''
        bar = '█' * round(20 * intensity)
        confidence = f'{float(estimate.confidence[row]):.2f}' if estimate else ''
        table.add_row(
            Text(str(code), style), Text(facs.NAMES[code], style),
            Text(f'{bar:<20} {intensity:.2f}', style), confidence,
        )  # fmt: skip
    return table


def write_csv(path: Path, seen: Observation) -> None:
    """Write one line per estimate; intensities as AU01 and so on, 0 to 1.

    `_left` and `_right` are those on the subject's own sides.
    """
    columns = [f'AU{code:02d}' for code in facs.CODES]
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(
            ['stamp_ns', 'state', 'latency_ms', *columns]
            + [f'{name}_active' for name in columns]
            + [f'{name}_confidence' for name in columns]
            + [f'{name}_{side}' for name in columns for side in ('left', 'right')]
        )
        for estimate, latency_ns in zip(seen.estimates, seen.latencies_ns, strict=True):
            writer.writerow(
                [estimate.end_ns, estimate.status.name, f'{latency_ns / 1e6:.3f}']
                + [f'{value:.4f}' for value in estimate.intensity]
                + [int(value) for value in estimate.active]
                + [f'{value:.3f}' for value in estimate.confidence]
                + [f'{value:.4f}' for value in estimate.sides.flat]
            )


def write_movements(path: Path, seen: Observation) -> None:
    """Write one line per movement that was found, as in the message MicroExpression."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(
            ['onset_ns', 'apex_ns', 'offset_ns', 'kind', 'micro', 'codes', 'peak', 'confidence']
        )
        for expression in seen.expressions:
            times = (expression.onset, expression.apex, expression.offset)
            writer.writerow(
                [
                    *map(to_ns, times),
                    ExpressionKind(expression.kind).name,
                    int(expression.micro),
                    '+'.join(map(str, expression.codes)),
                    f'{expression.peak:.4f}',
                    f'{expression.confidence:.3f}',
                ]
            )


def write_timeline(path: Path, seen: Observation, title: str) -> None:
    """Draw every unit over time, where it was active, and what was detected."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    start_ns = seen.estimates[0].end_ns
    time_s = np.array([estimate.end_ns - start_ns for estimate in seen.estimates]) / 1e9
    intensity = np.array([estimate.intensity for estimate in seen.estimates])
    active = np.array([estimate.active for estimate in seen.estimates])
    moving = np.array([estimate.status is Status.HEAD_MOVING for estimate in seen.estimates])

    lanes = assign_lanes([_span(expression) for expression in seen.expressions])
    depth = 0.55 * (max(lanes, default=0) + 1)
    figure = Figure(figsize=(13, 7 + depth / 2), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = len(facs.CODES)
    axes.fill_between(time_s, -depth - 0.6, rows, where=moving.tolist(), color='#e3e6ea', lw=0)
    for row, code in enumerate(facs.CODES):
        base = rows - 1 - row
        trace = base + 0.95 * np.minimum(intensity[:, row] / FULL_ROW, 1.0)
        axes.axhline(base, color='#c3c8cf', lw=0.5)
        axes.plot(time_s, trace, color='#35618f', lw=0.9)
        where = active[:, row].tolist()
        axes.fill_between(time_s, base, trace, where=where, color='#f2a33a', lw=0)
        _label(axes, base + 0.1, f'{code}  {facs.NAMES[code]}')
    for expression, lane in zip(seen.expressions, lanes, strict=True):
        onset_s, offset_s = ((stamp_ns - start_ns) / 1e9 for stamp_ns in _span(expression))
        colour = _colour(expression)
        y = -0.6 - 0.55 * lane
        axes.plot([onset_s, offset_s], [y, y], color=colour, lw=3, solid_capstyle='butt')
        codes = '+'.join(map(str, expression.codes))
        axes.text(onset_s, y + 0.08, codes, va='bottom', fontsize=7, color=colour)
    _label(axes, -0.75, 'movements found')
    axes.set(xlim=(time_s[0], time_s[-1]), ylim=(-depth - 0.6, rows), yticks=[])
    axes.set_xlabel(
        f'time / s.  Height of a row: intensity {FULL_ROW:g}.  Orange: active.  Grey: the head '
        'moves.  Red: micro-expression, blue: blink, green: speech'
    )
    axes.set_title(f'Action Units: {title}, {seen.model}', loc='left')
    for side in ('left', 'right', 'top'):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110)


def assign_lanes(spans: list[tuple[int, int]]) -> list[int]:
    """Return a lane for each span, so that spans in one lane do not overlap.

    Example:
        >>> assign_lanes([(0, 5), (3, 4), (6, 9)])
        [0, 1, 0]
    """
    ends: list[int] = []
    lanes = []
    for start, end in spans:
        lane = next((lane for lane, free in enumerate(ends) if free <= start), len(ends))
        ends[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def _colour(expression: MicroExpression) -> str:
    if expression.kind == ExpressionKind.BLINK:
        return '#35618f'
    if expression.kind == ExpressionKind.SPEECH:
        return '#3d8361'
    return '#c2352b' if is_micro_expression(expression) else '#7a8490'


def is_micro_expression(expression: MicroExpression) -> bool:
    """Return whether a movement is a micro-expression: short, and neither blink nor speech."""
    return bool(expression.micro and expression.kind == ExpressionKind.EXPRESSION)


def _span(expression: MicroExpression) -> tuple[int, int]:
    return to_ns(expression.onset), to_ns(expression.offset)


def _label(axes: Any, y: float, text: str) -> None:
    transform = axes.get_yaxis_transform()
    axes.text(-0.01, y, text, ha='right', fontsize=9, transform=transform)


def find_behind(seen: Observation) -> dict[str, float]:
    """Return the nodes that fell behind, with the least factor of their inputs."""
    behind: dict[str, float] = {}
    for name, values in seen.diagnostics.items():
        factors = [float(v) for key, v in values.items() if key.endswith('behind_factor')]
        if min(factors, default=1.0) < 1.0:
            behind[name.rpartition('/')[2]] = min(factors)
    return behind


def find_thinned_percent(seen: Observation) -> float:
    """Return which share of the events the synchronizer thinned out, in percent."""
    synchronizer = seen.diagnostics.get('/synchronizer', {})
    kept, thinned = (int(synchronizer.get(name, 0)) for name in ('events', 'events_thinned'))
    return round(100 * thinned / max(kept + thinned, 1), 2)


def report(seen: Observation, seconds: float) -> dict[str, Any]:
    """Return the numbers of a run.

    `real_time_factor` is recording time over wall time between the first and the last estimate:
    1 when the pipeline keeps up with the player, less when it falls behind. `behind` has the nodes
    that fell behind for a while, with the least rate at which they processed their input, of 1.
    `thinned_percent` is the share of events that were left out evenly to keep up.
    `expressions` counts all movements that were found, `micro_expressions` the short ones of kind
    EXPRESSION.
    """
    synchronizer = seen.diagnostics.get('/synchronizer', {})
    player = seen.diagnostics.get('/player', {})
    reconstructor = seen.diagnostics.get('/reconstructor', {})
    classifier = seen.diagnostics.get('/au_classifier', {})
    sent = int(player.get('event_packets', 0))
    received = int(synchronizer.get('packets', 0))
    known_ms = np.array([value for value in seen.latencies_ns if value]) / 1e6
    kinds = Counter(expression.kind for expression in seen.expressions)
    spanned_ns = seen.estimates[-1].end_ns - seen.estimates[0].end_ns
    wall_ns = seen.arrivals_ns[-1] - seen.arrivals_ns[0]
    return {
        'events': int(synchronizer.get('events', 0)),
        'packets': received,
        'lost_packets': max(sent - received, seen.lost_packets),
        'lost_frames': int(synchronizer.get('lost_frames', 0)),
        'missed_slices': int(classifier.get('missed_slices', 0)),
        'skipped_images': int(reconstructor.get('images_skipped', 0)),
        'thinned_percent': find_thinned_percent(seen),
        'undelivered': int(player.get('undelivered', 0)),
        'behind': find_behind(seen),
        'windows': seen.slices,
        'au_messages': len(seen.estimates),
        'reconstructed_frames': seen.images,
        'micro_expressions': sum(map(is_micro_expression, seen.expressions)),
        'expressions': len(seen.expressions),
        'blinks': kinds[ExpressionKind.BLINK],
        'speech': kinds[ExpressionKind.SPEECH],
        'latency_ms': {
            f'p{rank}': round(float(np.percentile(known_ms, rank)), 2) if len(known_ms) else None
            for rank in (50, 99)
        },
        'real_time_factor': round(spanned_ns / max(wall_ns, 1), 2),
        'seconds': round(seconds, 2),
        'model': seen.model,
    }
