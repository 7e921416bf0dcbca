"""Draw docs/view.png anew: the live page on the real face of the demo, in headless Chromium.

    PYTHONPATH=.:test/support .venv/bin/python test/support/view_picture.py

The recording goes through the chain without ROS and without waiting, so the picture is the same
however busy the machine is. It shows the moment at which the recording's last blink is found. Its
latency is the time that a slice took.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from browser import CHROMIUM, Browser, wait_until
from view_pages import serving

from microexpr_ros.analysis import AnalyzedSlice, SliceStream, read_faces
from microexpr_ros.cli.demo.sources import prepare_source
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import open_recording
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.view import NodeReport, SnapshotComposer

PICTURE = Path(__file__).resolve().parents[2] / 'docs' / 'view.png'

SLICES_OF_A_SNAPSHOT = 4
SNAPSHOTS_OF_A_RECONSTRUCTION = 3


def main() -> None:
    """Play the recording to the page and take the picture."""
    if CHROMIUM is None:
        raise MicroexprError('chromium is not installed: apt install chromium')
    classifier = ActionUnitClassifier.load()
    with tempfile.TemporaryDirectory() as scratch:
        source = prepare_source('real', float('inf'), Path(scratch), lambda *_: None)
        stream = SliceStream(open_recording(source.path))
        slices, computed_ns = [], []
        began_ns = time.thread_time_ns()
        for analyzed in read_faces(stream, classifier):
            slices.append(analyzed)
            computed_ns.append(time.thread_time_ns() - began_ns)
            began_ns = time.thread_time_ns()
        snapshots = list(compose_all(slices[: find_end(slices)], computed_ns, classifier))
        # The last one is sent again and again: of a pipeline that pauses, the page says so.
        with serving(lambda: snapshots.pop(0) if len(snapshots) > 1 else snapshots[0]) as server:
            page = Browser(Path(scratch, 'profile'))
            try:
                page.open(server.url)
                wait_until(lambda: len(snapshots) == 1, 600)
                # The newest are under way, and the timeline is drawn a little later.
                page.evaluate('new Promise((done) => setTimeout(done, 2000))')
                page.screenshot(PICTURE)
            finally:
                page.close()


def find_end(slices: list[AnalyzedSlice]) -> int:
    """Return the number of the slice with which the last blink was found."""
    return 1 + max(
        number
        for number, analyzed in enumerate(slices)
        for movement in analyzed.movements
        if movement.expression.kind is ExpressionKind.BLINK
    )


def compose_all(
    slices: list[AnalyzedSlice], computed_ns: list[int], classifier: ActionUnitClassifier
) -> Iterator[bytes]:
    """Yield the snapshots that the node `view` would send."""
    composer, reconstructor = SnapshotComposer(), Reconstructor.load()
    state, painter = reconstructor.initial_state(), FacePainter(reconstructor)
    limits = ' '.join(f'{limit:.4f}' for limit in classifier.presence.threshold.tolist())
    composer.add_report(NodeReport('au_classifier', 0, 'running', {'thresholds': limits}))
    for number, (analyzed, took_ns) in enumerate(zip(slices, computed_ns, strict=False), 1):
        slice_, face = analyzed.aligned.slice, analyzed.aligned.face
        face_id = f'face_{face}' if face >= 0 else ''
        composer.add_slice(analyzed.aligned, face_id)
        composer.add_estimate(analyzed.estimate, face_id, took_ns)
        for movement in analyzed.movements:
            expression = movement.expression
            stamped = replace(
                expression,
                onset_ns=movement.onset_stamp_ns,
                apex_ns=movement.apex_stamp_ns,
                offset_ns=movement.offset_stamp_ns,
            )
            is_micro = expression.micro and expression.kind is ExpressionKind.EXPRESSION
            composer.add_expression(stamped, f'face_{movement.face}', is_micro)
        state = reconstructor.observe(slice_, state)
        if number % SLICES_OF_A_SNAPSHOT:
            continue
        if slice_.region is not None and not number % (
            SLICES_OF_A_SNAPSHOT * SNAPSHOTS_OF_A_RECONSTRUCTION
        ):
            found = painter.paint(state)
            composer.add_reconstruction(found.image)
            composer.add_interval(found.interval)
        snapshot = composer.compose()
        if snapshot is not None:
            yield snapshot.to_bytes()


if __name__ == '__main__':
    main()
