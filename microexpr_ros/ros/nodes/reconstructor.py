"""Node `reconstructor`: aligned slices in, reconstructed images of the face region out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sensor_msgs.msg import Image

from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.reconstructor import (
    Reconstruction,
    ReconstructionState,
    Reconstructor,
)
from microexpr_ros.ros import hri, qos, topics
from microexpr_ros.ros.conversions import pixels_to_image
from microexpr_ros.ros.diagnostics import Diagnosis, Rate
from microexpr_ros.ros.images import ImagePublisher, jpeg_quality_parameter
from microexpr_ros.ros.lifecycle import Answer, MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.pasting import Pasting
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.slices import FaceSlice, SliceInput, subscribe_slices
from microexpr_ros.ros.worker import Worker

MAX_AGE_NS = 50_000_000
"""No image is made of a slice that has waited for longer than this: catching up comes first."""


@dataclass(frozen=True)
class ReconstructorParameters(NodeParameters):
    """Parameters of the reconstructor."""

    weights: str = parameter('', 'weights file of the network; empty: the shipped one')
    rate_hz: float = parameter(
        25.0, 'images per second of sensor time', minimum=0.1, maximum=100.0
    )
    jpeg_quality: int = jpeg_quality_parameter()
    paste: bool = parameter(
        False,
        'also listen to the RGB camera, and publish its newest frame with the face as it is now, '
        'on reconstruction/pasted',
    )
    geometry: str = parameter(
        '', 'with paste: YAML file of `microexpr calibrate cameras`, as of the synchronizer'
    )
    hri: bool = parameter(True, hri.DESCRIPTION)


class ReconstructorNode(MicroexprNode[ReconstructorParameters]):
    """Step through every slice; make images at the chosen rate if somebody looks at them.

    Images are made on a thread of their own, so that slices do not wait for them.
    """

    name = 'reconstructor'
    Parameters = ReconstructorParameters

    def configure(self) -> None:
        """Load the network."""
        path = self.parameters.weights
        self._reconstructor = Reconstructor.load(Path(path) if path else None)
        self._reconstructor.warm_up()
        self._period_ns = round(1e9 / self.parameters.rate_hz)
        self._publisher = ImagePublisher(
            self,
            topics.RECONSTRUCTION,
            qos.RESULTS,
            self.parameters.jpeg_quality,
            hands_over=True,
        )
        self._uncertainty = ImagePublisher(
            self,
            topics.UNCERTAINTY,
            qos.RESULTS,
            self.parameters.jpeg_quality,
            hands_over=True,
        )
        self._pasting: Pasting | None = None
        if self.parameters.paste:
            self._pasting = Pasting(self, self.parameters.geometry, self.parameters.jpeg_quality)
        self.service('~/remember', self._on_remember)

    def activate(self) -> None:
        """Begin without a face."""
        self._states: dict[str, ReconstructionState] = {}
        self._painters: dict[str, FacePainter] = {}
        self._in_view = FacesInView('')
        self._face_topics = hri.FaceTopics(
            self, {hri.ALIGNED: Image} if self.parameters.hri else {}
        )
        self._due_ns, self._is_due = 0, False
        self._input, self._images = SliceInput(), Rate()
        self._skipped = self._diagnosed_skipped = 0
        self.on_teardown(self._publisher.end)
        self.on_teardown(self._uncertainty.end)
        if self._pasting is not None:
            self._pasting.activate()
        self._worker = Worker(self)
        subscribe_slices(self, self._on_slice)

    def _on_remember(self) -> Answer:
        with self.subscription_thread.lock:
            known = [face for face in self._in_view.faces if face in self._states]
            seen = [face for face in known if self._states[face].frame is not None]
            for face in seen:
                self._states[face] = self._reconstructor.remember(self._states[face])
        if not seen:
            missing = 'frame to remember: start the RGB camera' if known else 'face'
            return False, f'there is no {missing}'
        return True, f'the newest frame is the reference of {len(seen)} faces until they are lost'

    def _on_slice(self, given: FaceSlice) -> None:
        aligned, face = self._input.take(given), given.face_id
        for lost in self._in_view.take(face, aligned.slice):
            # One whose slices were all refused has no state.
            self._states.pop(lost, None)
            self._painters.pop(lost, None)
        state = self._states.get(face) or self._reconstructor.initial_state()
        self._states[face] = self._reconstructor.observe(aligned.slice, state)
        self._input.done.add()
        self._face_topics.follow(self._in_view.faces, aligned.slice.end_ns, given.frame_id)
        if self._in_view.nearest == face:
            self._is_due = self._advance_due(aligned.slice.clock_end_ns)
        is_nearest = self._in_view.nearest == face
        if not self._is_due or not self._is_seen(face, is_nearest):
            return
        painter = self._painters.setdefault(face, FacePainter(self._reconstructor))
        make = partial(self._make_image, given, painter, self._states[face], is_nearest)
        self._worker.add(make)

    def _make_image(
        self,
        source: FaceSlice,
        painter: FacePainter,
        state: ReconstructionState,
        is_nearest: bool,
    ) -> None:
        if time.monotonic_ns() - source.due_ns > MAX_AGE_NS:
            self._skipped += 1
            return
        made = painter.paint(state)
        with self.subscription_thread.lock:
            self._publish(source, made, is_nearest)
            self._images.add()
            self._input.latency_ns(source.aligned)
            # Last: it raises an error if the frame is not one of the geometry's.
            if is_nearest and self._pasting is not None:
                slice_ = source.aligned.slice
                self._pasting.publish(made.image, slice_.region, slice_.end_ns)

    def _is_seen(self, face: str, is_nearest: bool) -> bool:
        """Return whether anybody subscribes to the image of a face; else none is made of it."""
        if self._face_topics.is_heard(face, hri.ALIGNED):
            return True
        outputs = (self._publisher, self._uncertainty, self._pasting)
        return is_nearest and any(o is not None and o.has_subscribers for o in outputs)

    def _advance_due(self, clock_ns: int) -> bool:
        """Return whether images are due of the slices that end now."""
        if abs(clock_ns - self._due_ns) > 10 * self._period_ns:
            self._due_ns = clock_ns
        if clock_ns < self._due_ns or not self._in_view.nearest:
            return False
        self._due_ns += self._period_ns
        return True

    def _publish(self, source: FaceSlice, made: Reconstruction, is_nearest: bool) -> None:
        """Publish the image of a face: on its own topic, and of the nearest as the image."""
        stamp_ns = source.aligned.slice.end_ns
        if is_nearest:
            self._publisher.publish(made.image, stamp_ns, source.frame_id)
            self._uncertainty.publish(made.interval, stamp_ns, source.frame_id)
        image = partial(pixels_to_image, made.image, stamp_ns, source.frame_id)
        self._face_topics.publish(source.face_id, hri.ALIGNED, image)

    def diagnose(self) -> Diagnosis:
        """Return the rates and the latency."""
        is_skipping = self._skipped > self._diagnosed_skipped
        self._diagnosed_skipped = self._skipped
        diagnosis = self._input.diagnose(
            {
                'images_hz': round(self._images.hz(), 1),
                'images': self._images.total,
                'images_skipped': self._skipped,
                'model': self._reconstructor.model,
            }
        )
        return diagnosis.with_problem('images are skipped') if is_skipping else diagnosis


def main() -> None:
    """Run the node."""
    run_node(ReconstructorNode)


if __name__ == '__main__':
    main()
