"""Node `overlay`: events, reconstruction and Action Units in one picture, for RViz and rqt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image

from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.msg import ActionUnitArray
from microexpr_ros.perception.drawing import Panel
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import image_to_pixels, to_ns
from microexpr_ros.ros.diagnostics import HARDWARE_ID, Diagnosis, Rate
from microexpr_ros.ros.estimates import FaceEstimate, message_to_estimate
from microexpr_ros.ros.images import ImagePublisher, jpeg_quality_parameter
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.slices import FaceSlice, subscribe_slices


@dataclass(frozen=True)
class OverlayParameters(NodeParameters):
    """Parameters of the overlay."""

    rate_hz: float = parameter(
        25.0, 'pictures per second of wall time', minimum=0.1, maximum=100.0
    )
    jpeg_quality: int = jpeg_quality_parameter()


class OverlayNode(MicroexprNode[OverlayParameters]):
    """Draw the newest of everything that shows the nearest face, at a fixed rate."""

    name = 'overlay'
    Parameters = OverlayParameters

    def configure(self) -> None:
        """Make the publisher."""
        self._publisher = ImagePublisher(
            self, topics.OVERLAY, qos.FRAMES, self.parameters.jpeg_quality
        )

    def activate(self) -> None:
        """Begin with an empty picture, which is published from the first slice on."""
        self._panel = Panel()
        self._pictures = Rate()
        self._slice: FaceSlice | None = None
        self._in_view = FacesInView('')
        self.subscribe(
            (ActionUnitArray, topics.ACTION_UNITS, self._on_units, qos.RESULTS),
            (Image, topics.RECONSTRUCTION, self._on_image, qos.RESULTS),
            (DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, qos.RESULTS),
            inputs=[self.watch(topics.ACTION_UNITS, 'estimates', is_optional=True)],
            objects={
                topics.ACTION_UNITS: self._on_estimate,
                topics.RECONSTRUCTION: self._panel.show_reconstruction,
            },
        )
        subscribe_slices(self, self._on_slice)
        self.every(1 / self.parameters.rate_hz, self._draw)

    def _on_slice(self, given: FaceSlice) -> None:
        self._in_view.take(given.face_id, given.aligned.slice)
        if given.face_id != self._in_view.nearest:
            return
        self._panel.show_slice(given.aligned.slice, given.aligned.landmarks)
        self._slice = given

    def _on_units(self, message: ActionUnitArray, _: int) -> None:
        if message.face_id == self._in_view.nearest:
            self._panel.show_estimate(message_to_estimate(message), to_ns(message.latency))

    def _on_estimate(self, given: FaceEstimate) -> None:
        if given.face_id == self._in_view.nearest:
            self._panel.show_estimate(given.estimate, given.latency_ns)

    def _on_image(self, message: Image, _: int) -> None:
        self._panel.show_reconstruction(image_to_pixels(message))

    def _on_diagnostics(self, message: DiagnosticArray, _: int) -> None:
        show_diagnostics(self._panel, message, self.get_namespace())

    def _draw(self) -> None:
        with self.subscription_thread.lock:
            shown = self._slice
            if shown is None or not self._publisher.has_subscribers:
                return
            picture = self._panel.draw()
        self._publisher.publish(picture, shown.aligned.slice.end_ns, shown.frame_id)
        self._pictures.add()

    def diagnose(self) -> Diagnosis:
        """Return the rate."""
        return Diagnosis(values={'pictures_hz': round(self._pictures.hz(), 1)})


def show_diagnostics(panel: Panel, message: DiagnosticArray, namespace: str) -> None:
    """Show the thresholds and losses that our nodes of a namespace report."""
    for status in message.status:
        where, _, node = status.name.rpartition('/')
        if status.hardware_id != HARDWARE_ID or where != namespace.rstrip('/'):
            continue
        values = {value.key: value.value for value in status.values}
        if node == 'au_classifier' and 'thresholds' in values:
            panel.show_thresholds(np.array(values['thresholds'].split(), np.float32))
        if node == 'synchronizer' and 'lost_packets' in values:
            panel.show_losses(
                {'packets': int(values['lost_packets']), 'frames': int(values['lost_frames'])}
            )


def main() -> None:
    """Run the node."""
    run_node(OverlayNode)


if __name__ == '__main__':
    main()
