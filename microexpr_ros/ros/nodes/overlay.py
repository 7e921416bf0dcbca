"""Node `overlay`: events, reconstruction and Action Units in one picture, for RViz and rqt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sensor_msgs.msg import Image

from microexpr_ros.msg import ActionUnitArray, AlignedEvents
from microexpr_ros.perception.drawing import Panel
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import (
    image_to_pixels,
    message_to_aligned,
    pixels_to_image,
    to_ns,
)
from microexpr_ros.ros.diagnostics import Diagnosis, Rate
from microexpr_ros.ros.estimates import message_to_estimate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter


@dataclass(frozen=True)
class OverlayParameters(NodeParameters):
    """Parameters of the overlay."""

    rate_hz: float = parameter(
        25.0, 'pictures per second of wall time', minimum=0.1, maximum=100.0
    )


class OverlayNode(MicroexprNode):
    """Draw the newest of everything at a fixed rate."""

    name = 'overlay'
    Parameters: ClassVar[type[NodeParameters]] = OverlayParameters

    def configure(self) -> None:
        """Make the publisher."""
        self._publisher = self.advertise(Image, 'overlay/image', qos.FRAMES)

    def activate(self) -> None:
        """Begin with an empty picture."""
        self._panel = Panel()
        self._pictures = Rate()
        self._header = AlignedEvents().header
        self.listen(
            (AlignedEvents, 'aligned_events', self._on_slice, qos.SLICES),
            (ActionUnitArray, 'au_predictions', self._on_units, qos.RESULTS),
            (Image, 'reconstruction/image', self._on_image, qos.RESULTS),
        )
        self.every(1 / self.parameters.rate_hz, self._draw)

    def _on_slice(self, message: AlignedEvents, _: int) -> None:
        self._panel.show_slice(message_to_aligned(message).slice)
        self._header = message.header

    def _on_units(self, message: ActionUnitArray, _: int) -> None:
        self._panel.show_estimate(message_to_estimate(message))

    def _on_image(self, message: Image, _: int) -> None:
        self._panel.show_reconstruction(image_to_pixels(message))

    def _draw(self) -> None:
        if not self._publisher.get_subscription_count():
            return
        with self.listener.lock:
            picture, header = self._panel.draw(), self._header
        self._publisher.publish(pixels_to_image(picture, to_ns(header.stamp), header.frame_id))
        self._pictures.add()

    def diagnose(self) -> Diagnosis:
        """Tell the rate."""
        return Diagnosis(values={'pictures_hz': round(self._pictures.hz(), 1)})


def main() -> None:
    """Run the node."""
    run(OverlayNode)


if __name__ == '__main__':
    main()
