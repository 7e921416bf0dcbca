"""What the demo shows and writes: live table, video, timeline, estimates and report."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rich.table import Table
from rich.text import Text
from sensor_msgs.msg import Image

from microexpr_ros import facs
from microexpr_ros.analysis import timeline
from microexpr_ros.analysis.video import PanelVideo
from microexpr_ros.cli.demo.observer import Observation, Shown
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.msg import MicroExpression
from microexpr_ros.perception.classifier import Status
from microexpr_ros.ros.conversions import image_to_pixels, message_to_aligned, to_ns
from microexpr_ros.ros.estimates import FaceEstimate
from microexpr_ros.ros.nodes.overlay import show_diagnostics


class Video:
    """Write a video of the messages as they arrive.

    Raises:
        MicroexprError: OpenCV cannot write this video here.
    """

    def __init__(self, path: Path) -> None:
        self._video = PanelVideo(path)

    def show(self, item: Shown) -> None:
        """Take in one message, and write the next frame if its time has come."""
        panel = self._video.panel
        if isinstance(item, FaceEstimate):
            panel.show_estimate(item.estimate, item.latency_ns)
        elif isinstance(item, DiagnosticArray):
            show_diagnostics(panel, item, '/')
        elif isinstance(item, Image):
            panel.show_reconstruction(image_to_pixels(item))
        else:
            aligned = message_to_aligned(item)
            panel.show_slice(aligned.slice, aligned.landmarks)
            if self._video.is_due(to_ns(item.header.stamp)):
                self._video.draw()

    def close(self) -> None:
        """Finish the file."""
        self._video.close()


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
    start_ns = seen.estimates[0].end_ns
    traces = timeline.Traces(
        np.array([estimate.end_ns - start_ns for estimate in seen.estimates]) / 1e9,
        np.array([estimate.intensity for estimate in seen.estimates]),
        np.array([estimate.active for estimate in seen.estimates]),
        np.array([estimate.status is Status.HEAD_MOVING for estimate in seen.estimates]),
    )
    marks = [
        timeline.Mark(
            (to_ns(expression.onset) - start_ns) / 1e9,
            (to_ns(expression.offset) - start_ns) / 1e9,
            tuple(expression.codes),
            ExpressionKind(expression.kind),
            expression.micro,
        )
        for expression in seen.expressions
    ]
    timeline.write_timeline(path, f'{title}, {seen.model}', traces, marks)


def is_micro_expression(expression: MicroExpression) -> bool:
    """Return whether a movement is a micro-expression: short, and neither blink nor speech."""
    return bool(expression.micro and expression.kind == ExpressionKind.EXPRESSION)


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
