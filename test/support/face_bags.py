"""Recordings that the pipeline takes for a face."""

import numpy as np

from microexpr_ros.bags import BagWriter
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize


def write_face_bag(path, seconds=1.0, topic='/event_camera/events'):
    """A head's outline that trembles, in front of a VGA sensor."""
    random = np.random.default_rng(0)
    count = int(seconds * 200_000)
    angle = random.uniform(0, 2 * np.pi, count)
    events = Events(
        np.sort(random.integers(0, int(seconds * 1e6), count)) * 1000,
        (320 + 90 * np.cos(angle) + random.normal(0, 1.5, count)).astype(np.uint16),
        (220 + 110 * np.sin(angle) + random.normal(0, 1.5, count)).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
    )
    with BagWriter(path) as writer:
        for packet in packetize([(events, Triggers.empty())], 480, 640, epoch_ns=10**18):
            writer.write_packet(topic, packet)
    return len(events)
