"""Recordings in which the pipeline finds a face."""

from functools import cache

import numpy as np

from microexpr_ros.bags import BagWriter
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.packets import packetize
from microexpr_ros.synthesis.dataset.face_takes import FaceRecipe, make_face_take

HEIGHT, WIDTH = 480, 640

ONE_FACE = FaceRecipe('train', duration_ns=1_500_000_000), 3
TWO_FACES = FaceRecipe('val', duration_ns=1_500_000_000), 52
"""Takes whose grid is that of a VGA sensor, and whose faces are found within 0.7 s."""


def write_face_bag(path, seconds=1.0, topic='/event_camera/events', take=ONE_FACE):
    """Write a bag of heads that move to and fro, in front of a VGA sensor."""
    events = face_events(seconds, take)
    with BagWriter(path) as writer:
        for packet in packetize([(events, Triggers.empty())], HEIGHT, WIDTH, epoch_ns=10**18):
            writer.write_packet(topic, packet)
    return len(events)


@cache
def face_events(seconds, take=ONE_FACE):
    """Return the events of a take, played forwards and backwards in turn."""
    once = _sense(*take)
    end_ns = take[0].duration_ns
    back = Events(end_ns - 1 - once.t[::-1], once.x[::-1], once.y[::-1], 1 - once.p[::-1])
    parts = []
    for number in range(int(np.ceil(seconds * 1e9 / end_ns))):
        part = back if number % 2 else once
        parts.append(Events(part.t + number * end_ns, part.x, part.y, part.p))
    events = Events.concatenate(parts)
    return events[: int(np.searchsorted(events.t, round(seconds * 1e9)))]


def _sense(recipe, number):
    """Return the events of a take as a VGA sensor would send them, some for each of a cell."""
    random, take = np.random.default_rng(0), make_face_take(recipe, number)
    rows, columns = take.shape
    across, down = WIDTH // columns, HEIGHT // rows
    cell_pixels = take.pixels * take.height * take.width / (rows * columns)
    times = round(across * down / cell_pixels)
    at = np.repeat(np.arange(len(take.starts) - 1), np.diff(take.starts))
    each = times * take.counts.astype(np.int64)
    polarity, row, column = np.unravel_index(np.repeat(take.cells, each), (2, rows, columns))
    t_ns = np.repeat(at, each) * SLICE_NS + random.integers(0, SLICE_NS // 1000, each.sum()) * 1000
    order = np.argsort(t_ns, kind='stable')
    return Events(
        t_ns[order],
        (column * across + random.integers(0, across, each.sum()))[order].astype(np.uint16),
        (row * down + random.integers(0, down, each.sum()))[order].astype(np.uint16),
        polarity[order].astype(np.uint8),
    )
