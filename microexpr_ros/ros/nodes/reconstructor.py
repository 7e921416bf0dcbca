"""Node `reconstructor`: aligned slices in, reconstructed images of the face region out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sensor_msgs.msg import Image

from microexpr_ros.msg import AlignedEvents
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import pixels_to_image
from microexpr_ros.ros.diagnostics import Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.slices import SliceInput

MOST_BEHIND_NS = 50_000_000
"""Age of a slice over which no image is drawn: catching up comes first."""


@dataclass(frozen=True)
class ReconstructorParameters(NodeParameters):
    """Parameters of the reconstructor."""

    weights: str = parameter('', 'weights file of the network; empty: the shipped one')
    rate_hz: float = parameter(
        25.0, 'images per second of sensor time', minimum=0.1, maximum=100.0
    )


class ReconstructorNode(MicroexprNode):
    """Take in every slice; draw an image at the chosen rate if there is time."""

    name = 'reconstructor'
    Parameters: ClassVar[type[NodeParameters]] = ReconstructorParameters

    def configure(self) -> None:
        """Load the network."""
        path = self.parameters.weights
        self._reconstructor = Reconstructor.load(Path(path) if path else None)
        self._reconstructor.warm_up()
        self._period_ns = round(1e9 / self.parameters.rate_hz)
        self._publisher = self.advertise(Image, 'reconstruction/image', qos.RESULTS)

    def activate(self) -> None:
        """Begin with an empty memory."""
        self._state = self._reconstructor.initial_state()
        self._due_ns = 0
        self._input, self._images, self._skipped = SliceInput(), Rate(), 0
        self.listen((AlignedEvents, 'aligned_events', self._on_slice, qos.SLICES))

    def _on_slice(self, message: AlignedEvents, published_ns: int) -> None:
        aligned, another_face = self._input.take(message)
        if another_face:
            self._state = self._reconstructor.initial_state()
        self._state = self._reconstructor.observe(aligned.slice, self._state)
        self._input.done.add()
        end_ns = aligned.slice.end_ns
        if abs(end_ns - self._due_ns) > 10 * self._period_ns:
            self._due_ns = end_ns
        if not self._input.face or end_ns < self._due_ns:
            return
        self._due_ns += self._period_ns
        if time.time_ns() - published_ns > MOST_BEHIND_NS:
            self._skipped += 1
            return
        pixels = self._reconstructor.reconstruct(self._state)
        self._publisher.publish(pixels_to_image(pixels, end_ns, message.header.frame_id))
        self._images.add()
        self._input.latency_ns(aligned)

    def diagnose(self) -> Diagnosis:
        """Tell the rates and the latency."""
        return self._input.diagnose(
            {
                'images_hz': round(self._images.hz(), 1),
                'images': self._images.total,
                'images_skipped': self._skipped,
                'model': self._reconstructor.model,
            }
        )


def main() -> None:
    """Run the node."""
    run(ReconstructorNode)


if __name__ == '__main__':
    main()
