"""The steps of `bench replay`: converter, player and receiver, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import bags
from microexpr_ros.child import python
from microexpr_ros.cli.bench.checksum import sum_columns
from microexpr_ros.cli.bench.processes import start_node, watch_peak_memory
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs

_CONVERTER: Final = 'from microexpr_ros.cli import main; main()'
_RECEIVER: Final = 'from microexpr_ros.cli.bench.receiver import main; main(sys.argv[1])'
_HELD: Final = 0.98
"""A rate is held if packets arrive at this share of it."""

_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class KnownBag:
    """A bag, and what decoding it must result in.

    Attributes:
        title: what it is, for people.
        path: bag folder, or a lone file of one.
        topic: topic of its event packets.
        sums: number of events and sums of their columns, as `sum_columns` returns them.
        end_ns: time of the last event.
    """

    title: str
    path: Path
    topic: str
    sums: NDArray[np.int64]
    end_ns: int


@dataclass(frozen=True, slots=True)
class Replay:
    """Measurement of a bag that was played once.

    Attributes:
        recording: what was played.
        rate: speed asked for; 1 is that of the recording.
        reached_rate: speed at which the packets arrived.
        held: the speed was reached, no packet was lost and every event is right.
        mev_per_s: million events that were decoded per second of wall time.
        events: events decoded.
        packets: packets decoded.
        lost_packets: gaps in the sequence numbers.
        exact: number, sums of columns and last time of the events are those that were written.
        latency_ms: from the publication of a packet to its decoded events.
        late_ms: how much later than due packets were published, by the player's newest
            diagnostics; empty if none arrived.
        peak_mb: largest resident memory of each process, seen 20 times a second.
    """

    recording: str
    rate: float
    reached_rate: float
    held: bool
    mev_per_s: float
    events: int
    packets: int
    lost_packets: int
    exact: bool
    latency_ms: dict[str, float]
    late_ms: dict[str, float]
    peak_mb: dict[str, float]


def convert(source: Path, target: Path) -> dict[str, Any]:
    """Convert a recording in a process of its own.

    Returns:
        What `microexpr convert --json` prints, and the rate.

    Raises:
        MicroexprError: It could not be converted.
    """
    command = [*python(_CONVERTER), 'convert', str(source), str(target), '--json']
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise MicroexprError(f'microexpr convert failed: {result.stderr.strip()}')
    report: dict[str, Any] = json.loads(result.stdout)
    return {**report, 'mev_per_s': round(report['events_out'] / report['seconds'] / 1e6, 1)}


def find_longest(folder: Path) -> KnownBag:
    """Return the longest bag of a folder, after decoding it.

    Raises:
        MicroexprError: There is none.
    """
    found = [bags.read_contents(path) for path in sorted(folder.glob('*.db3'))]
    if not found:
        raise MicroexprError(f'{folder} has no recordings (*.db3): leave out --data')
    longest = max(found, key=lambda bag: bag.end_ns - bag.start_ns)
    path, topic = longest.path, bags.find_topic(longest, bags.EVENT_PACKET)
    sums, end_ns = np.zeros(5, np.int64), 0
    decoder: codecs.Decoder | None = None
    for _, packet in bags.read_packets(path):
        decoder = decoder or codecs.decoder(packet.encoding, packet.height, packet.width)
        events, _ = decoder.decode(packet.events, packet.time_base)
        sums += sum_columns(events)
        end_ns = int(events.t[-1]) if len(events) else end_ns
    return KnownBag(path.stem, path, topic, sums, end_ns)


def play(bag: KnownBag, rate: float) -> Replay:
    """Play a bag to a receiver, and compare what it decoded with what was written.

    Raises:
        MicroexprError: Player or receiver failed.
    """
    values = {
        'bag': bag.path.resolve(),
        'rate': rate,
        'topics': f'[{bag.topic}]',
        'wait_for_subscribers_s': _PATIENCE_S,
    }
    arguments = [word for name, value in values.items() for word in ('-p', f'{name}:={value}')]
    with tempfile.TemporaryFile('w+') as log:
        receiver = subprocess.Popen(
            [*python(_RECEIVER), bag.topic],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        processes = {'player': start_node('player', arguments, log), 'receiver': receiver}
        try:
            peaks_mb = watch_peak_memory(processes, 'player')
            output, _ = receiver.communicate(timeout=_PATIENCE_S)
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
        log.seek(0)
        if any(process.returncode for process in processes.values()):
            raise MicroexprError(f'{bag.path} was not played:\n{log.read()[-2000:]}')
    peaks_mb = {name: round(peak_mb) for name, peak_mb in peaks_mb.items()}
    return _compare(bag, rate, json.loads(output), peaks_mb)


def _compare(
    bag: KnownBag, rate: float, received: dict[str, Any], peak_mb: dict[str, float]
) -> Replay:
    exact = received['sums'] == bag.sums.tolist() and received['end_ns'] == bag.end_ns
    player = received['player']
    wall_s = max(received['wall_s'], 1e-9)
    reached = received['recorded_s'] / wall_s
    return Replay(
        recording=bag.title,
        rate=rate,
        reached_rate=round(reached, 3),
        held=exact and received['lost_packets'] == 0 and reached >= _HELD * rate,
        mev_per_s=round(received['sums'][0] / wall_s / 1e6, 1),
        events=received['sums'][0],
        packets=received['packets'],
        lost_packets=received['lost_packets'],
        exact=exact,
        latency_ms=received['latency_ms'],
        late_ms={
            name: float(player[f'late_{name}_ms']) for name in ('p50', 'p99', 'max') if player
        },
        peak_mb=peak_mb,
    )
