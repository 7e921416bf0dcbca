"""Converting recordings from one format to another."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target, explain_write_errors
from microexpr_ros.bags import BagWriter, ForeignMessage, Message
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.evt3 import EVT3_TRIGGER_CHANNELS
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files import Recording
from microexpr_ros.events.files.bag_frames import BagFrames
from microexpr_ros.events.kernel import Integer, kernel
from microexpr_ros.events.packets import PACKET_NS, packetize
from microexpr_ros.events.writers import BAG, EVREAL, choose_format, make_writer
from microexpr_ros.topics import EVENT_FRAMES_TOPIC, EVENTS_TOPIC

_TOPIC_NAME: Final = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)
_KIBIBYTE: Final = 1024

_MOST_EARLY_NS: Final = 1_000_000_000
"""Stamps that go back by more were set back by the host's clock."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Summary of a conversion.

    Attributes:
        source: format of the recording, for people.
        events_in: events of the recording, dropped ones included.
        events_out: events written.
        triggers: triggers written.
        frames: frames written.
        dropped: number of items left out, by reason.
        topics_left_out: topics of a bag that could not be copied.
        damage: damaged places of a bag, one line each.
        times_cut: events whose times were truncated to whole us: only mono has ns.
        times_held: events and triggers out of order, whose times were raised to the newest before.
        seconds: wall time.
        peak_mb: largest memory of this process so far, in MiB.
    """

    source: str
    events_in: int
    events_out: int
    triggers: int
    frames: int
    dropped: dict[str, int]
    topics_left_out: tuple[str, ...]
    damage: tuple[str, ...]
    times_cut: int
    times_held: int
    seconds: float
    peak_mb: float


def convert_recording(
    recording: Recording,
    target: Path,
    *,
    to: str | None = None,
    encoding: str = 'evt3',
    packet_ns: int = PACKET_NS,
    topic: str = EVENTS_TOPIC,
    image_topic: str = EVENT_FRAMES_TOPIC,
    storage: str = 'mcap',
    compression: str = 'none',
    on_progress: Callable[[float], object] = lambda _: None,
) -> Conversion:
    """Write a recording as a bag of event packets and images, or as a file or arrays of events.

    The target appears as a whole or not at all; memory does not grow with the recording. Other
    messages of a rosbag2 are copied to the new bag.

    Args:
        recording: What to read.
        target: A new file, whose suffix gives the format, or a new folder for a bag.
        to: Format, one of writers.FORMATS, if the target's name does not give it: a .h5 is
            otherwise in the layout of DSEC, a .hdf5 in that of Metavision.
        encoding: Encoding of a bag's packets, one of codecs.ENCODINGS.
        packet_ns: Longest time that a packet covers.
        topic: Topic of a bag's packets.
        image_topic: Topic of a bag's images, if the recording has frames.
        storage: Storage of a bag, mcap or sqlite3.
        compression: Of an mcap bag: zstd or none. Encoded events are dense: zstd saves a fifth of
            the space and doubles the time.
        on_progress: Called with the fraction that is done.

    Raises:
        MicroexprError: The recording cannot be read or the target cannot be written.
    """
    start_s = time.perf_counter()
    name = choose_format(target, to)
    if name != BAG and encoding != 'evt3':
        raise MicroexprError(
            f'a .{name} file is encoded as evt3, not {encoding}: write a bag, or give no encoding'
            if name == 'raw'
            else f'{target} has no packets to encode as {encoding}: give no encoding'
        )
    for given in (topic, image_topic) if name == BAG else ():
        if not _TOPIC_NAME.fullmatch(given):
            raise MicroexprError(
                f'{given!r} is not the name of a topic: give one such as {EVENTS_TOPIC}'
            )
    counter = _Counter(recording, on_progress)
    if name != BAG:
        counter.cuts_times = name != EVREAL
        with (
            atomic_target(target) as hidden,
            explain_write_errors(target),
            make_writer(
                name, hidden, recording.height, recording.width, recording.epoch_ns
            ) as file,
        ):
            counter.trigger_channels = file.trigger_channels
            for events, triggers in counter.stream():
                file.write(events, triggers)
            for frame in counter.sensor_frames() if file.takes_frames else ():
                file.write_frame(frame)
        counter.losses[f'triggers_not_in_{name}'] = counter.triggers_in - counter.triggers_out
        if not file.takes_frames:
            counter.losses[f'frames_not_in_{name}'] = sum(1 for _ in recording.frames())
    else:
        counter.trigger_channels = EVT3_TRIGGER_CHANNELS if encoding == 'evt3' else 0
        counter.cuts_times = encoding != 'mono'
        packets = packetize(
            counter.stream(),
            recording.height,
            recording.width,
            encoding=encoding,
            frame_id=recording.frame_id,
            packet_ns=packet_ns,
        )
        with BagWriter(target, storage, compression) as writer:
            for time_ns, item in _in_order(_stamp(packets, recording), counter, recording):
                if isinstance(item, ForeignMessage):
                    if storage == 'mcap':
                        writer.write_foreign(item)
                    else:
                        counter.leave_out(item.topic.name)
                elif isinstance(item, Frame):
                    writer.write_image(image_topic, item.pixels, time_ns, recording.frame_id)
                elif isinstance(item, Message):
                    writer.write_serialized(
                        item.topic, item.type, item.cdr, time_ns, item.offered_qos
                    )
                else:
                    writer.write_packet(topic, item)
        lost = counter.triggers_in - counter.triggers_out
        counter.losses['triggers_not_in_encoding'] = lost
    if recording.other_messages:
        lost = recording.damage.count(recording.other_topics)
        others = recording.other_messages - counter.others_out - lost
        counter.losses['messages_of_other_topics'] = others
    counter.losses['messages_damaged'] = recording.damage.messages
    counter.losses['damaged_places'] = len(recording.damage)
    return Conversion(
        source=recording.kind,
        events_in=counter.events_out + recording.dropped,
        events_out=counter.events_out,
        triggers=counter.triggers_out,
        frames=counter.frames_out,
        dropped=recording.losses | counter.losses,
        topics_left_out=tuple(sorted(counter.topics_left_out)),
        damage=tuple(map(str, recording.damage)),
        times_cut=counter.times_cut,
        times_held=recording.held,
        seconds=round(time.perf_counter() - start_s, 3),
        peak_mb=round(_peak_mb(), 1),
    )


class _Counter:
    """Counts the items that are converted, and leaves out triggers that a format lacks.

    Attributes:
        trigger_channels: number of channels of triggers that the format has.
        cuts_times: whether the format has times in whole us.
    """

    def __init__(self, recording: Recording, on_progress: Callable[[float], object]) -> None:
        self.cuts_times = False
        self.trigger_channels = 0
        self.events_out = self.triggers_in = self.triggers_out = 0
        self.frames_out = self.others_out = self.times_cut = 0
        self.losses: dict[str, int] = {}
        self.topics_left_out = set(recording.unknown_topics)
        self._recording = recording
        self._on_progress = on_progress

    def stream(self) -> Iterator[tuple[Events, Triggers]]:
        for events, triggers in self._recording.chunks():
            self.events_out += len(events)
            self.triggers_in += len(triggers)
            if len(triggers) and int(triggers.id.max()) >= self.trigger_channels:
                is_kept = triggers.id < self.trigger_channels
                triggers = Triggers(
                    triggers.t[is_kept], triggers.id[is_kept], triggers.edge[is_kept]
                )
            self.triggers_out += len(triggers)
            if self.cuts_times:
                self.times_cut += _count_fractions(events.t)
            yield events, triggers
            self._on_progress(self._recording.fraction)

    def frames(self) -> Iterator[Frame]:
        for frame in self._recording.frames():
            self.frames_out += 1
            yield frame

    def sensor_frames(self) -> Iterator[Frame]:
        """Yield frames with times of the sensor; those of a bag are its first topic of images.

        To be called after the events were read, which tell when the sensor's time began.
        """
        yield from self.frames()
        images = BagFrames(self._recording)
        for frame in images:
            self.frames_out += 1
            self.others_out += 1
            yield replace(frame, t=frame.t - self._recording.epoch_ns)
        self.losses['frames_unreadable'] = images.read.unreadable

    def others(self) -> Iterator[Message | ForeignMessage]:
        for message in self._recording.others():
            self.others_out += 1
            yield message

    def leave_out(self, topic: str) -> None:
        """Count a message of another topic as one that was not written."""
        self.others_out -= 1
        self.topics_left_out.add(topic)


@kernel
def _count_fractions(times: NDArray[np.int64]) -> Integer:
    """Return how many times are not whole us."""
    count: Integer = 0
    for i in range(len(times)):
        # Unsigned division is faster, and no time is negative.
        count += np.uint64(times[i]) % np.uint64(1000) != 0
    return count


def _stamp(packets: Iterator[EventPacket], recording: Recording) -> Iterator[EventPacket]:
    """Set the host times of packets, which have sensor times as stamps.

    They follow the stamps of the recording, since the two clocks drift apart. A packet of the
    recording that came early does not put a packet before an earlier one.
    """
    newest_ns = 0
    for packet in packets:
        stamp_ns = recording.epoch_ns + packet.stamp_ns
        if 0 < newest_ns - stamp_ns <= _MOST_EARLY_NS:
            stamp_ns = newest_ns
        newest_ns = stamp_ns
        yield replace(packet, stamp_ns=stamp_ns)


_Item: TypeAlias = EventPacket | Frame | Message | ForeignMessage


def _in_order(
    packets: Iterator[EventPacket], counter: _Counter, recording: Recording
) -> Iterator[tuple[int, _Item]]:
    """Merge packets, frames and other messages in the order of their times in ns."""
    epoch_ns = recording.epoch_ns
    streams: tuple[Iterator[tuple[int, _Item]], ...] = (
        ((packet.stamp_ns, packet) for packet in packets),
        ((epoch_ns + frame.t, frame) for frame in counter.frames()),
        ((message.time_ns, message) for message in counter.others()),
    )
    return merge(*streams, key=itemgetter(0))


def _peak_mb() -> float:
    status = Path('/proc/self/status')
    if status.is_file():
        # Unlike getrusage, this does not include the process that forked this one.
        return int(status.read_text().partition('VmHWM:')[2].split()[0]) / _KIBIBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, others KiB.
    return peak / (_KIBIBYTE**2 if sys.platform == 'darwin' else _KIBIBYTE)
