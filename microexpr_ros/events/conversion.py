"""Recordings from one format to another."""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.bags import EVENTS_TOPIC, BagWriter
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import Recording
from microexpr_ros.events.packets import PACKET_NS, packetize

_KIBIBYTE: Final = 1024


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source: format of the recording, for people.
        events_in: events of the recording, dropped ones included.
        events_out: events written.
        triggers: triggers written.
        dropped: events left out, because they lay outside the sensor or had no time.
        dropped_triggers: triggers left out, because the encoding has none.
        seconds: wall time.
        peak_mb: largest memory of this process so far, in MiB.
    """

    source: str
    events_in: int
    events_out: int
    triggers: int
    dropped: int
    dropped_triggers: int
    seconds: float
    peak_mb: float


def convert_recording(
    recording: Recording,
    target: Path,
    *,
    encoding: str = 'evt3',
    packet_ns: int = PACKET_NS,
    topic: str = EVENTS_TOPIC,
    storage: str = 'mcap',
    on_progress: Callable[[float], object] = lambda _: None,
) -> Conversion:
    """Write a recording as a .raw file (EVT3) or as a bag of event packets.

    The target appears as a whole or not at all; memory does not grow with the recording.

    Args:
        recording: What to read.
        target: A new file with the suffix .raw, or a new folder.
        encoding: Encoding of a bag's packets, one of codecs.ENCODINGS.
        packet_ns: Time that a packet covers at most.
        topic: Topic of a bag.
        storage: Storage of a bag, mcap or sqlite3.
        on_progress: Called with the fraction that is done.

    Raises:
        MicroexprError: The recording cannot be read or the target cannot be written.
    """
    start_s = time.perf_counter()
    if target.exists():
        raise MicroexprError(f'{target} is already there: remove it or choose another name')
    is_raw = target.suffix == '.raw'
    if is_raw and encoding != 'evt3':
        raise MicroexprError(f'a .raw file is encoded as evt3, not {encoding}: leave it out')
    counter = _Counter(recording, encoding == 'evt3', on_progress)
    if is_raw:
        _write_raw(recording, counter.stream(), target)
    else:
        packets = packetize(
            counter.stream(),
            recording.height,
            recording.width,
            encoding=encoding,
            epoch_ns=recording.epoch_ns,
            packet_ns=packet_ns,
        )
        with BagWriter(target, storage) as writer:
            for packet in packets:
                writer.write_packet(topic, packet)
    return Conversion(
        source=recording.kind,
        events_in=counter.events + recording.dropped,
        events_out=counter.events,
        triggers=counter.triggers,
        dropped=recording.dropped,
        dropped_triggers=counter.dropped_triggers,
        seconds=round(time.perf_counter() - start_s, 3),
        peak_mb=round(_peak_mb(), 1),
    )


class _Counter:
    """Counts what passes, and takes out the triggers that an encoding cannot tell."""

    def __init__(
        self, recording: Recording, has_triggers: bool, on_progress: Callable[[float], object]
    ) -> None:
        self.events = self.triggers = self.dropped_triggers = 0
        self._recording = recording
        self._has_triggers = has_triggers
        self._on_progress = on_progress

    def stream(self) -> Iterator[tuple[Events, Triggers]]:
        for events, triggers in self._recording.chunks():
            self.events += len(events)
            if self._has_triggers:
                self.triggers += len(triggers)
                yield events, triggers
            else:
                self.dropped_triggers += len(triggers)
                yield events, Triggers.empty()
            self._on_progress(self._recording.fraction)


def _write_raw(
    recording: Recording, stream: Iterator[tuple[Events, Triggers]], target: Path
) -> None:
    width, height = recording.width, recording.height
    header = (
        f'% evt 3.0\n% format EVT3;height={height};width={width}\n'
        f'% geometry {width}x{height}\n% end\n'
    )
    encoder = codecs.encoder('evt3', height, width)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f'.{target.name}.', dir=target.parent))
        try:
            with (hidden / target.name).open('wb') as file:
                file.write(header.encode('ascii'))
                for events, triggers in stream:
                    file.write(encoder.encode(events, triggers)[1])
            (hidden / target.name).rename(target)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise MicroexprError(f'cannot write {target} ({error}): check disk and name') from error


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts KiB, macOS bytes.
    return peak / _KIBIBYTE if sys.platform != 'darwin' else peak / _KIBIBYTE**2
