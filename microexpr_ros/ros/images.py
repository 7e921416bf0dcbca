"""Images of nodes, in and out: raw and compressed, named as image_transport names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from microexpr_ros.ros.conversions import pixels_to_compressed, pixels_to_image
from microexpr_ros.ros.inputs import Input
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.output import Output
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.subscriptions import SubscriptionSet

COMPRESSED: Final = '/compressed'
"""What image_transport appends to the name of a topic of images."""

TYPES: Final = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}

CHECK_PERIOD_S: Final = 0.5
"""How often to look at the types of the publishers."""


def jpeg_quality_parameter() -> Any:
    """Return the parameter `jpeg_quality` of a node that publishes images."""
    return parameter(
        95, 'quality of the compressed images, 1 to 100 as of JPEG', minimum=1, maximum=100
    )


class ImagePublisher:
    """Publish pixels as images and, below `/compressed`, as JPEG; each only to subscribers.

    Args:
        node: advertises the topics; is being configured.
        topic: topic of the raw images.
        profile: quality of service of both topics.
        jpeg_quality: 1 to 100.
        hands_over: whether nodes of this process take the pixels as they are, as of `Output`.
    """

    def __init__(
        self,
        node: MicroexprNode[Any],
        topic: str,
        profile: QoSProfile,
        jpeg_quality: int,
        *,
        hands_over: bool = False,
    ) -> None:
        self._jpeg_quality = jpeg_quality
        self._raw = Output(node, Image, topic, profile, hands_over=hands_over)
        # Of the name after remapping, so that both topics stay together.
        compressed = node.resolve_topic_name(topic) + COMPRESSED
        self._compressed = node.advertise(CompressedImage, compressed, profile)

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to one of the topics."""
        counts = (one.get_subscription_count() for one in (self._raw, self._compressed))
        return any(counts)

    def publish(self, pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> None:
        """Publish uint8 [height, width] grey or [height, width, 3] RGB."""
        self._raw.send(pixels, lambda: pixels_to_image(pixels, stamp_ns, frame_id))
        if self._compressed.get_subscription_count():
            self._compressed.publish(
                pixels_to_compressed(pixels, stamp_ns, frame_id, self._jpeg_quality)
            )

    def end(self) -> None:
        """Publish nothing more, as of `Output.end`."""
        self._raw.end()


class ImageSubscription:
    """Subscribe to images of the type that is published: raw or compressed.

    Until somebody publishes, the name decides: one that ends in `/compressed` is of compressed
    images.

    Args:
        node: subscribes; is being activated.
        topic: name of the topic.
        callback: called with an Image or CompressedImage, and the system time in ns at which it
            was published.
        profile: quality of service.
        inputs: what watches the topic, as `MicroexprNode.watch` returns it.
    """

    def __init__(
        self,
        node: MicroexprNode[Any],
        topic: str,
        callback: Callable[[Image | CompressedImage, int], None],
        profile: QoSProfile,
        inputs: Sequence[Input] = (),
    ) -> None:
        self._node, self._inputs = node, inputs
        self._topic, self._callback, self._profile = topic, callback, profile
        self._full_name = str(node.resolve_topic_name(topic))
        self._kind = CompressedImage if self._full_name.endswith(COMPRESSED) else Image
        self._subscriptions: SubscriptionSet | None = self._subscribe()
        node.every(CHECK_PERIOD_S, self._follow_publishers)

    def _subscribe(self) -> SubscriptionSet:
        return self._node.subscribe(
            (self._kind, self._topic, self._callback, self._profile), inputs=self._inputs
        )

    def _follow_publishers(self) -> None:
        if self._subscriptions is None:
            self._subscriptions = self._subscribe()
            return
        publishers = self._node.get_publishers_info_by_topic(self._full_name)
        kinds = {TYPES.get(publisher.topic_type) for publisher in publishers}
        # With publishers of both types, the one that is subscribed to is kept.
        if kinds == {Image, CompressedImage} - {self._kind}:
            self._kind = kinds.pop()
            self._node.unsubscribe(self._subscriptions)
            # Within a process a topic has one type, until the thread that waits for messages has
            # let the old subscription go: subscribe at the next turn.
            self._subscriptions = None
            self._node.get_logger().info(f'{self._full_name} is of {self._kind.__name__}')
