"""Raw and compressed images, in and out of nodes."""

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from ros_world import World
from sensor_msgs.msg import CompressedImage, Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import image_to_pixels, pixels_to_compressed, pixels_to_image
from microexpr_ros.ros.images import ImagePublisher, ImageSubscription
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters

PIXELS = np.full((48, 64, 3), (220, 60, 20), np.uint8)


class Sender(MicroexprNode):
    name = 'sender'
    Parameters = NodeParameters

    def configure(self):
        self.images = ImagePublisher(self, '~/image', qos.RESULTS, 95)


class Receiver(MicroexprNode):
    name = 'receiver'
    Parameters = NodeParameters

    def activate(self):
        self.received = []
        ImageSubscription(self, 'image', lambda m, _: self.received.append(m), QoSProfile(depth=5))


@pytest.fixture
def elsewhere(domain):
    """Another process: within one, a topic has one type."""
    other = World(domain)
    yield other
    other.close()


def started(node):
    node.start()
    return node


def test_an_image_is_compressed_for_those_who_ask(world, monkeypatch):
    node = started(world.add(Sender))
    assert not node.images.has_subscribers
    raw = world.collect(Image, 'sender/image', qos.RESULTS)
    world.until(lambda: node.images.has_subscribers)
    with monkeypatch.context() as patch:
        patch.setattr('microexpr_ros.ros.images.pixels_to_compressed', None)
        node.images.publish(PIXELS, 7, 'eye')
        world.until(lambda: raw)
    np.testing.assert_array_equal(image_to_pixels(raw[0]), PIXELS)
    raw.stop()
    world.until(lambda: not node.images.has_subscribers)
    compressed = world.collect(CompressedImage, 'sender/image/compressed', qos.RESULTS)
    world.until(lambda: node.images.has_subscribers)
    monkeypatch.setattr('microexpr_ros.ros.images.pixels_to_image', None)
    node.images.publish(PIXELS, 7, 'eye')
    world.until(lambda: compressed)
    assert compressed[0].header.stamp.nanosec == 7
    assert compressed[0].header.frame_id == 'eye'
    np.testing.assert_allclose(image_to_pixels(compressed[0]), PIXELS, atol=6)


def test_both_topics_are_renamed_together(world):
    node = started(world.add(Sender, '~/image:=/face/picture'))
    compressed = world.collect(CompressedImage, '/face/picture/compressed', qos.RESULTS)
    world.until(lambda: node.images.has_subscribers)
    node.images.publish(PIXELS[:, :, 0], 7, 'eye')
    world.until(lambda: compressed)
    assert compressed[0].format == 'mono8; jpeg compressed '


@pytest.mark.parametrize(
    ('topic', 'message'),
    [
        ('/usb/image_raw', pixels_to_image(PIXELS, 7, 'eye')),
        ('/usb/image_raw/compressed', pixels_to_compressed(PIXELS, 7, 'eye', 95)),
        # Named as the other type is.
        ('/usb/picture', pixels_to_compressed(PIXELS, 7, 'eye', 95)),
        ('/usb/not/compressed', pixels_to_image(PIXELS, 7, 'eye')),
    ],
)
def test_images_are_received_as_they_are_published(world, elsewhere, topic, message):
    node = started(world.add(Receiver, f'image:={topic}'))
    publisher = elsewhere.tester.create_publisher(type(message), topic, 5)
    world.until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(message)
    world.until(lambda: node.received)
    np.testing.assert_allclose(image_to_pixels(node.received[0]), PIXELS, atol=6)
    node.trigger_deactivate()
    world.until(lambda: publisher.get_subscription_count() == 0)


def test_a_second_publisher_of_another_type_changes_nothing(world, elsewhere):
    node = started(world.add(Receiver))
    publisher = world.tester.create_publisher(Image, 'image', 5)
    other = elsewhere.tester.create_publisher(CompressedImage, 'image', 5)
    world.until(lambda: publisher.get_subscription_count() > 0)
    world.run(1.2)
    assert publisher.get_subscription_count() == 1
    assert other.get_subscription_count() == 0
    assert node.received == []


def test_a_topic_of_another_type_in_the_process_is_named(world):
    world.tester.create_publisher(CompressedImage, 'sender/image', 5)
    node = world.add(Sender)
    with pytest.raises(MicroexprError, match=r'~/image cannot be published as Image: .* one type'):
        node.start()
    assert not node.failed
