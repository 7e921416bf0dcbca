"""What a worker of a fleet does: a recording, a part of a long one, and joining its parts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis.parts import Cutting, Start, analyze_part, join_parts
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import Recording, open_recording
from microexpr_ros.events.region import Region
from microexpr_ros.fleet.results import decode_part, encode_part, encode_result
from microexpr_ros.fleet.store import Source, Store, fetched, hash_content
from microexpr_ros.perception.classifier import ActionUnitClassifier

RECORDS: Final = 'records'
PARTS: Final = 'parts'
DONE: Final = '.done.json'
FAILED: Final = '.failed.json'

_PAUSE_S: Final = 0.5

Result = TypeVar('Result')


@dataclass(frozen=True, slots=True)
class Settings:
    """How the recordings of a fleet are read.

    Attributes:
        model: name and hash of the network, which every worker must have.
        weights: path or URL of the weights; None for the shipped ones.
        time_unit: as of `open_recording`.
        sensor: as of `open_recording`.
        topic: as of `open_recording`.
        rgb_topic: topic of a bag's images; None for the first.
        region: fixed face region; None to follow the face.
        cutting: where long recordings are cut.
        retries: how often a recording is tried again whose store does not answer.
    """

    model: str
    weights: str | None = None
    time_unit: str | None = None
    sensor: tuple[int, int] | None = None
    topic: str | None = None
    rgb_topic: str | None = None
    region: Region | None = None
    cutting: Cutting = field(default_factory=Cutting)
    retries: int = 2

    @property
    def key(self) -> str:
        """What of them decides the result, as a hash."""
        decisive = asdict(replace(self, weights=None, retries=0))
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Job:
    """One recording of a fleet.

    Attributes:
        source: where it is.
        settings: how it is read.
        out: address of the results.
    """

    source: Source
    settings: Settings
    out: str

    @property
    def id(self) -> str:
        """Names what is known of the recording, as long as neither it nor the settings change."""
        text = f'{self.source.address}\n{self.source.mark}\n{self.settings.key}'
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def write_done(self, result: str) -> Done:
        """Record that the result is there."""
        store = Store(self.out)
        content = {'recording': self.source.address, 'result': result}
        store.write(f'{RECORDS}/{self.id}{DONE}', json.dumps(content).encode())
        store.remove(f'{RECORDS}/{self.id}{FAILED}')
        return Done(result)

    def write_failed(self, reason: str) -> Failed:
        """Record why there is no result."""
        content = {'recording': self.source.address, 'reason': reason}
        Store(self.out).write(f'{RECORDS}/{self.id}{FAILED}', json.dumps(content).encode())
        return Failed(reason)


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a recording is there, under this name."""

    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A recording cannot be analyzed, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Long:
    """The first part of a long recording is there; the others begin so.

    Attributes:
        result: name of the recording's result.
        starts: of the other parts.
    """

    result: str
    starts: tuple[Start, ...]


@dataclass(frozen=True, slots=True)
class PartDone:
    """A part of a long recording is there."""


Outcome = Done | Failed | Long | PartDone


def analyze_source(job: Job) -> Outcome:
    """Analyze a recording, or the first part of a long one, unless the result is there."""

    def work(path: Path) -> Outcome:
        store, settings = Store(job.out), job.settings
        stem = f'{hash_content(path)}-{settings.key}'
        result = f'{stem}.parquet'
        if result in store.names():
            return job.write_done(result)
        part = analyze_part(
            _open(path, settings),
            load_classifier(settings),
            None,
            SynchronizerOptions(region=settings.region),
            rgb_topic=settings.rgb_topic,
            cutting=settings.cutting,
        )
        analysis = part.analysis
        # Where the recording was copied to is of no use to anyone.
        damage = tuple(line.replace(str(path), path.name) for line in analysis.damage)
        part = replace(part, analysis=replace(analysis, source='', damage=damage))
        if part.starts:
            store.write(_part_name(result, 0), encode_part(part))
            return Long(result, part.starts)
        store.write(result, encode_result(part.analysis))
        return job.write_done(result)

    return _attempt(job, work)


def analyze_later_part(job: Job, result: str, start: Start) -> Outcome:
    """Analyze a part of a long recording but the first, unless it is there."""

    def work(path: Path) -> Outcome:
        part = analyze_part(
            _open(path, job.settings),
            load_classifier(job.settings),
            start,
            SynchronizerOptions(region=job.settings.region),
            rgb_topic=job.settings.rgb_topic,
            cutting=job.settings.cutting,
        )
        Store(job.out).write(_part_name(result, start.number), encode_part(part))
        return PartDone()

    if _part_name(result, start.number).rpartition('/')[2] in Store(job.out).names(PARTS):
        return PartDone()
    return _attempt(job, work)


def join_later(job: Job, result: str, numbers: tuple[int, ...]) -> Outcome:
    """Write the result of a long recording whose parts are there."""

    def work() -> Outcome:
        store = Store(job.out)
        names = [_part_name(result, number) for number in (0, *numbers)]
        parts = [decode_part(store.read(name)) for name in names]
        store.write(result, encode_result(join_parts(parts)))
        for name in names:
            store.remove(name)
        return job.write_done(result)

    return _tried(work, job.settings.retries)


@lru_cache(maxsize=1)
def load_classifier(settings: Settings) -> ActionUnitClassifier:
    """Return the network of a fleet, which a worker loads once.

    Raises:
        MicroexprError: The worker has another network.
    """
    if settings.weights is None:
        classifier = ActionUnitClassifier.load()
    else:
        with fetched(settings.weights) as path:
            classifier = ActionUnitClassifier.load(path)
    if classifier.model != settings.model:
        raise MicroexprError(
            f'a worker has {classifier.model}, not {settings.model}: install the same version of '
            'microexpr_ros there'
        )
    return classifier


def _open(path: Path, settings: Settings) -> Recording:
    return open_recording(
        path, time_unit=settings.time_unit, sensor=settings.sensor, topic=settings.topic
    )


def _part_name(result: str, number: int) -> str:
    return f'{PARTS}/{result.removesuffix(".parquet")}-{number:04d}.npz'


def _attempt(job: Job, work: Callable[[Path], Outcome]) -> Outcome:
    """Fetch a recording and work on it; a recording that cannot be read is recorded as failed."""

    def fetch_and_work() -> Outcome:
        with fetched(job.source.address) as path:
            try:
                return work(path)
            except MicroexprError as error:
                reason = str(error).replace(str(path), job.source.address)
                return job.write_failed(reason)

    return _tried(fetch_and_work, job.settings.retries)


def _tried(work: Callable[[], Result], retries: int) -> Result:
    """Return a result; a store that does not answer is asked again, after longer and longer."""
    for attempt in range(retries):
        with suppress(OSError):
            return work()
        time.sleep(_PAUSE_S * 2**attempt)
    return work()
